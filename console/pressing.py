"""Presses of + and - that add up to one order."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

QUIET: Final = 0.25
"""Seconds without a press after which what was asked for is passed on."""
MOST: Final = 8
"""Replicas that presses have on their way at one time: a key that is held down does no harm."""


class Presses:
    """Counts what was asked for and not yet passed on; ``changed`` hears the wanted number."""

    def __init__(self, changed: Callable[[int | None], None]) -> None:
        self._changed = changed
        self._base = 0
        self._last = 0.0
        self._warned = False
        self.pending = 0
        """Replicas more (or fewer) than the stack has been asked for."""
        self.settling = False
        """Somebody waits for the last press."""

    def press(self, difference: int, there: int, ready: int, most: int) -> str:
        """Add a press; returns why it does not count, once a burst.

        ``there``: replicas that the stack is to have without it; ``ready``: that take sessions.
        """
        self._base = there
        self._last = time.monotonic()
        asked = self.pending + difference
        why = ""
        if difference > 0 and there + asked - ready > MOST:
            why = f"{MOST} at one go at most; press again when they are ready."
        elif asked < -MOST:
            why = f"{MOST} at one go at most; press again when they have gone."
        elif there + asked < 0:
            why = "Fewer than 0 replicas can't be; press d to take the stack down."
        elif there + asked > most:
            why = f"A stack has {most} replicas at most."
        if not why:
            self.pending = asked
            self._changed(there + asked)
            return ""
        said, self._warned = self._warned, True
        return "" if said else why

    async def settled(self) -> int:
        """Wait for the last press and return what is pending in all."""
        while (left := self._last + QUIET - time.monotonic()) > 0:  # noqa: ASYNC110 - a pause
            await asyncio.sleep(left)
        self._warned = False
        return self.pending

    def passed_on(self, difference: int) -> None:
        """Take what was passed on, or refused, off what is pending."""
        self.pending -= difference
        self._base += difference
        self._changed(self._base + self.pending if self.pending else None)

    def forget(self) -> None:
        """Drop what is pending."""
        self.pending = 0
        self._changed(None)
