"""The command palette: everything that has a key and can be done now, by its name."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from textual.actions import parse
from textual.app import SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen

from console.commands import palette_commands

if TYPE_CHECKING:
    from console.app import WhisperctlApp

_REPLACED = {"Quit", "Keys"}
"""Textual's own commands that the console's stand in for."""


def in_palette(
    app: "WhisperctlApp", screen: Screen[object], own: Iterable[SystemCommand]
) -> Iterator[SystemCommand]:
    """Yield every command that can be given now, each once.

    First those of the console as a whole, then what keys do on this screen, then what keys of other
    screens do anywhere; last Textual's own.
    """
    seen: set[str] = set()
    ours = (*palette_commands(app), *_on_screen(app, screen), *_from_elsewhere(app))
    for command in (*ours, *(one for one in own if one.title not in _REPLACED)):
        if command.title not in seen:
            seen.add(command.title)
            yield command


def _on_screen(app: "WhisperctlApp", screen: Screen[object]) -> Iterator[SystemCommand]:
    for node, binding, enabled, _ in screen.active_bindings.values():
        if enabled and binding.id is not None:
            yield _command(app, binding, node)


def _from_elsewhere(app: "WhisperctlApp") -> Iterator[SystemCommand]:
    """Yield what other screens have keys for, but the app does."""
    for mode in app.MODES.values():
        for binding in Binding.make_bindings(getattr(mode, "BINDINGS", [])):
            destination, action, parameters = parse(binding.action)
            if destination != "app" or binding.id is None or action == "show":
                continue
            if app.check_action(action, parameters):
                yield _command(app, binding, app)


def _command(app: "WhisperctlApp", binding: Binding, node: DOMNode) -> SystemCommand:
    title, help_text = titled(binding)
    key = f"Key {app.get_key_display(binding)}"

    async def run() -> None:
        await app.run_action(binding.action, node)

    return SystemCommand(title, f"{help_text}. {key}" if help_text else key, run)


def titled(binding: Binding) -> tuple[str, str]:
    """Return a command's name and what else is to be said: the parts of its tooltip."""
    title, _, more = (binding.tooltip or binding.description).partition("; ")
    return title, more[:1].upper() + more[1:]


def belongs(binding: Binding, owner: type[DOMNode]) -> bool:
    """Tell whether a binding has to be in the palette: not a dialog's, and none that only moves."""
    from console.widgets.help_sheet import is_moving  # noqa: PLC0415 - it imports screens

    return not issubclass(owner, ModalScreen) and not is_moving(binding.action)
