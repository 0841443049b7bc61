"""One client's text as it comes, beside what it said."""

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static
from textual.worker import get_current_worker

from console.rendering.sessions import GLYPHS, MARKS, Compared, compare_text, text_lines
from loadtest.sessions import SessionBoard, SessionLine, SessionText


class Transcript(VerticalScroll):
    """The text of the session under the cursor."""

    DEFAULT_CSS = """
    Transcript { height: 1fr; min-height: 5; border: round $surface-lighten-2; padding: 0 1;
        border-title-color: $text; border-subtitle-color: $text-muted;
        scrollbar-size-vertical: 1; }
    Transcript:focus { border: round $primary; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = "text"
        self.border_subtitle = MARKS
        self._text: SessionText | None = None
        self._line: SessionLine | None = None
        self._compared: Compared | None = None

    def compose(self) -> ComposeResult:
        """Lay out the text."""
        yield Static("", id="transcript-text", markup=False)

    def show(self, board: SessionBoard, client: int) -> None:
        """Show a client's text, if it is another than before."""
        text = board.text(client)
        if text is None:
            return
        line = board.lines[client]
        glyph, colour = GLYPHS[line.state]
        # As text: a replica's name comes from a server.
        self.border_title = Text.assemble(
            f"client {client}  ", (glyph, colour), f" {line.state.value}  {line.replica or ''}"
        )
        before, self._text, self._line = self._text, text, line
        if text != before:
            self._compare(text)
        elif self._compared is not None:
            self._draw()

    @work(thread=True, exclusive=True, group="transcript")
    def _compare(self, text: SessionText) -> None:
        """Align the words beside the console: of a long text it takes a while."""
        compared = compare_text(text)
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._take, compared)

    def _take(self, compared: Compared) -> None:
        if self.is_attached:
            self._compared = compared
            self._draw()

    def _draw(self) -> None:
        line, compared = self._line, self._compared
        if line is None or compared is None or line.client != compared.text.client:
            return
        close = self.screen.has_class("-short")
        shown = text_lines(line, compared, close=close)
        self.query_one("#transcript-text", Static).update(shown)
