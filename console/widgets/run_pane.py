"""What is known of the run under the cursor: verdict, latency over time, figures, events."""

import asyncio
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from console.rendering.run import run_head, run_rest, series_details
from console.rendering.run_list import UNUSABLE, Row
from console.rest_render import rest_details
from console.widgets.chart import Chart, Drawing, Line
from loadtest.comparison.sides import PERCENTILES, latency_course
from loadtest.entries import Kind, RunFileError
from loadtest.rest.store import read_report
from loadtest.runfile import Run
from loadtest.store import read_run

_LINGER: Final = 0.12
"""Seconds that the cursor stays on a run before it is read: who scrolls by reads none."""


class RunPane(VerticalScroll):
    """Scrolls; the chart is there for runs that have a timeline."""

    DEFAULT_CSS = """
    RunPane {
        height: 1fr; border: round $surface-lighten-2; margin: 0 1; padding: 0 1;
        border-title-color: $text; border-subtitle-color: $text-muted; scrollbar-size-vertical: 1;
        &:focus { border: round $primary; }
        & > Static { height: auto; }
        & > Chart { height: 12; margin-top: 1; margin-bottom: 1; }
    }
    .-short RunPane > Chart { height: 9; }
    """

    def compose(self) -> ComposeResult:
        """Lay out what comes before the chart, the chart, and what comes after."""
        yield Static("", id="detail", markup=False)
        yield Chart("latency over the run, s", id="course")
        yield Static("", id="more", markup=False)

    def on_mount(self) -> None:
        """Hide what has nothing to show yet."""
        self.border_title = "details"
        self.query_one(Chart).display = False
        self.set_interval(0.2, self._redraw)

    def _redraw(self) -> None:
        chart = self.query_one(Chart)
        if chart.display and chart.stale and self.screen.is_current:
            chart.redraw()

    @work(exclusive=True, group="detail")
    async def show_row(self, row: Row) -> None:
        """Show what a line of the list stands for; a file is read beside the console."""
        entry = row.entry
        if entry is None:
            hidden = row.total - len(row.members)
            unusable = Text("Broken files and files of others: they are left alone.")
            self.show_text(
                unusable if row.series == UNUSABLE else series_details(row.members, hidden=hidden)
            )
            return
        if entry.problem is not None:
            self.show_text(Text(entry.problem, style="yellow"))
            return
        await asyncio.sleep(_LINGER)
        try:
            if entry.kind is Kind.REST:
                self.show_text(rest_details(await asyncio.to_thread(read_report, entry.path)))
            else:
                self.show_run(await asyncio.to_thread(read_run, entry.path))
        except RunFileError as error:
            self.show_text(Text(str(error), style="yellow"))

    def show_run(self, run: Run) -> None:
        """Show a run."""
        if not self.query("#detail"):
            return  # the console was left while it was being read
        lines = [Line(name, latency_course(run, name)) for name in PERCENTILES[:2]]
        limit = run.test_configuration.slo.p95_latency
        chart = self.query_one(Chart)
        chart.display = any(line.points[0] for line in lines)
        chart.show(
            Drawing(
                lines=lines,
                empty="",
                limit=("SLO p95", limit) if limit is not None else None,
                lowest_top=0.5,
                since=True,
            )
        )
        self._put(Group(*run_head(run)), Group(*run_rest(run)))

    def show_text(self, shown: RenderableType) -> None:
        """Show something that is no run."""
        if not self.query("#detail"):
            return
        self.query_one(Chart).display = False
        self._put(shown, "")

    def _put(self, head: RenderableType, more: RenderableType) -> None:
        self.query_one("#detail", Static).update(head)
        self.query_one("#more", Static).update(more)
        self.scroll_home(animate=False)
