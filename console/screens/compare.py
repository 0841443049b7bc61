"""Runs side by side."""

from typing import ClassVar

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.widgets import Footer, Static

from console.render import comparison_tables
from console.screens.base import ConsoleScreen
from console.widgets.chart import Chart, Drawing, Line
from loadtest.compare import compare
from loadtest.runfile import Run
from loadtest.verdict import Verdict


class CompareScreen(ConsoleScreen):
    """What was configured differently, the figures, and latency over time."""

    HELP = """
## Comparison

The first run is what the others are held against. Differences are signed; *better* and *worse*
stand beside every difference that is more than noise, where one way is better.
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
            shown = comparison_tables(compare(self._runs))
            tables = Static(shown, id="tables")
            # Wider than the screen it scrolls: figures cut short would be no figures.
            tables.styles.min_width = _width(shown)
            yield tables
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

    def _redraw(self) -> None:
        chart = self.query_one(Chart)
        if chart.stale:
            chart.redraw()


def _width(shown: RenderableType) -> int:
    """Return the columns that this takes when nothing is cut short."""
    console = Console(width=2000)
    return Measurement.get(console, console.options, shown).maximum
