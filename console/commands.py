"""What the command palette offers besides Textual's own commands."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from textual.app import SystemCommand

from console.live import Live
from console.operation_commands import operation_commands

if TYPE_CHECKING:
    from console.app import WhisperctlApp


SCREENS: Final = (
    ("dashboard", "Dashboard", "The live stack"),
    ("load", "Load", "Put load on the stack, watch every session"),
    ("runs", "Runs", "Saved runs: read, compare"),
    ("logs", "Logs", "What the parts write"),
    ("doctor", "Doctor", "What this machine has and lacks"),
)
"""Name, title and purpose of each screen, in the order of the keys 1 to 5."""


def possible(live: Live) -> dict[str, bool]:
    """Say of the actions that depend on it whether they can be done now."""
    there, loading = not live.absent, live.load is not None
    return {
        "up": not there and not live.busy,
        "down": there,
        "scale_by": there,
        "load": not loading,
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
    ]
    for name, title, text in SCREENS:
        if app.check_action("show", (name,)):
            yield SystemCommand(f"Show {title.lower()}", text, partial(app.action_show, name))
    for action, title, text, callback in commands:
        if app.check_action(action, ()):
            yield SystemCommand(title, text, callback)
    yield from operation_commands(app)
    for replica in app.live.status.replicas:
        name = replica.name
        yield SystemCommand(f"Log of {name}", "Read and follow", partial(app.open_log, name))
