"""What the charts remember: the last minutes by the second, what is older thinned out. Pure."""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from loadtest.runfile import TimelineRow
from stack.status import ReplicaSample, by_number

RECENT: Final = 300
"""Values of each figure that are kept as they were, one a second."""
OLDER: Final = 600
"""Values of each figure that older ones are thinned out to."""
FIGURES: Final = (
    "cpu",
    "memory",
    "gpu_memory",
    "gpu_utilisation",
    "sessions",
    "queue_depth",
)
"""What is remembered of each replica; fields of ``ReplicaSample``."""
_WAITING: Final = 64
_LATENCIES: Final = ("p50", "p95", "p99")
_RUN: Final = ""
"""In place of a replica's name: figures of the load."""

Points = tuple[list[float], list[float]]
"""Times (seconds) and values; a value that is not a number is a gap that no line crosses."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One second."""

    time: float
    """Seconds on a monotonic clock."""
    samples: Mapping[str, ReplicaSample]
    latency: tuple[float | None, float | None, float | None] = (None, None, None)
    """p50, p95, p99 in seconds."""
    wer: float | None = None
    step: int = 0
    """Of the load series that runs, from 1; 0 between series."""


@dataclass(frozen=True, slots=True)
class _Point:
    time: float
    value: float
    joined: bool
    """Every second since the point before had a value."""


class _Series:
    """One figure over time."""

    __slots__ = ("_each", "_limit", "_older", "_recent", "_waited", "_waiting", "second")

    def __init__(self, recent: int, older: int) -> None:
        self._recent: deque[_Point] = deque(maxlen=recent)
        self._older: list[_Point] = []
        self._waiting: list[_Point] = []
        """Older than recent, but not yet enough to be thinned out."""
        self._waited = 0
        """How many values those stand for."""
        self._each = 2
        """How many values become two of the older ones."""
        self._limit = older
        self.second = -2
        """Number of the second that had a value last."""

    def add(self, time: float, value: float, second: int) -> None:
        if len(self._recent) == self._recent.maxlen:
            self._age(self._recent[0])
        self._recent.append(_Point(time, value, joined=second == self.second + 1))
        self.second = second

    def _age(self, point: _Point) -> None:
        self._waiting.append(point)
        self._waited += 1
        if self._waited < self._each:
            if len(self._waiting) >= _WAITING:
                self._waiting = _halved(self._waiting)
            return
        self._older += _extreme_points(self._waiting)
        self._waiting = []
        self._waited = 0
        if len(self._older) >= self._limit:
            # All of them alike, so that the oldest are as fine as the others.
            self._older = _halved(self._older)
            self._each *= 2

    @property
    def last(self) -> _Point:
        return self._recent[-1]

    def points(self, now: float, seconds: float) -> Points:
        """Return what is not older than so many seconds, as seconds from ``now``."""
        times: list[float] = []
        values: list[float] = []
        first = now - seconds
        older = self._older
        begin = bisect_left(older, first, key=lambda point: point.time)
        for part in (older[begin:], self._waiting, self._recent):
            for point in part:
                if point.time < first:
                    continue
                if times and not point.joined:
                    times.append(point.time - now)
                    values.append(math.nan)
                times.append(point.time - now)
                values.append(point.value)
        return times, values


def _halved(points: list[_Point]) -> list[_Point]:
    """Keep the extreme ones of every four in a row: half as many, and no peak is lost."""
    fours = (points[begin : begin + 4] for begin in range(0, len(points), 4))
    return [point for four in fours for point in _extreme_points(four)]


def _extreme_points(points: list[_Point]) -> list[_Point]:
    """Return the least and the greatest in their order; of equal ones the first and the last."""
    values = [point.value for point in points]
    low, high = values.index(min(values)), values.index(max(values))
    if low == high:
        low, high = 0, len(points) - 1
    kept: list[_Point] = []
    begin = 0
    last = max(low, high)
    for place in sorted({low, high}):
        # A gap must not go with the points that are left out, not those at the end either.
        end = len(points) if place == last else place + 1
        joined = all(point.joined for point in points[begin:end])
        kept.append(_Point(points[place].time, points[place].value, joined))
        begin = place + 1
    return kept


