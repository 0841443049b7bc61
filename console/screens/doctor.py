"""What this machine has and lacks, in the console."""

from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static
from textual.worker import get_current_worker

from console.rendering.doctor import findings_table
from console.screens.base import ConsoleScreen
from console.widgets.screen_bar import ScreenBar
from stack.doctor import Finding, examine
from stack.spec import ContainerSpec


class DoctorScreen(ConsoleScreen):
    """Look at what a stack needs."""

    HELP = """
## Doctor

What a stack needs of this machine, and what to do where something is missing. `F5` looks again.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "examine", "Look again", id="doctor.again", tooltip="Examine once more"),
        Binding("escape", "app.show('dashboard')", "Back", id="doctor.back"),
    ]

    def compose(self) -> ComposeResult:
        """Lay out the findings."""
        yield ScreenBar("doctor")
        with VerticalScroll(id="doctor"):
            yield Static("Looking …", id="findings")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Look at once."""
        self.query_one("#doctor").border_title = "this machine"
        self.action_examine()

    @work(thread=True, exclusive=True, group="doctor")
    def action_examine(self) -> None:
        """Look at the machine."""
        app = self.console_app
        containers = app.spec.containers or ContainerSpec()
        findings = list(
            examine(
                results=app.store.directory,
                image=containers.image,
                balancer_image=containers.balancer_image,
                port=app.spec.balancer.port,
            )
        )
        if not get_current_worker().is_cancelled:
            app.call_from_thread(self._show, findings)

    def _show(self, findings: list[Finding]) -> None:
        self.query_one("#findings", Static).update(findings_table(findings))
