"""The logs of all parts, or of one: merged, followed, filtered, saved."""

import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Footer, Input, OptionList

from console.logs.feed import OWN, LogFeed
from console.logs.filters import Filter, FilterError, parse_filter
from console.logs.lines import Entry, Level, LogBuffer
from console.screens.base import ConsoleScreen
from console.widgets.log_view import LogView
from console.widgets.part_list import ALL, Part, PartList
from console.widgets.screen_bar import ScreenBar
from stack.files import write_atomically
from stack.status import by_number

_TICK: Final = 0.1
_BATCH: Final = 2_000
"""Lines taken in a tick: more would hold the screen up."""
_PARTS_TICK: Final = 0.5
_PAUSE: Final = 0.15
"""Seconds without a key after which a filter is applied."""
_KNOWN: Final = 5_000


class LogsScreen(ConsoleScreen):
    """Read and follow what the parts write."""

    HELP = """
## Logs

All parts' lines merged by time, or one part's. ▲ is a warning, ✖ an error. A filter is plain text;
with `~` before it a regular expression, with `!` all lines *without* it. Scrolling up pauses, the
end goes on. Saving writes what is shown to the directory where the console was started.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "slash",
            "filter",
            "Filter",
            key_display="/",
            id="log.filter",
            tooltip="Filter the lines",
        ),
        Binding("f", "follow", "Follow", id="log.follow", tooltip="Follow the end, or stop"),
        Binding(
            "e", "level", "Errors", id="log.level", tooltip="Only warnings and errors; or all lines"
        ),
        Binding(
            "n",
            "next(1)",
            "Next",
            id="log.next",
            tooltip="Next match; next warning without a filter",
        ),
        Binding(
            "N",
            "next(-1)",
            "Before",
            id="log.previous",
            tooltip="Match before; warning before without a filter",
            show=False,
        ),
        Binding(
            "m",
            "context",
            "Marks",
            id="log.context",
            tooltip="All lines with matches marked; or matches only",
            show=False,
        ),
        Binding("w", "wrap", "Wrap", id="log.wrap", tooltip="Wrap long lines, or not"),
        Binding(
            "right",
            "part(1)",
            "Part",
            id="log.next_part",
            tooltip="Next part's log",
            key_display="←→",
        ),
        Binding(
            "left",
            "part(-1)",
            "Part before",
            id="log.previous_part",
            tooltip="Log of the part before",
            show=False,
        ),
        Binding("ctrl+s", "save", "Save", id="log.save", tooltip="Save what is shown to a file"),
        Binding(
            "escape", "back", "Back", id="log.back", tooltip="Leave the filter, then the screen"
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._buffer = LogBuffer()
        self._feed: LogFeed | None = None
        self._part = ""
        """The part that is read; ``""``: all."""
        self._filter = Filter()
        self._least = Level.PLAIN
        self._all_lines = False
        """Whether lines that don't match are shown, too."""
        self._dropped = 0
        self._stale = False
        """Whether lines came while another screen was shown."""
        self._typing: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay out the parts, the lines and the filter."""
        yield ScreenBar("logs")
        with Horizontal(id="log-area"):
            yield PartList(id="parts")
            yield LogView(id="log")
        yield Input(placeholder="text · ~regular expression · !without", id="filter", compact=True)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Begin reading."""
        self.query_one("#parts").border_title = "parts"
        self.query_one("#filter").display = False
        self._view.focus()
        self._show_title()
        self._show_parts()
        engine = self.console_app.engine
        self._feed = LogFeed(engine, lambda: self._buffer.recent(_KNOWN))
        self.run_worker(self._feed.follow(), group="log", exclusive=True)
        self.set_interval(_TICK, self._take)
        self.set_interval(_PARTS_TICK, self._show_parts)

    def on_screen_resume(self) -> None:
        """Show what came meanwhile."""
        super().on_screen_resume()
        if self._stale:
            self._rebuild()

    @property
    def _view(self) -> LogView:
        return self.query_one(LogView)

    # --- what comes -----------------------------------------------------------------------------

    def _take(self) -> None:
        lines = self._feed.take(_BATCH) if self._feed is not None else []
        if not lines:
            return
        named = len(self._buffer.written)
        fresh = self._buffer.add(lines)
        accepts = self._filter.accepts
        for entry in fresh:
            entry.matched = accepts(entry.text)
        if not self.is_current:
            self._stale = True
        elif self._dropped != self._buffer.dropped or named != len(self._buffer.written):
            self._rebuild(missed=sum(map(self._shows, fresh)))
        else:
            self._view.append([entry for entry in fresh if self._shows(entry)])
            self._show_title()

    def _shows(self, entry: Entry) -> bool:
        return (
            (not self._part or entry.source == self._part)
            and entry.level >= self._least
            and (self._all_lines or entry.matched)
        )

    def _rebuild(self, missed: int = 0) -> None:
        """Choose anew what is shown; ``missed`` lines of it are new."""
        self._stale = False
        self._dropped = self._buffer.dropped
        shown = [entry for entry in self._buffer.entries if self._shows(entry)]
        view = self._view
        view.filter = self._filter
        view.empty = self._nothing()
        view.show(shown, [] if self._part else self._buffer.sources())
        if not view.following:
            view.missed += missed
        self._show_title()

    def _nothing(self) -> str:
        what = self._words()
        return f"No line yet of {what}." if what != ALL else "No line yet."

    def _words(self) -> str:
        words = [self._part or ALL]
        if self._least > Level.PLAIN:
            words.append("warnings and errors")
        if self._filter:
            words.append(("all lines, marked: " if self._all_lines else "") + self._filter.words)
        return ", ".join(words)

    @on(LogView.Moved)
    def _show_title(self) -> None:
        view = self._view
        # As content: what is typed into the filter may hold brackets.
        view.border_title = Content(f"{self._words()}  {len(view.entries):,} lines")
        paused = f"paused, {view.missed:,} new" if view.missed else "paused"
        view.border_subtitle = "following" if view.following else paused

    def _show_parts(self) -> None:
        if not self.is_current:
            return
        troubles = self._buffer.troubles
        alive = self._alive()
        names = _ordered(alive | set(self._buffer.sources()))
        parts = [Part("", running=True, troubles=troubles.total())]
        parts += [Part(name, name in alive | {OWN}, troubles[name]) for name in names]
        self.query_one(PartList).show(parts, self._part)

    def _alive(self) -> set[str]:
        status = self.console_app.live.status
        names = {replica.name for replica in status.replicas}
        if status.balancer is not None and status.balancer.alive:
            names.add("balancer")
        return names | ({"supervisor"} if status.supervised else set())

    # --- one part or all ------------------------------------------------------------------------

    def choose(self, part: str) -> None:
        """Read this part's log; with ``""`` all."""
        if part == self._part:
            return
        self._part = part
        self._view.current = None
        self._view.following = True
        self._rebuild()
        self._show_parts()

    @on(OptionList.OptionHighlighted)
    def _chosen(self, event: OptionList.OptionHighlighted) -> None:
        self.choose(self.query_one(PartList).name_at(event.option_index))

    def action_part(self, step: int) -> None:
        """Read the next part's log."""
        names = ["", *_ordered(set(self._buffer.sources()) | self._alive())]
        here = names.index(self._part) if self._part in names else 0
        self.choose(names[(here + step) % len(names)])

    # --- filtering ------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Ask what the lines must hold."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        if self._typing is not None:
            self._typing.stop()
        self._typing = self.set_timer(_PAUSE, self._apply)

    def _apply(self) -> bool:
        field = self.query_one("#filter", Input)
        try:
            wanted = parse_filter(field.value)
        except FilterError as error:
            field.border_subtitle = Content(str(error))
            field.add_class("-bad")
            return False
        field.border_subtitle = ""
        field.remove_class("-bad")
        if wanted != self._filter:
            self._filter = wanted
            accepts = wanted.accepts
            for entry in self._buffer.entries:
                entry.matched = accepts(entry.text)
            self._view.current = None
            self._rebuild()
        return True

    @on(Input.Submitted, "#filter")
    def _done(self) -> None:
        if self._typing is not None:
            self._typing.stop()
        if self._apply():
            self.query_one("#filter").display = bool(self._filter)
            self._view.focus()

    def action_level(self) -> None:
        """Only warnings and errors; or all lines."""
        self._least = Level.PLAIN if self._least else Level.WARNING
        self._rebuild()

    def action_context(self) -> None:
        """All lines with matches marked; or matches only."""
        self._all_lines = not self._all_lines
        self._rebuild()

    def action_next(self, step: int) -> None:
        """Next match; next warning without a filter."""
        entries = self._view.entries
        if self._filter:
            wanted = [index for index, entry in enumerate(entries) if entry.matched]
        else:
            wanted = [index for index, entry in enumerate(entries) if entry.level > Level.PLAIN]
        if not self._view.jump(step, wanted):
            what = self._filter.words or "warnings or errors"
            self.console_app.say(f"There are no {what} here.")

    # --- the rest -------------------------------------------------------------------------------

    def action_follow(self) -> None:
        """Stop following, or go on."""
        self._view.follow(not self._view.following)

    def action_wrap(self) -> None:
        """Wrap long lines, or let them go on beyond the edge."""
        self._view.wrap(not self._view.wrapped)

    def action_save(self) -> None:
        """Save what is shown."""
        entries, one = list(self._view.entries), bool(self._part)
        if not entries:
            self.console_app.say("There is no line to save.", severity="warning")
            return
        stamp = datetime.fromtimestamp(time.time(), UTC).strftime("%Y%m%d_%H%M%S")
        stack = self.console_app.live.status.name
        path = Path.cwd() / f"log_{stack}_{self._part or 'all'}_{stamp}.txt"
        self.run_worker(partial(self._save, path, entries, one), thread=True, group="save")

    def _save(self, path: Path, entries: list[Entry], one: bool) -> None:
        app = self.console_app
        width = 0 if one else max(len(entry.source) for entry in entries) + 1
        text = "".join(f"{'' if one else entry.source:<{width}}{entry.text}\n" for entry in entries)
        try:
            write_atomically(path, text.encode("utf-8", "replace"), mode=0o600)
        except OSError as error:
            sentence = (
                f"{path} can't be written ({error.strerror or error}): start the console in a "
                "directory that you may write."
            )
            app.call_from_thread(app.failed, "log", OSError(sentence))
            return
        sentence = f"Saved {len(entries):,} lines in {path}."
        app.call_from_thread(app.say, sentence)
        app.call_from_thread(app.happened, "log", sentence)

    def action_back(self) -> None:
        """Leave the filter, then the screen."""
        field = self.query_one("#filter", Input)
        if field.display:
            field.value = ""
            field.display = False
            self._apply()
            self._view.focus()
        else:
            self.console_app.action_show("dashboard")


def _ordered(names: set[str]) -> list[str]:
    """Return the replicas by number, then the other parts, and what the console says itself."""
    replicas = [name for name in names if name[-1:].isdigit()]
    rest = sorted(names - set(replicas) - {OWN})
    return [*by_number(replicas), *rest, *({OWN} & names)]
