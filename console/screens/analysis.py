"""What a series found."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.widgets import Footer, Static

from console.rendering.analysis import analysis_tables
from console.screens.base import ConsoleScreen
from console.widgets.chart import Chart, Drawing, Line
from loadtest.analysis.model import Analysis, StepFigures


class AnalysisScreen(ConsoleScreen):
    """The answer, what it rests on, and latency over the number of clients."""

    HELP = """
## Analysis

The answer first: how many clients met the SLO, and how many to plan with. *Broke first* names what
kept the next larger step from meeting it, with its figures; a claim without figures is not made.
The inflection is the last step before latency grows faster than load.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "app.pop_screen", "Back", id="analysis.back"),
    ]

    def __init__(self, analysis: Analysis, limit: float | None) -> None:
        super().__init__()
        self._analysis = analysis
        self._limit = limit
        """Seconds: the SLO's p95 latency."""

    def compose(self) -> ComposeResult:
        """Lay out the sentences with the table, and the chart."""
        with ScrollableContainer(id="analysis"):
            yield Static(analysis_tables(self._analysis), id="findings")
        yield Chart("latency over clients, s", id="by-clients")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Draw the chart."""
        steps = self._analysis.steps
        median = [(step, step.median) for step in steps]
        worst = [(step, step.p95) for step in steps]
        self.query_one(Chart).show(
            Drawing(
                lines=[_line("median", median), _line("p95", worst)],
                empty="no step measured a latency",
                limit=("SLO p95", self._limit) if self._limit is not None else None,
                lowest_top=0.1,
                clients=[step.clients for step in steps],
            )
        )
        self.set_interval(0.2, self._redraw)
        self.query_one("#analysis").focus()

    def _redraw(self) -> None:
        chart = self.query_one(Chart)
        if chart.display and chart.stale:
            chart.redraw()


def _line(name: str, points: list[tuple[StepFigures, float | None]]) -> Line:
    known = [(float(step.clients), value) for step, value in points if value is not None]
    return Line(name, ([clients for clients, _ in known], [value for _, value in known]))
