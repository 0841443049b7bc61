"""Who may come in, and how long those who may not should wait. Pure, no I/O."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final

REMEMBERED: Final = 256
"""Lengths of sessions that are remembered."""

LIKELY: Final = 0.5
"""The wait told is the one after which a place is as likely free as not."""

PRECISION: Final = 0.1
"""Seconds; nobody waits by a finer clock."""


class Departures:
    """Estimates when a place becomes free, from how long sessions lasted until now."""

    def __init__(self) -> None:
        self._lengths: deque[float] = deque(maxlen=REMEMBERED)

    def ended(self, seconds: float) -> None:
        """Remember how long a session lasted."""
        self._lengths.append(seconds)

    def first(self, sessions: Sequence[tuple[float, float]]) -> float:
        """Give the seconds until one of the sessions has likely left.

        ``sessions``: of each its age and the seconds until its time is over, which nobody can
        exceed. A session that is older than all that ended is expected to use all of its time.
        """
        if not sessions:
            return 0.0
        lengths = sorted(self._lengths)
        low, high = 0.0, max(0.0, min(left for _, left in sessions))
        while high - low > PRECISION:
            middle = (low + high) / 2
            if self._all_stay(lengths, sessions, middle) <= 1 - LIKELY:
                high = middle
            else:
                low = middle
        return high

    @staticmethod
    def _all_stay(
        lengths: Sequence[float], sessions: Sequence[tuple[float, float]], moment: float
    ) -> float:
        """Give the probability that none leaves until a moment, each by its own age."""
        stay = 1.0
        for age, _ in sessions:
            longer = len(lengths) - bisect_right(lengths, age)
            if longer:
                stay *= (len(lengths) - bisect_right(lengths, age + moment)) / longer
        return stay
