"""What the screens share."""

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

if TYPE_CHECKING:
    # The app imports the screens: at run time only this direction.
    from console.app import WhisperctlApp


class ConsoleScreen(Screen[None]):
    """A screen of the console."""

    @property
    def console_app(self) -> "WhisperctlApp":
        """The app, by its own type."""
        return cast("WhisperctlApp", self.app)
