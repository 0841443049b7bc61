"""What the command palette offers besides Textual's own commands."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from textual.app import SystemCommand

from console.live import Live

if TYPE_CHECKING:
    from console.app import WhisperctlApp


def possible(live: Live) -> dict[str, bool]:
    """Say of the actions that depend on it whether they can be done now."""
    there, loading = not live.absent, live.load is not None
    return {
        "up": not there and not live.busy,
        "down": there,
        "scale_by": there,
        "load": there and not loading and live.status.ready_replicas > 0,
        "stop_load": loading,
    }


def palette_commands(app: "WhisperctlApp") -> Iterator[SystemCommand]:
    """Yield every command that can be given now."""
    commands: list[tuple[str, str, str, Callable[[], object]]] = [
        ("up", "Bring the stack up", f"Start {app.spec.replicas} replicas", app.action_up),
        ("down", "Take the stack down", "End every replica", app.action_down),
        ("scale_by", "One replica more", "Scale out", lambda: app.action_scale_by(1)),
        (
            "scale_by",
            "One replica fewer",
            "Drain the last and end it",
            lambda: app.action_scale_by(-1),
        ),
        ("load", "Start a load series", "Clients talk to the stack", app.action_load),
        ("stop_load", "Stop the load series", "Keeps what was measured", app.action_stop_load),
        ("show_dashboard", "Show the dashboard", "The live stack", app.action_show_dashboard),
        ("show_runs", "Show the runs", "Saved runs: read, compare", app.action_show_runs),
    ]
    for action, title, text, callback in commands:
        if app.check_action(action, ()):
            yield SystemCommand(title, text, callback)
    for replica in app.live.status.replicas:
        yield from _replica_commands(app, replica.name)


def _replica_commands(app: "WhisperctlApp", name: str) -> Iterator[SystemCommand]:
    yield SystemCommand(f"Log of {name}", "Read and follow", lambda: app.open_log(name))
    yield SystemCommand(f"Restart {name}", "A fresh process", lambda: app.restart(name))
