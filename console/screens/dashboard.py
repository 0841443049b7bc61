"""The dashboard: the stack, its replicas, live charts, the load, what happened."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical
from textual.widgets import DataTable, Footer

from console.history import History
from console.live import Live
from console.screens.operated import OperatedScreen
from console.widgets.bars import CardBar, Events, LoadBar, StackBar
from console.widgets.chart import Chart, Drawing, Line
from console.widgets.replica_table import ReplicaTable
from console.widgets.screen_bar import ScreenBar

CHARTS = ("latency", "distribution", "words", "utilisation")


class DashboardScreen(OperatedScreen):
    """Watch and operate the stack."""

    HELP = """
## Dashboard

One row a replica; the charts show the last five minutes. Everything the stack does is in the
events at the bottom. Nothing here ends when you quit unless you say so.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "app.load", "Load", id="load.start", tooltip="Start a load series"),
        Binding("s", "app.stop_load", "Stop", id="load.stop", tooltip="Stop the load series"),
        Binding(
            "enter", "open_log", "Log", id="replica.log", tooltip="Read the selected replica's log"
        ),
        Binding("v", "next_chart", "Chart", id="chart.next", tooltip="Show the next chart"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._chart = 0

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield ScreenBar("dashboard")
        yield StackBar(id="stack-bar")
        yield ReplicaTable(id="replicas")
        yield CardBar(id="cards")
        with Grid(id="charts"):
            yield Chart("latency, s", id="latency")
            yield Chart("sessions per replica", id="distribution")
            yield Chart("word error rate, %", id="words")
            yield Chart("CPU, % of a core", id="utilisation")
        with Vertical(id="below"):
            yield LoadBar(id="load-bar")
            yield Events(id="events")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Follow the app's snapshots; redraw one chart at a time, so that none blocks for long."""
        self._show_chart()
        self.watch(self.console_app, "live", self._show)
        self.set_interval(0.15, self._redraw_one)

    def _show(self, live: Live) -> None:
        self.query_one(StackBar).show(live)
        self.query_one(ReplicaTable).show(live)
        self.query_one(CardBar).show(live)
        self.query_one(LoadBar).show(live)
        self.query_one(Events).show(live)
        for name, drawing in drawings(
            self.console_app.history, live, self.console_app.slo_latency
        ).items():
            self.query_one(f"#{name}", Chart).show(drawing)
        gpu = self.console_app.history.knows("gpu_utilisation")
        title = "GPU utilisation, %" if gpu else "CPU, % of a core (no GPU)"
        self.query_one("#utilisation", Chart).border_title = title
        self.refresh_bindings()

    def _redraw_one(self) -> None:
        if self.console_app.screen is not self:
            return
        for chart in self.query(Chart):
            if chart.stale and chart.display:
                chart.redraw()
                return

    def _show_chart(self) -> None:
        """Mark the chart that small screens show alone."""
        for number, name in enumerate(CHARTS):
            self.query_one(f"#{name}", Chart).set_class(number == self._chart, "-chosen")

    def on_resize(self) -> None:
        """Offer the keys that fit the size."""
        self.refresh_bindings()

    def action_next_chart(self) -> None:
        """Show the next chart where there is room for one."""
        self._chart = (self._chart + 1) % len(CHARTS)
        self._show_chart()

    def action_open_log(self) -> None:
        """Open the log of the replica under the cursor."""
        if (name := self.query_one(ReplicaTable).selected) is not None:
            self.console_app.open_log(name)

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self.action_open_log()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what can't be done now."""
        if action == "next_chart":
            # Where all charts are seen there is no next one.
            return self.has_class("-narrow") or self.has_class("-short")
        if action == "open_log":
            return True if self.console_app.live.status.replicas else None
        return super().check_action(action, parameters)


def drawings(history: History, live: Live, slo: float | None) -> dict[str, Drawing]:
    """Say what each chart shows."""
    waiting = "press l to put load on the stack" if not live.absent else "press u, then l"
    if live.load is None and live.open_sessions:
        waiting = "known for loads started here: press l"
    names = history.replicas()
    gpu = history.knows("gpu_utilisation")
    figure = "gpu_utilisation" if gpu else "cpu"
    window = float(len(history))
    return {
        "latency": Drawing(
            lines=[
                Line(name, history.latency(index))
                for index, name in enumerate(("p50", "p95", "p99"))
            ],
            empty=waiting,
            limit=None if slo is None else ("SLO p95", slo),
            lowest_top=0.5,
            window=window,
        ),
        "distribution": Drawing(
            lines=[Line(name, history.replica(name, "sessions")) for name in names],
            empty="press u to bring the stack up",
            lowest_top=2.0,
            window=window,
        ),
        "words": Drawing(
            lines=[Line("WER", history.wer())],
            empty="known when the first session has ended" if live.load else waiting,
            lowest_top=5.0,
            window=window,
        ),
        "utilisation": Drawing(
            lines=[Line(name, history.replica(name, figure, 100.0)) for name in names],
            empty="press u to bring the stack up",
            lowest_top=20.0,
            window=window,
        ),
    }
