"""From values to pixels: axes, and what of many values can be seen. Pure."""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.figures import Unit

Point = tuple[float, float | None]
"""A place and its value; None is a gap."""
_MIB: Final = float(2**20)
_GIB: Final = float(2**30)
_LARGEST: Final = 1e15
"""Beyond it no figure of ours is right, and numbers no longer fit beside an axis."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels, straight or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    """What is below ``low`` stands at ``low``."""

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        if self.log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


@dataclass(frozen=True, slots=True)
class Axis:
    """Where an axis begins and ends, and what is written beside it."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    log: bool = False

    def scale(self, start: float, end: float) -> Scale:
        """Lay the axis between two pixels."""
        return Scale(self.low, self.high, start, end, log=self.log)


def known(value: float | None) -> float | None:
    """Return a value that can be drawn; files may hold what can't."""
    if value is None:
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and abs(found) <= _LARGEST else None


def axis(values: Iterable[float], unit: Unit, *, most: int = 5, exact: bool = False) -> Axis:
    """Return an axis from 0 (or what is below) to the first round number past all values.

    With ``exact`` it ends at the largest value. ``most`` is how many ticks there may be, beside 0.
    """
    found = list(values)
    low, high = min([0.0, *found]), max([0.0, *found])
    if high == low:
        high = low + _smallest(unit)
    high = max(high, low + _smallest(unit) / 1000)
    factor, name = _shown_in(unit, max(abs(low), high))
    step = _step((high - low) / factor, most, whole=unit is Unit.COUNT)
    first = math.floor(low / factor / step + 1e-9)
    last = (math.floor if exact else math.ceil)(high / factor / step + (1e-9 if exact else -1e-9))
    last = max(last, first + 1)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    ticks = [place * step for place in range(first, last + 1)]
    return Axis(
        low=first * step * factor,
        high=high if exact else last * step * factor,
        ticks=tuple(tick * factor for tick in ticks),
        labels=tuple(f"{tick:z,.{digits}f}{name}" for tick in ticks),
    )


def log_axis(values: Iterable[float]) -> Axis:
    """Return a logarithmic axis of seconds, four decades at most, that holds the largest value."""
    found = [value for value in values if value > 0]
    high = max(found, default=1.0)
    low = max(min(found, default=0.1), high / 1e4)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_ones = [times * 10.0**power for power in powers for times in (1, 2, 5)]
    first = max([one for one in round_ones if one <= low * (1 + 1e-9)], default=round_ones[0])
    last = min([one for one in round_ones if one > first and one >= high * (1 - 1e-9)])
    ticks = [one for one in round_ones if first <= one <= last]
    if len(ticks) > 10:
        ticks = [one for one in ticks if f"{one:e}".startswith("1")]
    return Axis(
        low=first,
        high=last,
        ticks=tuple(ticks),
        labels=tuple(f"{one:g} s" if one >= 0.1 else f"{one * 1000:g} ms" for one in ticks),
        log=True,
    )


def _smallest(unit: Unit) -> float:
    """Return how far an axis reaches where there is nothing but zero."""
    return {Unit.FRACTION: 0.01, Unit.BYTES: _MIB, Unit.SECONDS: 0.1, Unit.CORES: 0.1}.get(
        unit, 1.0
    )


def _shown_in(unit: Unit, high: float) -> tuple[float, str]:
    match unit:
        case Unit.SECONDS:
            return (1.0, " s") if high >= 0.1 else (0.001, " ms")
        case Unit.FRACTION:
            return 0.01, " %"
        case Unit.BYTES:
            return (_GIB, " GiB") if high >= 4 * _GIB else (_MIB, " MiB")
        case Unit.RATIO:
            return 1.0, "×"
        case Unit.CORES | Unit.COUNT:
            return 1.0, ""


