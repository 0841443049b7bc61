"""Every session of the running step: a table of a few, a grid of glyphs of many."""

from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import ContentSwitcher, DataTable, Static

from console.rendering.sessions import COLUMNS, GLYPHS, counts_text, session_cells
from loadtest.sessions import SessionBoard

FEW: Final = 40
"""As many sessions have a row each."""
_CELL: Final = 2


class SessionChosen(Message):
    """The cursor has come to another session."""

    def __init__(self, client: int) -> None:
        super().__init__()
        self.client = client


class SessionGrid(ScrollView, can_focus=True):
    """One glyph a session, in the order of the clients."""

    DEFAULT_CSS = """
    SessionGrid { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1, 0)", "Session to the left", show=False),
        Binding("right", "move(1, 0)", "Session to the right", show=False),
        Binding("up", "move(0, -1)", "Session above", show=False),
        Binding("down", "move(0, 1)", "Session below", show=False),
        Binding("pageup", "move(0, -8)", "Eight rows up", show=False),
        Binding("pagedown", "move(0, 8)", "Eight rows down", show=False),
        Binding("home", "first", "First session", show=False),
        Binding("end", "last", "Last session", show=False),
    ]

    class Moved(Message):
        """The cursor has moved."""

        def __init__(self, client: int) -> None:
            super().__init__()
            self.client = client

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._board = SessionBoard()
        self.cursor = 0
        self._drawn: list[str] = []

    @property
    def columns(self) -> int:
        """Sessions in a row."""
        return max(1, self.scrollable_content_region.width // _CELL)

    def show(self, board: SessionBoard) -> None:
        """Show a board; only lines that changed are drawn."""
        self._board = board
        self.cursor = min(self.cursor, max(0, len(board.lines) - 1))
        states = [line.state.value for line in board.lines]
        if len(states) != len(self._drawn):
            self._measure()
            self.refresh()
        else:
            changed = {
                number // self.columns
                for number, (new, old) in enumerate(zip(states, self._drawn, strict=True))
                if new != old
            }
            top = self.scroll_offset.y
            for row in changed:
                self.refresh(Region(0, row - top, self.size.width, 1))
        self._drawn = states

    def _measure(self) -> None:
        rows = -(-len(self._board.lines) // self.columns)
        self.virtual_size = Size(self.columns * _CELL, rows)

    def on_resize(self) -> None:
        """Lay the sessions out anew."""
        self._measure()
        self._keep_in_view()
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one row of sessions."""
        first = (y + self.scroll_offset.y) * self.columns
        lines = self._board.lines[first : first + self.columns]
        base = self.rich_style
        segments = []
        for line in lines:
            glyph, colour = GLYPHS[line.state]
            style = base + Style.parse(colour)
            if line.client == self.cursor:
                style += Style(reverse=True, bold=True)
                # Brackets would not fit: reversed, and marked on the other half, too.
                segments.append(Segment(f"{glyph}◂", style))
            else:
                segments.append(Segment(f"{glyph} ", style))
        width = self.scrollable_content_region.width
        return Strip(segments).adjust_cell_length(width, base)

    def action_move(self, across: int, down: int) -> None:
        """Move the cursor."""
        self._go(self.cursor + across + down * self.columns)

    def action_first(self) -> None:
        """Go to the first session."""
        self._go(0)

    def action_last(self) -> None:
        """Go to the last session."""
        self._go(len(self._board.lines) - 1)

    def _go(self, client: int) -> None:
        if not self._board.lines:
            return
        self.cursor = min(max(0, client), len(self._board.lines) - 1)
        self._keep_in_view()
        self.refresh()
        self.post_message(self.Moved(self.cursor))

    def _keep_in_view(self) -> None:
        row = self.cursor // self.columns
        self.scroll_to_region(Region(0, row, 1, 1), animate=False)


class SessionTable(DataTable[Text]):
    """One row a session."""

    DEFAULT_CSS = """
    SessionTable { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1;
        background: $background; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)

    def on_mount(self) -> None:
        """Make the columns."""
        for name, width in COLUMNS.items():
            right = name not in {"state", "replica"}
            label = Text(name, justify="right" if right else "left")
            self.add_column(label, key=name, width=width)

    def show(self, board: SessionBoard) -> None:
        """Show a board."""
        if self.row_count > len(board.lines):
            self.clear()
        fresh = self.row_count
        for line in board.lines:
            cells = session_cells(line)
            if line.client >= fresh:
                self.add_row(*cells, key=str(line.client))
                continue
            for column, cell in zip(COLUMNS, cells, strict=True):
                if self.get_cell(str(line.client), column) != cell:
                    self.update_cell(str(line.client), column, cell)


class Sessions(Vertical):
    """The sessions, as a table or as a grid, with how many are in each state."""

    DEFAULT_CSS = """
    Sessions { height: 1fr; min-height: 5; border: round $surface-lighten-2;
        border-title-color: $text; }
    Sessions > ContentSwitcher { height: 1fr; }
    Sessions > #session-counts { height: auto; max-height: 2; }
    Sessions:focus-within { border: round $primary; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = "sessions"
        self._turned = False
        """The other of the two than that which their number asks for."""
        self._seen: tuple[int, int] = (0, -1)
        self.client = 0
        """The session under the cursor."""

    def compose(self) -> ComposeResult:
        """Lay out both, of which one is seen."""
        with ContentSwitcher(initial="session-table"):
            yield SessionTable(id="session-table")
            yield SessionGrid(id="session-grid")
        yield Static("", id="session-counts")

    @property
    def as_grid(self) -> bool:
        """Whether the grid is seen."""
        return self.query_one(ContentSwitcher).current == "session-grid"

    def show(self, board: SessionBoard) -> None:
        """Show a board, if anything changed."""
        if self._seen == (id(board), board.version):
            return
        self._seen = (id(board), board.version)
        self.client = min(self.client, max(0, len(board.lines) - 1))
        self._choose(board)
        if self.as_grid:
            self.query_one(SessionGrid).show(board)
        else:
            self.query_one(SessionTable).show(board)
        self.query_one("#session-counts", Static).update(counts_text(board.counts()))

    def _choose(self, board: SessionBoard) -> None:
        grid = (len(board.lines) > FEW) is not self._turned
        if grid == self.as_grid:
            return
        focused = self.has_focus_within
        self.query_one(ContentSwitcher).current = "session-grid" if grid else "session-table"
        shown = self.query_one(SessionGrid if grid else SessionTable)
        if isinstance(shown, SessionGrid):
            shown.cursor = self.client
        if focused:
            shown.focus()

    def turn(self, board: SessionBoard) -> None:
        """Show the other of table and grid."""
        self._turned = not self._turned
        self._seen = (0, -1)
        self.show(board)

    def take_focus(self) -> None:
        """Give the keys to what is seen."""
        self.query_one(SessionGrid if self.as_grid else SessionTable).focus()

    @on(DataTable.RowHighlighted)
    def _highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        if event.row_key.value is not None and not self.as_grid:
            self._chosen(int(event.row_key.value))

    @on(SessionGrid.Moved)
    def _moved(self, event: SessionGrid.Moved) -> None:
        event.stop()
        self._chosen(event.client)

    def _chosen(self, client: int) -> None:
        self.client = client
        self.post_message(SessionChosen(client))
