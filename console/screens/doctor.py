"""What this machine has and lacks, in the console."""

import time
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Static
from textual.worker import get_current_worker

from console.rendering.findings import advice, finding_details, finding_line, summary
from console.screens.base import ConsoleScreen
from console.widgets.screen_bar import ScreenBar
from stack.doctor import Finding, examine
from stack.engine import StackError
from stack.spec import ContainerSpec

COLUMNS = ("state", "looked at", "engine", "found")


class DoctorScreen(ConsoleScreen):
    """Look at what a stack needs."""

    HELP = """
## Doctor

What a stack needs of this machine. ✓ is there; ▲ is not there, but nothing is wrong; ✖ has to be
mended before the engine named beside it can be used. Below the list is what to do about the line
under the cursor. Where a command would help, choosing the line copies it.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f5", "examine", "Look again", id="doctor.again", tooltip="Look once more"),
        Binding(
            "c,enter",
            "copy",
            "Copy command",
            id="doctor.copy",
            key_display="⏎",
            tooltip="Copy the command that helps, where there is one",
        ),
        Binding(
            "escape",
            "app.show('dashboard')",
            "Back",
            id="doctor.back",
            tooltip="Back to the dashboard",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._findings: list[Finding] = []
        self._looking = False

    def compose(self) -> ComposeResult:
        """Lay out the findings and what to do about one."""
        yield ScreenBar("doctor")
        yield DataTable[str | Text](id="doctor-findings", cursor_type="row")
        with VerticalScroll(id="advice", can_focus=False):
            yield Static("Looking …", id="advice-text", markup=False)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Look at once."""
        table = self.query_one(DataTable)
        for name in COLUMNS:
            table.add_column(name, key=name)
        self.query_one("#advice").border_title = "what to do"
        table.focus()
        self.action_examine()

    def action_examine(self) -> None:
        """Look at the machine."""
        self._findings = []
        self._looking = True
        self.query_one(DataTable).clear()
        self._show_title()
        self._examine()

    @work(thread=True, exclusive=True, group="doctor")
    def _examine(self) -> None:
        """Look at one thing after another: some, such as Docker, take seconds."""
        app, worker = self.console_app, get_current_worker()
        containers = app.spec.containers or ContainerSpec()
        problem = ""
        try:
            for finding in examine(
                results=app.store.directory,
                image=containers.image,
                balancer_image=containers.balancer_image,
                port=app.spec.balancer.port,
            ):
                if worker.is_cancelled:
                    return
                app.call_from_thread(self._add, finding)
        except (OSError, StackError) as error:
            problem = f"Looking ended early: {error}"
        if not worker.is_cancelled:
            app.call_from_thread(self._ended, problem)

    def _add(self, finding: Finding) -> None:
        self._findings.append(finding)
        self.query_one(DataTable).add_row(
            finding_line(finding),
            Text(finding.what),
            finding.engine.value if finding.engine else "",
            Text(advice(finding).found),
            key=str(len(self._findings) - 1),
        )
        self._show_title()
        if len(self._findings) == 1:
            self._show_advice()

    def _ended(self, problem: str) -> None:
        self._looking = False
        self._show_title()
        if problem:
            self.console_app.say(problem, severity="error")

    def _show_title(self) -> None:
        table = self.query_one(DataTable)
        table.border_title = f"this machine: {summary(self._findings)}"
        clock = time.strftime("%H:%M:%S")
        table.border_subtitle = "looking …" if self._looking else f"looked at {clock}"

    @property
    def _chosen(self) -> Finding | None:
        row = self.query_one(DataTable).cursor_row
        return self._findings[row] if 0 <= row < len(self._findings) else None

    @on(DataTable.RowHighlighted)
    def _show_advice(self) -> None:
        finding = self._chosen
        if finding is not None:
            self.query_one("#advice-text", Static).update(finding_details(finding))
        self.refresh_bindings()

    @on(DataTable.RowSelected)
    def _selected(self) -> None:
        self.action_copy()

    def action_copy(self) -> None:
        """Copy the command that helps."""
        finding = self._chosen
        if finding is None:
            return
        command = advice(finding).command
        if not command:
            self.console_app.say(f"There is no command to copy for '{finding.what}'.")
            return
        self.console_app.copy_to_clipboard(command)
        self.console_app.say(f"Copied, where the terminal allows it: {command}")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out copying where there is nothing to copy."""
        del parameters
        if action == "copy":
            finding = self._chosen if self.is_mounted else None
            return True if finding is not None and advice(finding).command else None
        return True