def time_axis(end: float) -> Axis:
    """Return an axis of seconds, written in what suits its length."""
    end = max(end, 1.0)
    if end <= 180:
        factor, name = 1.0, " s"
    elif end <= 3 * 3600:
        factor, name = 60.0, " min"
    else:
        factor, name = 3600.0, " h"
    found = axis([end / factor], Unit.COUNT if end > 5 else Unit.CORES, most=6, exact=True)
    return Axis(
        low=0.0,
        high=end,
        ticks=tuple(tick * factor for tick in found.ticks),
        labels=tuple(f"{label}{name}" for label in found.labels),
    )


def count_axis(counts: Sequence[int], width: float, *, always: Iterable[int] = ()) -> Axis:
    """Return an axis of client counts: a tick at each, labels where there is room for them.

    The ends come first, then those of ``always``, then the rest. There must be a count.
    """
    places = sorted(set(counts))
    # A single count stands in the middle.
    high = places[-1] * (2 if len(places) == 1 else 1)
    scale = Scale(0, high, 0, width)
    labelled: list[int] = []
    for count in dict.fromkeys([places[-1], *always, places[0], *reversed(places)]):
        room = all(
            abs(scale.at(count) - scale.at(other)) >= text_width(f"{places[-1]:,}") + 8
            for other in labelled
        )
        if room and count in places:
            labelled.append(count)
    return Axis(
        low=0.0,
        high=float(high),
        ticks=tuple(float(place) for place in places),
        labels=tuple(f"{place:,}" if place in labelled else "" for place in places),
    )


def _step(span: float, most: int, *, whole: bool) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that makes at most ``most`` steps."""
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 5, 10) if power * times >= rough * (1 - 1e-9))
    return max(1.0, step) if whole else step


def visible(points: Iterable[Point], across: Scale) -> list[list[tuple[float, float]]]:
    """Split points, in order of place, at gaps, and thin them to what can be seen.

    Of each column of pixels the lowest and the highest stay, so that no extreme is lost. A gap that
    is narrower than a column can't be seen, and splits nothing.
    """
    pieces: list[list[tuple[float, float]]] = []
    for column in _columns(points, across):
        if column.after_gap or not pieces:
            pieces.append([])
        low, high = column.low, column.high
        pieces[-1] += [low] if low == high else sorted((low, high))
    return pieces


@dataclass(slots=True)
class _Column:
    number: int
    low: tuple[float, float]
    high: tuple[float, float]
    after_gap: bool


def _columns(points: Iterable[Point], across: Scale) -> Iterator[_Column]:
    column: _Column | None = None
    gap = False
    for place, value in points:
        if value is None:
            gap = True
            continue
        number, point = math.floor(across.at(place)), (place, value)
        if column is not None and number == column.number:
            column.low = min(column.low, point, key=_value)
            column.high = max(column.high, point, key=_value)
        else:
            if column is not None:
                yield column
            column = _Column(number, point, point, gap)
        gap = False
    if column is not None:
        yield column


def _value(point: tuple[float, float]) -> float:
    return point[1]


def text_width(label: str, *, size: float = 11.0) -> float:
    """Estimate the pixels that a text takes: the page's font isn't known here."""
    return size * sum(_sign_width(sign) for sign in label)


def _sign_width(sign: str) -> float:
    if unicodedata.east_asian_width(sign) in {"W", "F"}:
        return 1.0
    # What is shown too wide costs room, what is shown too narrow is cut off.
    return 0.8 if sign.isupper() or sign in "mwMW%…" else 0.62


def shortened(label: str, room: float) -> str:
    """Cut the middle out of a text that is too long: beginning and end tell names apart."""
    if text_width(label) <= room:
        return label
    most = len(label)
    while most > 2 and text_width(label[: most - most // 2] + "…" + label[-(most // 2) :]) > room:
        most -= 1
    return f"{label[: most - most // 2]}…{label[-(most // 2) :]}"


def apart(wanted: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Move places, given in order, until each is ``distance`` from the next, within the limits.

    Where they can't be within both, they go beyond ``high``.
    """
    found: list[float] = []
    for place in wanted:
        found.append(max([place, low, *(last + distance for last in found[-1:])]))
    end = high
    for number in range(len(found) - 1, -1, -1):
        least = low + number * distance
        found[number] = max(min(found[number], end), least)
        end = found[number] - distance
    return found
