"""What a series found."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, ScrollableContainer
from textual.widgets import Footer, Static

from console.rendering.analysis import analysis_markdown, analysis_tables
from console.screens.exporting import export
from console.screens.sections import SectionedScreen
from console.widgets.chart import Chart, Drawing, Line
from console.widgets.section_bar import SectionBar
from loadtest.analysis.model import Analysis, StepFigures
from loadtest.runfile import Run


class AnalysisScreen(SectionedScreen):
    """The answer, what it rests on, and how figures change with the number of clients."""

    HELP = """
## Analysis

The answer first: how many clients met the SLO, and how many to plan with. *Broke first* names what
kept the next larger step from meeting it, with its figures; a claim without figures is not made.
The inflection is the last step before latency grows faster than load. `e` writes it to a file:
Markdown, the HTML report of `whisperctl report`, or a picture of the screen.
"""
    DEFAULT_CSS = """
    AnalysisScreen .part { display: none; }
    AnalysisScreen #analysis { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    AnalysisScreen.-tall #analysis { height: auto; max-height: 60%; }
    AnalysisScreen #curves { height: 1fr; min-height: 8; }
    AnalysisScreen #curves Chart { width: 1fr; height: 1fr; }
    AnalysisScreen.-narrow #curves { layout: vertical; }
    AnalysisScreen.-section-answer #analysis { display: block; }
    AnalysisScreen.-section-answer.-tall #curves { display: block; }
    AnalysisScreen.-section-curves #curves { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f",
            "section('answer')",
            "Answer",
            id="analysis.answer",
            tooltip="Verdict and steps",
            show=False,
        ),
        Binding(
            "t",
            "section('curves')",
            "Curves",
            id="analysis.curves",
            tooltip="Over clients",
            show=False,
        ),
        Binding("e", "export", "Export", id="analysis.export", tooltip="Write it to a file"),
        Binding("escape,q", "app.pop_screen", "Back", id="analysis.back"),
    ]

    def __init__(
        self, analysis: Analysis, limit: float | None, *, runs: Sequence[Run] = ()
    ) -> None:
        super().__init__()
        self._analysis = analysis
        self._limit = limit
        """Seconds: the SLO's p95 latency."""
        self._runs = runs
        """What the HTML report is made of."""

    @property
    def sections(self) -> Sequence[tuple[str, str, str]]:
        """Return the parts."""
        return (("answer", "f", "Answer"), ("curves", "t", "Curves"))

    def compose(self) -> ComposeResult:
        """Lay out the sentences with the table, and the charts."""
        yield SectionBar(self.sections)
        with ScrollableContainer(id="analysis", classes="part"):
            yield Static(analysis_tables(self._analysis), id="findings")
        with Horizontal(id="curves", classes="part"):
            yield Chart("latency over clients, s", id="by-clients")
            yield Chart("errors over clients, %", id="errors")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Draw the charts."""
        super().on_mount()
        steps = self._analysis.steps
        counts = [step.clients for step in steps]
        self.query_one("#by-clients", Chart).show(
            Drawing(
                lines=[
                    self._line("median", lambda step: step.median),
                    self._line("p95", lambda step: step.p95),
                ],
                empty="no step measured a latency",
                limit=("SLO p95", self._limit) if self._limit is not None else None,
                lowest_top=0.1,
                clients=counts,
            )
        )
        self.query_one("#errors", Chart).show(
            Drawing(
                lines=[
                    self._line("WER", lambda step: _percent(step.wer)),
                    self._line(
                        "failed sessions",
                        lambda step: _percent(
                            step.failed / step.sessions if step.sessions else None
                        ),
                    ),
                ],
                empty="nothing is known of errors",
                lowest_top=1.0,
                clients=counts,
            )
        )

    def _line(self, name: str, figure: Callable[[StepFigures], float | None]) -> Line:
        found = [(float(step.clients), figure(step)) for step in self._analysis.steps]
        known = [(clients, value) for clients, value in found if value is not None]
        return Line(name, ([clients for clients, _ in known], [value for _, value in known]))

    def _page(self) -> str:
        # Only who exports a page needs what draws it.
        from loadtest.report.page import series_page  # noqa: PLC0415

        return series_page(self._runs)

    @work(group="export")
    async def action_export(self) -> None:
        """Ask in what form, and write the analysis to a file beside the runs."""
        makers: dict[str, Callable[[], str]] = {"md": lambda: analysis_markdown(self._analysis)}
        if self._runs:
            makers["html"] = self._page
        await export(self, f"analysis_{self._analysis.series_id}", makers)


def _failed(step: StepFigures) -> float | None:
    return _percent(step.failed / step.sessions) if step.sessions else None


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100
