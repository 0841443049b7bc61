"""A screen in parts: one is seen at a time, reached by its key or one after the other."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from console.screens.actions import ScreenActions
from console.screens.base import ConsoleScreen
from console.widgets.chart import Chart
from console.widgets.section_bar import SectionBar

LOOK = 0.2
"""Seconds after which is looked whether a chart has to be drawn."""


class SectionedScreen(ConsoleScreen):
    """Has one class a section, ``-section-figures`` and so on, for its style sheet."""

    COMMANDS = Screen.COMMANDS | {ScreenActions}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "tab",
            "next_section(1)",
            "Next part",
            id="parts.next",
            tooltip="One part on",
            show=False,
        ),
        Binding(
            "shift+tab",
            "next_section(-1)",
            "Part before",
            id="parts.before",
            tooltip="One back",
            show=False,
        ),
    ]

    @property
    def sections(self) -> Sequence[tuple[str, str, str]]:
        """Name, key and title of each part, in order."""
        raise NotImplementedError

    @property
    def section(self) -> str:
        """The part that is seen."""
        return next(name for name, _, _ in self.sections if self.has_class(f"-section-{name}"))

    def on_mount(self) -> None:
        """Begin with the first part."""
        self.action_section(self.sections[0][0])
        self.set_interval(LOOK, self._draw_one)

    def action_section(self, name: str) -> None:
        """Show a part."""
        for one, _, _ in self.sections:
            self.set_class(one == name, f"-section-{one}")
        self.query_one(SectionBar).show(name)
        self.call_after_refresh(self._focus_part)
        self.refresh_bindings()

    def _focus_part(self) -> None:
        """Let the arrow keys scroll what is seen."""
        for part in self.query(".part"):
            if part.display and part.can_focus:
                part.focus()
                return

    def action_next_section(self, step: int) -> None:
        """Show the part after this one, or before it."""
        names = [name for name, _, _ in self.sections]
        self.action_section(names[(names.index(self.section) + step) % len(names)])

    def _draw_one(self) -> None:
        """Draw one chart at most: each costs a good part of a frame."""
        for chart in self.query(Chart):
            # One that is hidden has no size.
            if chart.display and chart.size and chart.stale:
                chart.redraw()
                return
