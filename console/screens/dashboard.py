"""The dashboard: the stack, its replicas, live charts, the load, what happened."""

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Footer

from console.chart_choice import ChartPreferences, PreferencesError, load_charts, save_charts
from console.commands import possible
from console.live import Live
from console.rendering.live_charts import WINDOWS, Kind, Window, default_charts
from console.screens.chart_commands import ChartCommands
from console.screens.chart_dialog import ChartDialog
from console.screens.operated import OperatedScreen
from console.widgets.bars import CardBar, Events, LoadBar, StackBar
from console.widgets.chart import Chart
from console.widgets.chart_grid import ChartGrid
from console.widgets.replica_table import ReplicaTable
from console.widgets.screen_bar import ScreenBar


class DashboardScreen(OperatedScreen):
    """Watch and operate the stack."""

    HELP = """
## Dashboard

On a chart, left and right read its values off, `m` shows it alone. Nothing here ends when you quit
unless you say so.
"""
    COMMANDS = {ChartCommands}  # noqa: RUF012 - as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "app.load", "Load", id="load.start", tooltip="Start a load series"),
        Binding("s", "app.stop_load", "Stop", id="load.stop", tooltip="Stop the load series"),
        Binding(
            "enter", "open_log", "Log", id="replica.log", tooltip="Read the selected replica's log"
        ),
        Binding("v", "next_chart", "Next", id="chart.next", tooltip="Show the next charts"),
        Binding(
            "c",
            "choose_charts",
            "Charts",
            id="chart.choose",
            tooltip="Choose the charts and their order",
        ),
        Binding(
            "w",
            "next_window",
            "Window",
            id="chart.window",
            tooltip="How far back the charts go: 1 min, 5 min, the run",
            show=False,
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._preferences = ChartPreferences()
        self._can: object = None
        """What could be done when the footer was made."""

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield ScreenBar("dashboard")
        yield StackBar(id="stack-bar")
        yield ReplicaTable(id="replicas")
        yield CardBar(id="cards")
        app = self.console_app
        yield ChartGrid(app.history, lambda: app.live, app.slo_latency)
        with Vertical(id="below"):
            yield LoadBar(id="load-bar")
            yield Events(id="events")
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        """Show what was chosen at an earlier start, and follow the app's snapshots."""
        try:
            self._preferences = await asyncio.to_thread(load_charts)
        except PreferencesError as error:
            self.console_app.happened("console", str(error), "warning")
        self.charts.show_window(self._preferences.window)
        self._choose_charts()
        self.watch(self.console_app, "live", self._show)

    @property
    def charts(self) -> ChartGrid:
        """The charts."""
        return self.query_one(ChartGrid)

    def on_screen_resume(self) -> None:
        """Catch up on what happened while another screen was shown."""
        super().on_screen_resume()
        if self.query(Events):
            self._show(self.console_app.live)

    def _show(self, live: Live) -> None:
        if self not in self.app.screen_stack:
            return  # drawing what nobody sees costs as much
        self.query_one(StackBar).show(live)
        self.query_one(ReplicaTable).show(live)
        self.query_one(CardBar).show(live)
        self.query_one(LoadBar).show(live)
        self.query_one(Events).show(live)
        self._choose_charts()
        # The footer is made anew each time: only when other keys can be pressed.
        can = (possible(live), bool(live.status.replicas))
        if can != self._can:
            self._can = can
            self.refresh_bindings()

    def _choose_charts(self) -> None:
        chosen = self._preferences.charts
        self.charts.choose(chosen or default_charts(self.console_app.history))

    def action_next_chart(self) -> None:
        """Show the next charts where there is no room for all."""
        self.charts.next_page()

    @work
    async def action_choose_charts(self) -> None:
        """Ask which charts to show."""
        chosen: list[Kind] | None
        chosen = await self.app.push_screen_wait(ChartDialog(self.charts.chosen))
        if chosen is not None:
            self._prefer(charts=tuple(chosen))
            self._choose_charts()

    def action_next_window(self) -> None:
        """Let the charts go back further, or less far."""
        window = self.charts.window
        self.action_show_window(WINDOWS[(WINDOWS.index(window) + 1) % len(WINDOWS)])

    def action_show_window(self, window: Window) -> None:
        """Let the charts go back so far."""
        self.charts.show_window(window)
        self._prefer(window=window)

    def maximise_chart(self, name: Kind) -> None:
        """Show one chart alone."""
        chart = self.query_one(f"#{name}", Chart)
        chart.focus()
        self.maximize(chart, container=False)

    def _prefer(self, **values: object) -> None:
        self._preferences = self._preferences.model_copy(update=values)
        self._keep(self._preferences)

    @work(exclusive=True, group="preferences")
    async def _keep(self, preferences: ChartPreferences) -> None:
        try:
            await asyncio.to_thread(save_charts, preferences)
        except PreferencesError as error:
            self.console_app.happened("console", str(error), "warning")

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
            return self.is_mounted and self.charts.has_more
        if action == "open_log":
            return True if self.console_app.live.status.replicas else None
        return super().check_action(action, parameters)
