"""What the screens share."""

from typing import TYPE_CHECKING, Final, cast

from textual.screen import Screen
from textual.widgets import Static

if TYPE_CHECKING:
    # The app imports the screens: at run time only this direction.
    from console.app import WhisperctlApp


SMALLEST: Final = (60, 16)
"""Columns and rows below which only a sentence is shown."""


class ConsoleScreen(Screen[None]):
    """A screen of the console."""

    # Of two that fit the larger counts: a tiny screen is narrow, too, but shows only a sentence.
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (SMALLEST[0], "-narrow"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (SMALLEST[1], "-short"), (34, "-tall")]  # noqa: RUF012

    @property
    def console_app(self) -> "WhisperctlApp":
        """The app, by its own type."""
        return cast("WhisperctlApp", self.app)

    def on_screen_resume(self) -> None:
        """Have a sentence at hand for when the terminal is too small for anything else."""
        if not self.query("#too-small"):
            self.mount(Static("", id="too-small", markup=False))
        self._say_size(self.app.size.width, self.app.size.height)

    def on_resize(self) -> None:
        """Keep the sentence true."""
        self._say_size(self.app.size.width, self.app.size.height)

    def _say_size(self, width: int, height: int) -> None:
        for notice in self.query("#too-small").results(Static):
            notice.update(
                f"This terminal is too small: {width}x{height}.\n"
                f"The console needs {SMALLEST[0]}x{SMALLEST[1]} or more."
            )
