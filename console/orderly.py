"""A Textual app that ends in order, whoever ends it, and says what it crashed of."""

import asyncio
from contextlib import suppress
from typing import Final

from rich.console import Console, RenderableType
from textual.app import App
from textual.driver import Driver
from textual.messages import ExitApp
from textual.worker import WorkerFailed

from console.signals import ending_signals
from console.terminal import enduring, input_lost, stop_reading

_DEADLINE: Final = 15.0
"""Seconds in which everything is to be brought to an end; what is left is cut off."""
_LOOK: Final = 1.0
"""Seconds between two looks whether the terminal is still there."""


class OrderlyApp(App[None]):
    """Ends by way of ``end_in_order`` on SIGTERM, SIGHUP, SIGINT and when its terminal has gone."""

    def __init__(self) -> None:
        super().__init__()
        self._ending = False
        self._panics: list[str] = []

    async def end_in_order(self) -> None:
        """Bring to an end what must not be cut off; the app exits afterwards."""

    @property
    def ending_code(self) -> int:
        """Exit code of an app that was told to end."""
        return 0

    def get_driver_class(self) -> type[Driver]:
        """Return a driver that outlives its terminal."""
        return enduring(super().get_driver_class())

    def on_mount(self) -> None:
        """Begin to heed signals and the terminal."""
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        for number in ending_signals():
            loop.add_signal_handler(number, self.end_soon)
        self.set_interval(_LOOK, self._look_at_terminal)

    def _look_at_terminal(self) -> None:
        # Without a controlling terminal there is no SIGHUP.
        if input_lost():
            stop_reading(self._driver)
            self.end_soon()

    def on_exit_app(self, message: ExitApp) -> None:
        """End in order, too, when it is the driver that wants an end: its browser has gone."""
        if not self._exit:
            message.prevent_default()
            self.end_soon()

    def end_soon(self) -> None:
        """Begin to end in order; once is enough."""
        if not self._ending:
            self._ending = True
            self.run_worker(self._end(), group="ending")

    async def _end(self) -> None:
        if input_lost():
            stop_reading(self._driver)
        with suppress(TimeoutError):
            async with asyncio.timeout(_DEADLINE):
                await self.end_in_order()
        self.exit(return_code=self.ending_code)

    # --- crashes ----------------------------------------------------------------------------------

    @property
    def crash(self) -> BaseException | str | None:
        """What ended the app against its will; the text of it where there is no exception."""
        if isinstance(self._exception, WorkerFailed):
            return self._exception.error
        return self._exception or ("\n".join(self._panics) or None)

    def panic(self, *renderables: RenderableType) -> None:
        """Keep what a panic says, for the report."""
        console = Console(width=120, no_color=True, highlight=False)
        with console.capture() as capture:
            console.print(*renderables)
        self._panics.append(capture.get())
        super().panic(*renderables)

    def _fatal_error(self) -> None:
        # Textual would print a traceback with every local variable, keys to servers included.
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        self._exit_renderables.clear()
