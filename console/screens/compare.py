"""Runs side by side."""

from typing import ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.widgets import Footer, Static
from textual.worker import get_current_worker

from console.rendering.comparison import comparison_tables, tables_width
from console.screens.base import ConsoleScreen
from console.widgets.chart import Chart, Drawing, Line
from loadtest.comparison.runs import compare
from loadtest.runfile import Run
from loadtest.verdict import Verdict


class CompareScreen(ConsoleScreen):
    """What was configured differently, the figures, and latency over time."""

    HELP = """
## Comparison

The first run is what the others are held against. Behind each signed difference stands the interval
in which 95 % of such differences lie when other sessions are drawn from the same runs. *better* and
*worse* are said only where that interval leaves out 0 and the difference is large enough to matter;
*no difference shown* does not say that there is none. Figures of the machine are not judged.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back", id="compare.back"),
    ]

    def __init__(self, runs: list[Run], *, verdict: Verdict | None = None) -> None:
        super().__init__()
        self._runs = runs
        self._verdict = verdict

    def compose(self) -> ComposeResult:
        """Lay out the verdict, if there is one, the tables and the chart."""
        if self._verdict is not None:
            colour = "green" if self._verdict.passed else "red"
            yield Static(Text(self._verdict.sentence, style=f"bold {colour}"), id="verdict")
        with ScrollableContainer(id="comparison"):
            yield Static(Text("Comparing …", style="dim"), id="tables")
        yield Chart("latency p50 over the run, s", id="overlay")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Draw latency over time, one line a run."""
        lines = []
        for number, run in enumerate(self._runs):
            rows = [row for row in run.timeline if row.latency_p50 is not None]
            points = ([row.time for row in rows], [row.latency_p50 or 0.0 for row in rows])
            lines.append(Line(chr(ord("A") + number), points))
        chart = self.query_one(Chart)
        chart.show(Drawing(lines=lines, empty="no run has a timeline", lowest_top=0.5, since=True))
        self.set_interval(0.2, self._redraw)
        self.query_one("#comparison").focus()
        self._compare()

    @work(thread=True, exclusive=True, group="compare")
    def _compare(self) -> None:
        """Compute the comparison; thousands of sessions take seconds."""
        shown = comparison_tables(compare(self._runs), width=self.app.size.width - 2)
        width = tables_width(shown)
        if not get_current_worker().is_cancelled:
            self.console_app.call_from_thread(self._show, shown, width)

    def _show(self, shown: RenderableType, width: int) -> None:
        if not self.is_attached:
            return  # left while it was being computed
        tables = self.query_one("#tables", Static)
        # Wider than the screen it scrolls: figures cut short would be no figures.
        tables.styles.min_width = width
        tables.update(shown)

    def _redraw(self) -> None:
        chart = self.query_one(Chart)
        if chart.stale:
            chart.redraw()
