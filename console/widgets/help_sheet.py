"""What one can do here: a few words, then the keys; what is on the screen comes first."""

from collections.abc import Callable, Iterable
from typing import ClassVar, Final

from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, Binding
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import HelpPanel, Markdown, Static

_ROOM_FOR_TWO: Final = 72
"""Cells from which on the keys of a place stand in two columns."""


class HelpSheet(HelpPanel):
    """The help for what has the focus. Scrolls where it is longer than the screen."""

    # Of a help panel only the name is kept, by which Textual finds and removes it.
    DEFAULT_CSS: ClassVar[str] = """
    HelpSheet {
        split: right; width: 46; min-width: 30; max-width: 70; height: 100%; padding: 0 1;
        border-left: vkey $foreground 30%; layout: vertical; background: $background;

        #help-body { height: 1fr; scrollbar-size-vertical: 1; }
        Markdown { height: auto; padding: 0; margin: 0; background: $background; }
        MarkdownH2 { margin: 0; padding: 0; text-style: bold; content-align: left top; }
        MarkdownParagraph { margin: 0 0 1 0; padding: 0; }
        #help-keys { height: auto; width: 1fr; }
    }
    """

    def compose(self) -> ComposeResult:
        """Lay out the words and the keys."""
        with VerticalScroll(id="help-body", can_focus=False):
            yield Markdown(id="help-words")
            yield Static(id="help-keys", markup=False)

    async def on_mount(self) -> None:
        """Follow the focus and what can be done."""
        self.watch(self.screen, "focused", self.update_help)
        self.screen.bindings_updated_signal.subscribe(self, self._show_keys)
        self._show_keys(self.screen)

    def on_resize(self) -> None:
        """Put the keys into as many columns as there is room for."""
        self._show_keys(self.screen)

    def on_unmount(self) -> None:
        """Follow no longer."""
        self.screen.bindings_updated_signal.unsubscribe(self)

    def update_help(self, focused_widget: Widget | None) -> None:
        """Show the words for what has the focus, or for the screen."""
        if not self.is_attached:
            return
        words = help_of(focused_widget or self.screen)
        for sheet in self.query("#help-words").results(Markdown):
            sheet.display = bool(words)
            sheet.update(words)

    def _show_keys(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen:
            columns = 2 if self.size.width >= _ROOM_FOR_TWO else 1
            table = keys_table(
                self.screen.active_bindings.values(), self.app.get_key_display, columns
            )
            for keys in self.query("#help-keys").results(Static):
                keys.update(table)


def help_of(widget: Widget) -> str:
    """Return the help of the nearest that has any: the widget, what holds it, its screen."""
    for node in widget.ancestors_with_self:
        if isinstance(node, Widget) and node.HELP:
            return node.HELP.strip()
    return ""


def keys_table(
    bindings: Iterable[ActiveBinding], display: Callable[[Binding], str], columns: int = 1
) -> Table:
    """List keys and what they do: those of the place, those of the whole console, moving around."""
    here: dict[str, tuple[list[str], str, bool]] = {}
    anywhere: dict[str, tuple[list[str], str, bool]] = {}
    screens: list[str] = []
    names: list[str] = []
    moving: list[str] = []
    for node, binding, enabled, tooltip in bindings:
        if binding.system or binding.key.startswith("super+"):
            continue
        key = display(binding)
        if binding.action.startswith("show("):
            screens.append(key)
            names.append(binding.description)
        elif isinstance(node, App | Screen) or binding.id is not None:
            # Without an id it is Textual's own, such as copying what was selected.
            ours = binding.id is not None or node.is_modal or binding.action == "command_palette"
            group = anywhere if isinstance(node, App) else here
            text = tooltip or binding.description
            if ours and text and not is_moving(binding.action):
                keys = group.setdefault(binding.action, ([], text, enabled))[0]
                keys.extend([key] if key not in keys else [])
        elif is_moving(binding.action) and key not in moving:
            moving.append(key)
    table = Table.grid(padding=(0, 1))
    for _ in range(columns):
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="fold", ratio=1 if columns > 1 else None)
    _add_rows(table, [_cells(*one) for one in here.values()], columns)
    table.add_row()
    rest = [_cells([f"{screens[0]}-{screens[-1]}"], ", ".join(names))] if screens else []
    rest += [_cells(*one) for one in anywhere.values()]
    rest += [_cells(["move"], " ".join(moving))] if moving else []
    _add_rows(table, rest, columns)
    return table


def _cells(keys: list[str], text: str, enabled: bool = True) -> tuple[Text, Text]:
    style = "" if enabled else "dim"
    return Text(" ".join(keys), style="bold" if enabled else "dim"), Text(text, style=style)


def _add_rows(table: Table, cells: list[tuple[Text, Text]], columns: int) -> None:
    """Add rows of keys, downwards first, as they belong together."""
    height = -(-len(cells) // columns)
    for row in range(height):
        table.add_row(*(cell for pair in cells[row::height] for cell in pair))


def is_moving(action: str) -> bool:
    """Tell whether an action only moves the cursor, the focus or what is seen."""
    name = action.rpartition(".")[2] if "(" not in action else action.partition("(")[0]
    name = name.rpartition(".")[2]
    return name.startswith(
        ("cursor", "scroll", "page", "focus", "select", "first", "last", "move", "end")
    )
