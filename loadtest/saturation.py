"""Whether a step that still runs has already missed its limits, for certain. Pure.

Two kinds of certainty. Arithmetic: so many sessions have failed, or so many updates were late, that
what is still to come can't mend it. Statistical: latency, or the audio that waits for text, grows
through the step, by the test of Mann and Kendall (H. B. Mann, "Nonparametric tests against trend",
Econometrica 13, 1945) over medians of windows that don't overlap, and is already over the limit.
"""

import math
from collections.abc import Sequence
from statistics import median
from typing import Final

from loadtest.plan import Slo

WINDOW: Final = 2.0
"""Seconds."""
MIN_WINDOWS: Final = 8
SIGNIFICANCE: Final = 0.001
"""Strict, because the test is made anew with each window."""
SILENCE: Final = 5.0
"""Seconds without text that a speaker's pauses may well cause."""
_MARGIN: Final = 1.5
"""How many more updates than until now may come in the same time."""
_MIN_SAMPLES: Final = 20
_TRIFLE: Final = 0.1
"""Fraction of the limit."""
_PART_OF_GROWTH: Final = 0.3
"""Of the growth from the first to the last third of a run, what comes after the middle."""


def rising(values: Sequence[float]) -> float:
    """Return the probability of so much rise in a series without trend; 1 for too few values."""
    count = len(values)
    if count < MIN_WINDOWS:
        return 1.0
    score = sum(
        (later > earlier) - (later < earlier)
        for index, earlier in enumerate(values)
        for later in values[index + 1 :]
    )
    if score <= 0:
        return 1.0
    deviation = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return 0.5 * math.erfc((score - 1) / deviation / math.sqrt(2))


def still_growing(medians: Sequence[float], limit: float) -> bool:
    """Tell whether latency rose through a run and was rising at its end, by more than a trifle.

    Then the run met a limit only because it ended: load was more than the server could take.
    ``medians`` are of windows that don't overlap, in order.
    """
    if rising(medians) >= SIGNIFICANCE:
        return False
    third = len(medians) // 3
    first, middle, last = (
        median(part) for part in (medians[:third], medians[third:-third], medians[-third:])
    )
    # In equal parts: what has only settled down after the start grows no more.
    return last - middle > _PART_OF_GROWTH * (last - first) and last - first > _TRIFLE * limit


class SaturationWatch:
    """Follows one step."""

    def __init__(self, slo: Slo, *, clients: int, ramp: float, expected: float) -> None:
        self._slo = slo
        self._clients = clients
        self._ramp = ramp
        """Seconds in which load rises by design: growth in them says nothing."""
        self._expected = expected
        """Seconds that the step will take."""
        self._samples = 0
        self._late = 0
        self._since_ramp = 0
        """Updates since the ramp's end: their rate is that of all clients."""
        self._open: list[float] = []
        self._open_backlog: list[float] = []
        self._medians: list[float] = []
        self._backlogs: list[float] = []
        self._next = ramp + WINDOW

    def add(self, elapsed: float, samples: Sequence[float]) -> None:
        """Take in latencies reported ``elapsed`` seconds after the step's start."""
        limit = self._slo.p95_latency
        self._samples += len(samples)
        if limit is not None:
            self._late += sum(sample > limit for sample in samples)
        if elapsed >= self._ramp:
            self._open.extend(samples)
            self._since_ramp += len(samples)

    def verdict(self, elapsed: float, *, backlog: float | None, failed: int) -> str | None:
        """Say why the step can't meet its SLO any more; None as long as it may."""
        if backlog is not None and elapsed >= self._ramp:
            self._open_backlog.append(backlog)
        if elapsed >= self._next:
            self._next = elapsed + WINDOW
            if self._open:
                self._medians.append(median(self._open))
            if self._open_backlog:
                self._backlogs.append(median(self._open_backlog))
            self._open, self._open_backlog = [], []
        return self._failures(failed) or self._lateness(elapsed) or self._growth()

    def _failures(self, failed: int) -> str | None:
        rate = self._slo.success_rate
        if rate is None or (self._clients - failed) / self._clients >= rate:
            return None
        return f"{failed} of {self._clients} sessions failed before its end (asked {rate:.1%})"

    def _lateness(self, elapsed: float) -> str | None:
        limit = self._slo.p95_latency
        known = elapsed - self._ramp
        if limit is None or self._samples < _MIN_SAMPLES or known < WINDOW:
            return None
        left = max(0.0, self._expected - elapsed)
        coming = self._since_ramp / known * left * _MARGIN
        if self._late <= 0.05 * (self._samples + coming) + 1:
            return None
        return (
            f"{self._late} of {self._samples} updates were later than {limit:g} s, more than 5 % "
            "of all that can come"
        )

    def _growth(self) -> str | None:
        limit = self._slo.p95_latency
        if limit is None:
            return None
        for values, bound, name in (
            (self._medians, limit, "latency"),
            (self._backlogs, limit + SILENCE, "audio that waits for text"),
        ):
            if values and values[-1] > bound and (p := rising(values)) < SIGNIFICANCE:
                return (
                    f"{name} grew through the step from {values[0]:.1f} to {values[-1]:.1f} s "
                    f"(Mann-Kendall, p {p:.1g})"
                )
        return None
