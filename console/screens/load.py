"""The load: its plan, the running step, what the steps found."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from console.live import Live
from console.render import step_line
from console.screens.base import ConsoleScreen
from console.widgets.bars import LoadBar
from console.widgets.screen_bar import ScreenBar


class LoadScreen(ConsoleScreen):
    """Put load on the stack and follow it."""

    HELP = """
## Load

`l` asks what load and starts it, `s` stops it. Each finished step is one row and one saved run.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "app.load", "Load", id="load.start", tooltip="Start a load series"),
        Binding("s", "app.stop_load", "Stop", id="load.stop", tooltip="Stop the load series"),
        Binding("escape", "app.show('dashboard')", "Back", id="load.back"),
    ]

    def compose(self) -> ComposeResult:
        """Lay out the running step and the finished ones."""
        yield ScreenBar("load")
        yield LoadBar(id="load-bar")
        with VerticalScroll(id="steps"):
            yield Static("No step yet: press l to start a load.", id="steps-table")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Follow the app's snapshots."""
        self.query_one("#steps").border_title = "steps"
        self.watch(self.console_app, "live", self._show)

    def _show(self, live: Live) -> None:
        self.query_one(LoadBar).show(live)
        if self.console_app.loading.runs:
            lines = "\n".join(step_line(run) for run in self.console_app.loading.runs)
            self.query_one("#steps-table", Static).update(Text(lines))
        self.refresh_bindings()
