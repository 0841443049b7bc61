"""What the charts remember: bounded, by the second. Pure."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from loadtest.runfile import TimelineRow
from stack.status import ReplicaSample, by_number

WINDOW: Final = 300
"""Seconds that are kept."""

Points = tuple[list[float], list[float]]
"""Times (seconds) and values."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One second."""

    time: float
    """Seconds on a monotonic clock."""
    samples: Mapping[str, ReplicaSample]
    latency: tuple[float | None, float | None, float | None] = (None, None, None)
    """p50, p95, p99 in seconds."""
    wer: float | None = None


class History:
    """The last minutes, one moment a second."""

    def __init__(self, window: int = WINDOW) -> None:
        self._moments: deque[Moment] = deque(maxlen=window)

    def add(self, moment: Moment) -> None:
        """Append a moment; the oldest goes when the window is full."""
        self._moments.append(moment)

    def __len__(self) -> int:
        return len(self._moments)

    def latency(self, index: int) -> Points:
        """Return p50 (0), p95 (1) or p99 (2) over time."""
        return self._points(lambda moment: moment.latency[index])

    def wer(self) -> Points:
        """Return the word error rate over time, in per cent."""
        return self._points(lambda moment: None if moment.wer is None else moment.wer * 100)

    def replicas(self) -> list[str]:
        """Return the names of all replicas in the window."""
        names = {name for moment in self._moments for name in moment.samples}
        return by_number(names)

    def replica(self, name: str, figure: str, scale: float = 1.0) -> Points:
        """Return one figure of one replica over time, times ``scale``."""

        def value(moment: Moment) -> float | None:
            sample = moment.samples.get(name)
            found = getattr(sample, figure) if sample else None
            return None if found is None else float(found) * scale

        return self._points(value)

    def knows(self, figure: str) -> bool:
        """Whether any replica has this figure."""
        return any(
            getattr(sample, figure) is not None
            for moment in self._moments
            for sample in moment.samples.values()
        )

    def _points(self, value: Callable[[Moment], float | None]) -> Points:
        if not self._moments:
            return [], []
        now = self._moments[-1].time
        found = [(moment.time - now, value(moment)) for moment in self._moments]
        return (
            [time for time, one in found if one is not None],
            [one for _, one in found if one is not None],
        )


def live_latency(row: TimelineRow) -> tuple[float | None, float | None, float | None]:
    """Return a timeline row's percentiles."""
    return row.latency_p50, row.latency_p95, row.latency_p99


def decimate(points: Points, columns: int) -> Points:
    """Reduce points to at most two a column, the least and the greatest, so that no peak is lost.

    Drawing thousands of points costs hundreds of milliseconds and shows no more.
    """
    times, values = points
    if len(times) <= 2 * columns or columns < 1:
        return points
    kept: list[int] = []
    size = len(times) / columns
    for column in range(columns):
        indices = range(int(column * size), min(len(times), int((column + 1) * size)))
        if not indices:
            continue
        low = min(indices, key=values.__getitem__)
        high = max(indices, key=values.__getitem__)
        kept.extend(sorted({low, high}))
    return [times[index] for index in kept], [values[index] for index in kept]
