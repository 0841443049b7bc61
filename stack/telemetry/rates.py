"""What counters that only grow have grown by in the last second or so. Pure."""

from collections import deque
from collections.abc import Mapping
from typing import Final

WINDOW: Final = 1.0
"""Seconds that a figure looks back on at least, once so much has been seen.

A rate is a difference. Taken since the last reading it would depend on who else reads: two who
watch one stack would spoil each other's figures."""

_SHORTEST: Final = 0.9 * WINDOW
"""Seconds below which a difference says nothing: a replica works in bursts a second apart and the
kernel counts processes in hundredths, so a shorter look would say 0 or 46 % by chance."""


class Counters:
    """Readings of some counters of one thing, those of the last second or so."""

    def __init__(self) -> None:
        self._readings: deque[tuple[float, Mapping[str, float]]] = deque()

    def add(self, now: float, totals: Mapping[str, float]) -> None:
        """Take in a reading; ``now`` is the second it was made, ``totals`` what it said.

        A counter that has fallen was begun anew, as by a restart: what was before is forgotten.
        """
        if self._readings:
            last, before = self._readings[-1]
            if now <= last:
                return
            if any(before.get(name, value) > value for name, value in totals.items()):
                self._readings.clear()
        self._readings.append((now, totals))
        # The newest reading that is a whole window old is what is looked back to.
        while len(self._readings) > 2 and self._readings[1][0] <= now - WINDOW:
            self._readings.popleft()

    def growth(self, name: str) -> float | None:
        """Return what a counter has grown by over the window; None where that is unknown."""
        if not self._readings:
            return None
        (then, before), (now, after) = self._readings[0], self._readings[-1]
        if now - then < _SHORTEST or name not in before or name not in after:
            return None
        return after[name] - before[name]

    def rate(self, name: str) -> float | None:
        """Return what a counter has grown by a second; None where that is unknown."""
        grown = self.growth(name)
        return None if grown is None else grown / (self._readings[-1][0] - self._readings[0][0])