class History:
    """The figures of the charts over time, bounded however long the console runs."""

    def __init__(self, recent: int = RECENT, older: int = OLDER) -> None:
        self._recent = recent
        self._older = older
        self._series: dict[tuple[str, str], _Series] = {}
        self._seen: dict[str, float] = {}
        """When each replica was there last."""
        self._newest: Moment | None = None
        self._first = 0.0
        self._seconds = 0
        self._run_began: float | None = None

    def add(self, moment: Moment) -> None:
        """Append a second."""
        before = self._newest.step if self._newest else 0
        if self._newest is None:
            self._first = moment.time
        if moment.step and (not before or moment.step < before):
            self._run_began = moment.time
        self._newest = moment
        self._seconds += 1
        for name, value in zip(_LATENCIES, moment.latency, strict=True):
            self._add(_RUN, name, value)
        self._add(_RUN, "wer", moment.wer)
        for replica, sample in moment.samples.items():
            self._seen[replica] = moment.time
            for figure in FIGURES:
                self._add(replica, figure, getattr(sample, figure))
        if self._seconds % self._recent == 0:
            self._forget(moment.time)

    def _add(self, owner: str, figure: str, value: float | None) -> None:
        if value is None or self._newest is None:
            return
        series = self._series.get((owner, figure))
        if series is None:
            series = self._series[owner, figure] = _Series(self._recent, self._older)
        series.add(self._newest.time, float(value), self._seconds)

    def _forget(self, now: float) -> None:
        """Drop the figures of replicas that no window reaches any more."""
        oldest = now - RECENT
        if self._run_began is not None:
            oldest = min(oldest, self._run_began)
        self._series = {
            key: series for key, series in self._series.items() if series.last.time >= oldest
        }
        self._seen = {name: time for name, time in self._seen.items() if time >= oldest}

    @property
    def seconds(self) -> int:
        """How many seconds were added: a change of it says that there is something new."""
        return self._seconds

    @property
    def span(self) -> float:
        """Seconds from the first moment to the newest."""
        return self._newest.time - self._first if self._newest else 0.0

    @property
    def run_span(self) -> float | None:
        """Seconds since the first step of the running load, or of the last one, began."""
        if self._newest is None or self._run_began is None:
            return None
        return self._newest.time - self._run_began

    @property
    def samples(self) -> Mapping[str, ReplicaSample]:
        """The replicas' newest samples."""
        return self._newest.samples if self._newest else {}

    def latency(self, index: int, seconds: float = math.inf) -> Points:
        """Return p50 (0), p95 (1) or p99 (2) over the last so many seconds."""
        return self._points(_RUN, _LATENCIES[index], seconds)

    def wer(self, seconds: float = math.inf) -> Points:
        """Return the word error rate over time, in per cent."""
        return _scaled(self._points(_RUN, "wer", seconds), 100.0)

    def replicas(self, seconds: float = math.inf) -> list[str]:
        """Return the names of all replicas that were there in the last so many seconds."""
        if self._newest is None:
            return []
        first = self._newest.time - seconds
        return by_number(name for name, time in self._seen.items() if time >= first)

    def replica(
        self, name: str, figure: str, scale: float = 1.0, seconds: float = math.inf
    ) -> Points:
        """Return one of ``FIGURES`` of one replica over time, times ``scale``."""
        return _scaled(self._points(name, figure, seconds), scale)

    def knows(self, figure: str) -> bool:
        """Whether any replica has this figure."""
        return any(one == figure for _, one in self._series)

    def _points(self, owner: str, figure: str, seconds: float) -> Points:
        series = self._series.get((owner, figure))
        if series is None or self._newest is None:
            return [], []
        return series.points(self._newest.time, seconds)


def _scaled(points: Points, scale: float) -> Points:
    times, values = points
    return (times, values) if scale == 1.0 else (times, [value * scale for value in values])


def live_latency(row: TimelineRow) -> tuple[float | None, float | None, float | None]:
    """Return a timeline row's percentiles."""
    return row.latency_p50, row.latency_p95, row.latency_p99


def decimate(points: Points, columns: int) -> Points:
    """Reduce points to at most two a column, the least and the greatest, so that no peak is lost.

    Columns are equal parts of the time that the points span. A gap stays one, as a third point of
    its column. Drawing thousands of points costs time and shows no more.
    """
    times, values = points
    if len(times) <= 2 * columns or columns < 1:
        return points
    start = times[0]
    width = (times[-1] - start) / columns or 1.0
    kept: list[int] = []
    end = start + width
    low = high = gap = -1
    for index, (time, value) in enumerate(zip(times, values, strict=True)):
        if time >= end:
            kept += sorted({low, high, gap})
            low = high = gap = -1
            column = int((time - start) / width) + 1
            end = start + width * column if column < columns else math.inf
        if value != value:  # noqa: PLR0124 - a gap, which is not equal to itself
            gap = index if gap < 0 else gap
        elif low < 0:
            low = high = index
        elif value < values[low]:
            low = index
        elif value > values[high]:
            high = index
    kept += sorted({low, high, gap})
    found = [index for index in kept if index >= 0]
    return [times[index] for index in found], [values[index] for index in found]
