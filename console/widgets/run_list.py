"""The list of saved runs: only the lines that are seen are drawn, so a thousand cost no more."""

from collections.abc import Collection, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.rendering.run_list import GAP, LEFT, Row, columns, result, series_words, widths

_CURSOR, _MARK = ">", "✓"


class RunList(ScrollView, can_focus=True):
    """Lines with a cursor; the heading stays in view."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "run-list--cursor",
        "run-list--heading",
        "run-list--series",
        "run-list--dim",
        "run-list--good",
        "run-list--bad",
        "run-list--warning",
        "run-list--mark",
    }
    DEFAULT_CSS = """
    RunList {
        border: round $surface-lighten-2; border-title-color: $text;
        border-subtitle-color: $text-muted; scrollbar-size-vertical: 1; overflow-x: hidden;
        background: $background;
        & > .run-list--cursor {
            color: $block-cursor-blurred-foreground; text-style: bold;
            background: $block-cursor-blurred-background;
        }
        &:focus > .run-list--cursor {
            color: $block-cursor-foreground; background: $block-cursor-background;
        }
        & > .run-list--heading { color: $foreground-muted; text-style: bold; }
        & > .run-list--series { color: $text-primary; text-style: bold; }
        & > .run-list--dim { color: $foreground-muted; }
        & > .run-list--good { color: $text-success; }
        & > .run-list--bad { color: $text-error; }
        & > .run-list--warning { color: $text-warning; }
        & > .run-list--mark { color: $text-accent; text-style: bold; }
        &:focus { border: round $primary; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "One up", show=False),
        Binding("down,j", "move(1)", "One down", show=False),
        Binding("pageup", "page(-1)", "A page up", show=False),
        Binding("pagedown", "page(1)", "A page down", show=False),
        Binding("home,ctrl+home", "end(0)", "First", show=False),
        Binding("end,ctrl+end", "end(1)", "Last", show=False),
    ]

    class Highlighted(Message):
        """The cursor is on another line, or the line under it has changed."""

    class Chosen(Message):
        """A line was clicked that has the cursor already."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.rows: Sequence[Row] = ()
        self._places: dict[str, int] = {}
        self._marked: Collection[str] = ()
        self._cursor = 0

    @property
    def row(self) -> Row | None:
        """The line under the cursor."""
        return self.rows[self._cursor] if self.rows else None

    @property
    def cursor(self) -> int:
        """The number of the line under the cursor, from 0."""
        return self._cursor

    def show(self, rows: Sequence[Row], marked: Collection[str]) -> None:
        """Show other lines; cursor and scrolling stay on the line that they are on."""
        before = self.row
        self.rows, self._marked = rows, marked
        self._places = {row.key: number for number, row in enumerate(rows)}
        place = self._places.get(before.key) if before is not None else None
        if place is None:
            place = min(self._cursor, max(0, len(rows) - 1))
        moved = place - self._cursor
        self._cursor = place
        self._fit()
        if moved and self.scroll_y:
            # What is above it came or went: the eye stays where it is.
            self.scroll_to(y=max(0, self.scroll_y + moved), animate=False, force=True)
        self._keep_in_view()
        self.refresh()
        if self.row != before:
            self.post_message(self.Highlighted())

    def move_to(self, key: str) -> None:
        """Put the cursor on a line, if it is there."""
        if key in self._places:
            self._go(self._places[key])

    def _fit(self) -> None:
        self.virtual_size = Size(max(1, self.size.width), len(self.rows) + 1)

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self._fit()
        self.call_after_refresh(self._keep_in_view)

    def _keep_in_view(self) -> None:
        height = self.size.height - 1  # the heading's line
        if height < 1:
            return
        top = round(self.scroll_y)
        if self._cursor < top:
            top = self._cursor
        elif self._cursor >= top + height:
            top = self._cursor - height + 1
        else:
            return
        self.scroll_to(y=top, animate=False, force=True)

    def _go(self, place: int) -> None:
        place = max(0, min(place, len(self.rows) - 1))
        if place == self._cursor or not self.rows:
            return
        self._cursor = place
        self._keep_in_view()
        self.refresh()
        self.post_message(self.Highlighted())

    def action_move(self, lines: int) -> None:
        """Move the cursor."""
        self._go(self._cursor + lines)

    def action_page(self, direction: int) -> None:
        """Move the cursor by what is seen at once."""
        self._go(self._cursor + direction * max(1, self.size.height - 2))

    def action_end(self, last: int) -> None:
        """Move the cursor to the first line or to the last."""
        self._go(len(self.rows) if last else 0)

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the line that was clicked."""
        place = event.get_content_offset(self)
        if place is None or place.y < 1:
            return
        number = round(self.scroll_y) + place.y - 1
        if number == self._cursor:
            self.post_message(self.Chosen())
        elif number < len(self.rows):
            self._go(number)

    # --- drawing --------------------------------------------------------------------------------

    def _style(self, name: str) -> Style:
        if not name:
            return Style()
        return self.get_component_rich_style(f"run-list--{name}")

    def render_line(self, y: int) -> Strip:
        """Draw a line of what is seen."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self._line(self._heading(width), width, self.rich_style)
        number = round(self.scroll_y) + y - 1
        if number >= len(self.rows):
            return Strip.blank(width, self.rich_style)
        row, here = self.rows[number], number == self._cursor
        base = self.rich_style + (self._style("cursor") if here else Style())
        text = Text(_CURSOR if here else " ")
        if row.entry is None:
            text.append("  ")
            for piece, style in series_words(row, self._marked):
                text.append(piece, self._style(style))
            text.truncate(width, overflow="ellipsis")
        else:
            self._cells(text, row, width)
        if here:
            text = Text(text.plain)  # the cursor's own colours stand out from any of the others
        return self._line(text, width, base)

    def _heading(self, width: int) -> Text:
        chosen = columns(width)
        text = Text(" " * LEFT)
        for number, (column, cells) in enumerate(zip(chosen, widths(chosen, width), strict=True)):
            text.append(" " * GAP if number else "")
            name = column.name[:cells]
            padded = name.rjust(cells) if column.right else name.ljust(cells)
            text.append(padded, self._style("heading"))
        return text

    def _cells(self, text: Text, row: Row, width: int) -> None:
        entry = row.entry
        assert entry is not None  # noqa: S101 - for the type checker
        text.append(_MARK if row.key in self._marked else " ", self._style("mark"))
        text.append(" ").append(row.tree.ljust(2), self._style("dim"))
        chosen = columns(width)
        for number, (column, cells) in enumerate(zip(chosen, widths(chosen, width), strict=True)):
            style = result(entry).style if column.style == "result" else column.style
            if column.name == "label" and entry.problem is not None:
                style = "dim"
            text.append(" " * GAP if number else "")
            text.append(fitted(column.text(entry), cells, right=column.right), self._style(style))

    def _line(self, text: Text, width: int, base: Style) -> Strip:
        segments = text.render(self.app.console)
        shown = [Segment(piece, base + style if style else base) for piece, style, _ in segments]
        return Strip(shown).adjust_cell_length(width, base)


def fitted(text: str, cells: int, *, right: bool = False) -> str:
    """Make a text as wide as a column; what is too long ends with an ellipsis."""
    length = cell_len(text)
    if length > cells:
        return set_cell_size(text, cells - 1) + "…"
    return " " * (cells - length) + text if right else text + " " * (cells - length)
