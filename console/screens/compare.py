"""Runs, or series of runs, side by side."""

from collections.abc import Sequence
from typing import ClassVar, Final

from rich.console import Group, RenderableType
from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.widgets import Footer, Static
from textual.worker import get_current_worker

from console.rendering.comparing import distribution_lines
from console.rendering.comparison import comparison_tables, tables_width
from console.rendering.markdown import (
    comparison_markdown,
    distribution_markdown,
    series_markdown,
)
from console.rendering.run_list import plain
from console.rendering.series import series_tables
from console.screens.exporting import export
from console.screens.sections import SectionedScreen
from console.widgets.chart import Chart, Drawing, Line
from console.widgets.section_bar import SectionBar
from loadtest.comparison.model import Comparison
from loadtest.comparison.runs import compare
from loadtest.comparison.series import SeriesComparison, compare_series
from loadtest.comparison.sides import PERCENTILES, Sides
from loadtest.runfile import Run
from loadtest.verdict import Verdict

_SHOWN_SIDES: Final = 6


class CompareScreen(SectionedScreen):
    """What was configured differently, the figures, latency over time, who served whom."""

    HELP = """
## Comparison

The first run is what the others are held against. Behind each signed difference stands the interval
in which 95 % of such differences lie when other sessions are drawn from the same runs. *better* and
*worse* are said only where that interval leaves out 0 and the difference is large enough to matter;
*no difference shown* does not say that there is none. Figures of the machine are not judged.

`tab` goes from part to part, `p` changes the percentile that is drawn, `e` writes everything to a
file: Markdown, an HTML page, or a picture of the screen.
"""
    DEFAULT_CSS = """
    CompareScreen .part { display: none; }
    CompareScreen #comparison { height: 2fr; padding: 0 0 0 1; scrollbar-size-vertical: 1; }
    CompareScreen #comparison > #tables { width: 100%; }
    CompareScreen #overlay, CompareScreen #clients { height: 1fr; min-height: 8; }
    CompareScreen #sides { height: auto; padding: 0 1; }
    CompareScreen #served { height: 1fr; padding: 0 1; }
    CompareScreen.-section-figures #sides { display: none; }
    CompareScreen.-section-figures #comparison { display: block; }
    CompareScreen.-section-figures.-tall #overlay { display: block; }
    CompareScreen.-section-time #overlay { display: block; }
    CompareScreen.-section-clients #clients { display: block; }
    CompareScreen.-section-replicas #served { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "f",
            "section('figures')",
            "Figures",
            id="compare.figures",
            tooltip="All figures",
            show=False,
        ),
        Binding(
            "t",
            "section('time')",
            "Over time",
            id="compare.time",
            tooltip="Latency by second",
            show=False,
        ),
        Binding(
            "n",
            "section('clients')",
            "Over clients",
            id="compare.clients",
            tooltip="By clients",
            show=False,
        ),
        Binding(
            "r",
            "section('replicas')",
            "Replicas",
            id="compare.replicas",
            tooltip="Who served whom",
            show=False,
        ),
        Binding("p", "percentile", "Percentile", id="compare.percentile", tooltip="p50, p95, p99"),
        Binding("e", "export", "Export", id="compare.export", tooltip="Write it to a file"),
        Binding("escape,q", "app.pop_screen", "Back", id="compare.back"),
    ]

    def __init__(
        self,
        runs: Sequence[Run] = (),
        *,
        series: Sequence[Sequence[Run]] = (),
        verdict: Verdict | None = None,
    ) -> None:
        super().__init__()
        self._sides = Sides(series or [[run] for run in runs], series=bool(series))
        self._verdict = verdict
        self._percentile = "p50"
        self._comparison: Comparison | SeriesComparison | None = None

    @property
    def sections(self) -> Sequence[tuple[str, str, str]]:
        """Return the parts; over clients only series can be drawn."""
        return (
            ("figures", "f", "Figures"),
            ("time", "t", "Over time"),
            *((("clients", "n", "Over clients"),) if self._sides.series else ()),
            ("replicas", "r", "Replicas"),
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only the parts that there are."""
        if action == "section":
            return any(name in parameters for name, _, _ in self.sections)
        return True

    def compose(self) -> ComposeResult:
        """Lay out the verdict, if there is one, the parts and their names."""
        if self._verdict is not None:
            colour = "green" if self._verdict.passed else "red"
            yield Static(Text(self._verdict.sentence, style=f"bold {colour}"), id="verdict")
        yield SectionBar(self.sections)
        yield Static(self._names(), id="sides")
        with ScrollableContainer(id="comparison", classes="part"):
            yield Static(Text("Comparing …", style="dim"), id="tables")
        yield Chart("", id="overlay").add_class("part")
        yield Chart("latency p95 over clients, s", id="clients").add_class("part")
        with ScrollableContainer(id="served", classes="part"):
            yield Static("", id="distribution")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Draw the charts and begin to compare."""
        super().on_mount()
        self._show_courses()
        limit = self._sides.limit
        self.query_one("#clients", Chart).show(
            Drawing(
                lines=[Line(name, points) for name, points in self._sides.over_clients("p95")],
                empty="no whole run of the series has a p95 latency",
                limit=("SLO p95", limit) if limit is not None else None,
                lowest_top=0.1,
                clients=self._sides.all_counts,
            )
        )
        self._compare()

    def _names(self) -> Text:
        """Say which letter stands for what, where the table doesn't."""
        sides = self._sides
        named = list(zip(sides.letters, sides.names, sides.labels, strict=True))
        lines = [
            Text.assemble((f"{name}  ", "bold"), title, (f"  {plain(label)}", "dim"), no_wrap=True)
            for name, title, label in named[:_SHOWN_SIDES]
        ]
        if len(named) > _SHOWN_SIDES:
            lines.append(Text(f"… and {len(named) - _SHOWN_SIDES} more", style="dim"))
        return Text("\n").join(lines)

    def _show_courses(self) -> None:
        chart, percentile = self.query_one("#overlay", Chart), self._percentile
        over = f"time, {self._sides.which}" if self._sides.series else "the run"
        chart.border_title = Text(f"latency {percentile} over {over}, s")
        limit = self._sides.limit if percentile == "p95" else None
        chart.show(
            Drawing(
                lines=[Line(name, points) for name, points in self._sides.over_time(percentile)],
                empty="no run has a timeline",
                limit=("SLO p95", limit) if limit is not None else None,
                lowest_top=0.5,
                since=True,
            )
        )

    def action_percentile(self) -> None:
        """Draw the next percentile over time."""
        place = PERCENTILES.index(self._percentile)
        self._percentile = PERCENTILES[(place + 1) % len(PERCENTILES)]
        self._show_courses()
        if not self.query_one("#overlay").display:
            self.action_section("time")

    # --- the figures ----------------------------------------------------------------------------

    def _computed(self) -> Comparison | SeriesComparison:
        """Compare, once; thousands of sessions take seconds."""
        if self._comparison is None:
            groups = self._sides.groups
            self._comparison = (
                compare_series(groups)
                if self._sides.series
                else compare([run for runs in groups for run in runs])
            )
        return self._comparison

    @work(thread=True, exclusive=True, group="compare")
    def _compare(self) -> None:
        found, room = self._computed(), self.app.size.width - 2
        shown = (
            comparison_tables(found, width=room)
            if isinstance(found, Comparison)
            else series_tables(found, width=room)
        )
        width = tables_width(shown)
        served = distribution_lines(self._sides, width=self.app.size.width - 4)
        if not get_current_worker().is_cancelled:
            self.console_app.call_from_thread(self._show, shown, width, served)

    def _show(self, shown: Group, width: int, served: RenderableType) -> None:
        if not self.is_attached:
            return  # left while it was being computed
        tables = self.query_one("#tables", Static)
        # Wider than the screen it scrolls: figures cut short would be no figures.
        tables.styles.min_width = width
        tables.update(shown)
        self.query_one("#distribution", Static).update(served)

    # --- exporting ------------------------------------------------------------------------------

    def _markdown(self) -> str:
        found = self._computed()
        text = (
            comparison_markdown(found) if isinstance(found, Comparison) else series_markdown(found)
        )
        return text + distribution_markdown(self._sides)

    def _page(self) -> str:
        # Only who exports a page needs what draws it.
        from loadtest.report.comparison import comparison_page  # noqa: PLC0415

        return comparison_page(self._sides, self._computed())

    @work(group="export")
    async def action_export(self) -> None:
        """Ask in what form, and write what is compared to a file beside the runs."""
        first, second, *rest = self._sides.names
        stem = f"compare_{first}_{second}" + (f"_and_{len(rest)}_more" if rest else "")
        await export(self, stem, {"md": self._markdown, "html": self._page})
