"""What a chart shows, and its words: legend and axes. Pure."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from console.history import Points

FINE = "⣀"
"""Marks a line that is alone: it needs no sign of its own."""
MARKERS = ("●", "▲", "◆", "■", "○", "△", "◇", "□")
PLAIN_MARKERS = ("o", "x", "*", "+", "#", "@", "%", "&")
"""For terminals that show ASCII only."""
_GONE = 5.0
"""Seconds without a value after which a live line is named no more."""
_NEAR = 4.0
_SPANS = (30, 60, 120, 180, 300, 450, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200)
"""Seconds that the time axis may span; beyond, whole hours."""
_TIME_STEPS = (5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
_UNITS = ((3600, "h"), (60, "min"))


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    points: Points


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a chart shows."""

    lines: Sequence[Line]
    empty: str
    """Said in place of a chart without data."""
    limit: tuple[str, float] | None = None
    """A level line and its name, such as the SLO."""
    lowest_top: float = 1.0
    """The y axis reaches at least up to here."""
    whole: bool = False
    """The values are counts: no marks between whole numbers."""
    window: float = 0.0
    """Seconds that the time axis spans at least, so that charts beside each other agree."""
    since: bool = False
    """Times count from a start; otherwise back from now."""
    clients: Sequence[int] = ()
    """Client counts, where the lines go over those instead of over time."""
    now: float = 0.0
    """Seconds since the epoch at time 0, where times count back from now; 0 is unknown."""

    @property
    def live(self) -> bool:
        """Whether times count back from now."""
        return not self.since and not self.clients

    @property
    def shown(self) -> list[tuple[int, Line]]:
        """The lines that have points, with their numbers among all lines."""
        return [(number, line) for number, line in enumerate(self.lines) if line.points[0]]

    def is_present(self, line: Line) -> bool:
        """Whether a line's last value is the present one."""
        return not self.live or line.points[0][-1] >= -_GONE


@dataclass(frozen=True, slots=True)
class Axes:
    """What the two axes span, and their marks: values with their words."""

    left: float
    right: float
    top: float
    across: Sequence[tuple[float, str]]
    up: Sequence[tuple[float, str]]
    limit: float | None = None
    """The level line, where it is near enough to be drawn."""


def axes(drawing: Drawing, *, width: int, height: int) -> Axes:
    """Return the axes of a plot of so many columns and rows."""
    shown = [line for _, line in drawing.shown]
    greatest = (
        max((value for value in line.points[1] if value == value), default=0.0)  # noqa: PLR0124
        for line in shown
    )
    top = max(drawing.lowest_top, *greatest) if shown else drawing.lowest_top
    limit = None
    if drawing.limit is not None and drawing.limit[1] <= _NEAR * top:
        # A limit far above the data would press it flat: then only the legend names it.
        limit = drawing.limit[1]
        top = max(top, limit * 1.1)
    step = round_step(top, 4 if height > 10 else 3 if height > 7 else 1)
    if drawing.whole:
        step = max(1.0, step)
    levels = [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]
    up = [(level, f"{level:g}") for level in levels]
    if drawing.clients:
        left, right, across = _client_axis(drawing.clients)
    else:
        longest = max((abs(time) for line in shown for time in line.points[0]), default=0.0)
        left, right, across = _time_axis(
            max(drawing.window, longest), since=drawing.since, marks=max(2, width // 14)
        )
    return Axes(left, right, levels[-1], across, up, limit)


def _time_axis(
    longest: float, *, since: bool, marks: int
) -> tuple[float, float, list[tuple[float, str]]]:
    """Give the time axis a round span and round marks."""
    hours = math.ceil(longest / 3600) * 3600.0
    span = float(next((span for span in _SPANS if span >= longest - 1), hours))
    if since:
        span = max(1.0, longest)  # it is over: the axis need not keep still
    step = next((step for step in _TIME_STEPS if span / step <= marks), _TIME_STEPS[-1])
    times = range(0, int(span) + 1, step)
    unit, name = next(((u, n) for u, n in _UNITS if step % u == 0), (1, "s"))
    words = [(float(time), f"{time // unit} {name}") for time in times]
    if since:
        return 0.0, span, words
    return -span, 0.0, [(-time, f"-{word}" if time else "now") for time, word in words]


def _client_axis(clients: Sequence[int]) -> tuple[float, float, list[tuple[float, str]]]:
    """Mark the counts that were played, as far as their numbers don't touch."""
    last = max(clients)
    marked = [last]
    for count in sorted(set(clients), reverse=True):
        if marked[-1] - count >= last / 10:
            marked.append(count)
    return 0.0, float(last), [(float(count), str(count)) for count in marked]


def duration(seconds: float) -> str:
    """Write a length of time in the largest unit that divides it."""
    for unit, name in _UNITS:
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"


def round_step(top: float, steps: int) -> float:
    """Return the smallest of 1, 2, 5, 10, … that reaches ``top`` in so many steps."""
    least = top / steps
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least - 1e-12)


def figure_text(value: float) -> str:
    """Write a value in three digits; larger ones whole."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def short_names(names: Sequence[str]) -> list[str]:
    """Leave out what all names begin with, up to the dash: ``replica-1`` is 1 beside others."""
    begin = names[0].rpartition("-")[0] if names else ""
    if begin and len(names) > 1 and all(name.startswith(f"{begin}-") for name in names):
        return [name[len(begin) + 1 :] for name in names]
    return list(names)


def marker_of(number: int, markers: Sequence[str]) -> str:
    """Return a line's sign; where colours begin anew, signs are moved on by one."""
    return markers[(number + number // len(markers)) % len(markers)]


def value_near(points: Points, where: float, tolerance: float) -> float | None:
    """Return the value nearest to a time, at most so far away; None in a gap."""
    times, values = points
    index = bisect_left(times, where)
    near = [
        one
        for one in range(max(0, index - 1), min(len(times), index + 2))
        if not math.isnan(values[one])
    ]
    best = min(near, key=lambda one: abs(times[one] - where), default=None)
    if best is None or abs(times[best] - where) > tolerance:
        return None
    return values[best]
