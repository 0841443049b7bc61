"""Saved runs: list, details, marking two or more to compare."""

from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Static
from textual.worker import get_current_worker

from console.render import run_details
from console.screens.analysis import AnalysisScreen
from console.screens.base import ConsoleScreen
from console.screens.compare import CompareScreen
from console.widgets.screen_bar import ScreenBar
from loadtest.analysis.series import analyse
from loadtest.figures import Unit, format_figure
from loadtest.runfile import Run
from loadtest.store import RunEntry, RunFileError

COLUMNS = ("", "run", "clients", "audio", "p95", "WER", "success", "status", "label")
_MARK = "✓"


class RunsScreen(ConsoleScreen):
    """Find, read and mark saved runs."""

    HELP = """
## Runs

Every step of a load series is one run, newest first. Mark two or more with the space bar and
compare them with `c`; the first marked is what the others are held against. `a` says what the
whole series of a run found. Files that are broken or not ours are listed, and left alone.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", id="runs.mark", tooltip="Mark the run for comparing"),
        Binding("c", "compare", "Compare", id="runs.compare", tooltip="Compare the marked runs"),
        Binding("a", "analyse", "Analyse", id="runs.analyse", tooltip="Say what its series found"),
        Binding("f5", "refresh", "Refresh", id="runs.refresh", tooltip="Read the directory again"),
        Binding("escape", "app.show('dashboard')", "Back", id="runs.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._entries: dict[str, RunEntry] = {}
        self._marked: list[str] = []

    def compose(self) -> ComposeResult:
        """Lay out the list and the details."""
        yield ScreenBar("runs")
        yield DataTable[str | Text](id="runs", cursor_type="row")
        with VerticalScroll(id="details"):
            yield Static("", id="detail")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Make the columns."""
        table = self.query_one(DataTable)
        for number, name in enumerate(COLUMNS):
            right = 2 <= number <= 6
            table.add_column(Text(name, justify="right" if right else "left"), key=name or "mark")
        self.query_one("#details").border_title = "details"

    def on_screen_resume(self) -> None:
        """Read the directory again: a load may have finished meanwhile."""
        self.action_refresh()

    @work(thread=True, exclusive=True, group="runs")
    def action_refresh(self) -> None:
        """Read the results directory."""
        entries = self.console_app.store.entries()
        if not get_current_worker().is_cancelled:
            self.console_app.call_from_thread(self._fill, entries)

    def _fill(self, entries: list[RunEntry]) -> None:
        self._entries = {entry.path.name: entry for entry in entries}
        self._marked = [name for name in self._marked if name in self._entries]
        table = self.query_one(DataTable)
        row = table.cursor_row
        table.clear()
        for name, entry in self._entries.items():
            table.add_row(*_cells(entry, name in self._marked), key=name)
        if entries:
            table.move_cursor(row=min(row, len(entries) - 1))
        else:
            self.query_one("#detail", Static).update(
                Text(
                    f"No run in {self.console_app.store.directory} yet: "
                    "press 1, then l to start a load."
                )
            )
        # As text: a directory's name may hold brackets, which are markup in a plain string.
        directory = self.console_app.store.directory
        table.border_title = Text(f"{len(entries)} runs in {directory}")

    def _current(self) -> str | None:
        table = self.query_one(DataTable)
        if not table.row_count:
            return None
        return str(table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value)

    @on(DataTable.RowHighlighted)
    def _show_details(self) -> None:
        name = self._current()
        if name is not None:
            self._read(self._entries[name])

    @work(thread=True, exclusive=True, group="detail")
    def _read(self, entry: RunEntry) -> None:
        problem: str | None = entry.problem
        run: Run | None = None
        if problem is None:
            try:
                run = self.console_app.store.load(str(entry.path))
            except RunFileError as error:
                problem = str(error)
        if not get_current_worker().is_cancelled:
            self.console_app.call_from_thread(self._show_run, run, problem or "")

    def _show_run(self, run: Run | None, problem: str) -> None:
        shown = run_details(run) if run is not None else Text(problem, style="yellow")
        self.query_one("#detail", Static).update(shown)

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor."""
        name = self._current()
        if name is None:
            return
        if self._entries[name].problem is not None:
            self.console_app.say("This file can't be compared.", severity="warning")
            return
        if name in self._marked:
            self._marked.remove(name)
        else:
            self._marked.append(name)
        table = self.query_one(DataTable)
        table.update_cell(name, "mark", _MARK if name in self._marked else "")
        table.action_cursor_down()
        self.refresh_bindings()

    def action_compare(self) -> None:
        """Open the comparison of the marked runs."""
        if len(self._marked) < 2:
            self.console_app.say(
                "Mark two or more runs with the space bar first.", severity="warning"
            )
            return
        self._compare([str(self._entries[name].path) for name in self._marked])

    @work(thread=True, exclusive=True, group="compare")
    def _compare(self, paths: list[str]) -> None:
        try:
            runs = [self.console_app.store.load(path) for path in paths]
        except RunFileError as error:
            self.console_app.call_from_thread(self.console_app.say, str(error), severity="error")
            return
        self.console_app.call_from_thread(self.console_app.push_screen, CompareScreen(runs))

    def action_analyse(self) -> None:
        """Open the analysis of the series that the run under the cursor is of."""
        name = self._current()
        series = self._entries[name].series_id if name is not None else None
        if series is None:
            self.console_app.say("This file is no run of a series.", severity="warning")
            return
        self._analyse(series)

    @work(thread=True, exclusive=True, group="analyse")
    def _analyse(self, series: str) -> None:
        try:
            runs = self.console_app.store.load_series(series)
        except RunFileError as error:
            self.console_app.call_from_thread(self.console_app.say, str(error), severity="error")
            return
        limit = runs[0].test_configuration.slo.p95_latency
        screen = AnalysisScreen(analyse(runs), limit)
        self.console_app.call_from_thread(self.console_app.push_screen, screen)


def _cells(entry: RunEntry, marked: bool) -> list[str | Text]:
    mark = _MARK if marked else ""
    if entry.problem is not None:
        problem = Text(entry.problem, style="italic yellow")
        return [mark, Text(entry.path.name, style="bright_black"), *[""] * 5, "unusable", problem]
    ended = (entry.successful or 0) + (entry.failed or 0)
    figures = (
        format_figure(entry.clients, Unit.COUNT),
        format_figure(entry.audio_duration, Unit.SECONDS),
        format_figure(entry.p95_latency, Unit.SECONDS),
        format_figure(entry.wer, Unit.FRACTION),
        f"{entry.successful}/{ended}",
    )
    return [
        mark,
        entry.run_id or "",
        *(Text(figure, justify="right") for figure in figures),
        entry.status or "",
        Text(entry.label or ""),
    ]
