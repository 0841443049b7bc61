"""What the console does to the stack; how each operation went is told and kept in the events."""

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final

from stack.engine import StackError

if TYPE_CHECKING:
    from console.app import WhisperctlApp

GROUP: Final = "operations"
"""The group of workers that change the stack."""
CHANGING: Final = (GROUP, "demo")
"""All groups whose workers do that."""


class Operating:
    """Starts operations and says how they went; asking first is the caller's."""

    def __init__(self, app: "WhisperctlApp") -> None:
        self._app = app

    def up(self) -> None:
        """Bring the stack up."""
        self._begin("bringing up", self._app.engine.up(self._app.spec))

    def down(self, *, drain: bool) -> None:
        """Take the stack down."""
        self._begin("taking down", self._app.engine.down(drain=drain))

    def scale_by(self, difference: int) -> None:
        """Ask for so many replicas more; returns at once, progress is in the table."""
        self._begin("", self._app.engine.scale_by(difference, wait=False))

    def restart(self, replica: str) -> None:
        """Replace one replica's process."""
        self._begin(f"restarting {replica}", self._app.engine.restart(replica))

    def _begin(self, what: str, operation: Awaitable[object]) -> None:
        self._app.run_worker(self._operate(what, operation), group=GROUP)

    async def _operate(self, what: str, operation: Awaitable[object]) -> None:
        if what:
            self._app.set_busy(f"{what} …")
        try:
            await operation
        except StackError as error:
            self._app.failed("stack", error)
        finally:
            if what:
                self._app.set_busy("")

    async def settle(self) -> None:
        """Wait until what has begun is over: cut off, bringing up would take the stack down."""
        running = (worker.wait() for worker in self._app.workers if worker.group in CHANGING)
        await asyncio.gather(*running, return_exceptions=True)
