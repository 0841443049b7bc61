"""A part's log: the end of it, and what comes."""

import re
from collections import deque
from typing import ClassVar, Final

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Footer, Input, Log

from console.screens.base import ConsoleScreen
from console.widgets.screen_bar import ScreenBar
from stack.engine import StackError

LINES_KEPT: Final = 5000
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
"""What a log may hold that would paint over the screen."""


class LogsScreen(ConsoleScreen):
    """Read and follow one replica's log."""

    HELP = """
## Log

New lines come in as they are written. `/` filters, `f` stops and goes on following.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="log.filter"),
        Binding("f", "follow", "Follow", id="log.follow", tooltip="Stop or go on following"),
        Binding("escape", "back", "Back", id="log.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._replica = ""
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._filter = ""

    def compose(self) -> ComposeResult:
        """Lay out the log and the filter."""
        yield ScreenBar("logs")
        yield Log(id="log", max_lines=LINES_KEPT, highlight=False)
        yield Input(placeholder="only lines with …", id="filter")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin reading."""
        self.query_one("#filter").display = False
        self._title()
        self.query_one(Log).focus()

    def on_screen_resume(self) -> None:
        """Read the first replica's log where none was chosen."""
        super().on_screen_resume()
        replicas = self.console_app.live.status.replicas
        if not self._replica and replicas:
            self.choose(replicas[0].name)

    def choose(self, replica: str) -> None:
        """Read this replica's log."""
        self._replica = replica
        self._lines.clear()
        self.query_one(Log).clear()
        self._title()
        self._read()

    def _title(self) -> None:
        log = self.query_one(Log)
        note = f", lines with '{self._filter}'" if self._filter else ""
        # As text: what is typed into the filter may hold brackets.
        log.border_title = Text(f"log of {self._replica}{note}")
        log.border_subtitle = "following" if log.auto_scroll else "not following: press f"

    @work(exclusive=True, group="log")
    async def _read(self) -> None:
        log = self.query_one(Log)
        try:
            async for line in self.console_app.engine.logs(self._replica, follow=True, tail=1000):
                text = _CONTROL.sub("", line.text)
                self._lines.append(text)
                if self._filter in text.lower():
                    log.write_line(text)
        except StackError as error:
            self.console_app.say(str(error), severity="error")

    def action_follow(self) -> None:
        """Stop following, or go on."""
        log = self.query_one(Log)
        log.auto_scroll = not log.auto_scroll
        if log.auto_scroll:
            log.scroll_end(animate=False)
        self._title()

    def action_filter(self) -> None:
        """Ask what the lines must hold."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def _apply(self, event: Input.Changed) -> None:
        self._filter = event.value.lower()
        log = self.query_one(Log)
        log.clear()
        log.write_lines([line for line in self._lines if self._filter in line.lower()])
        self._title()

    @on(Input.Submitted, "#filter")
    def _done(self) -> None:
        self.query_one(Log).focus()

    def action_back(self) -> None:
        """Leave the filter, then the screen."""
        field = self.query_one("#filter", Input)
        if field.display:
            field.value = ""
            field.display = False
            self.query_one(Log).focus()
        else:
            self.console_app.action_show("dashboard")
