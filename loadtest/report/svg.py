"""Plots as SVG: lines, bands, limits and bars, named where they end. Pure.

Colours are classes that the page's style fills in, light and dark. Each colour comes with a dash
and a marker of its own, so that nothing is told by colour alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.figures import Unit
from loadtest.report.markup import Markup, joined, number, tag
from loadtest.report.scale import (
    Axis,
    Point,
    Scale,
    apart,
    axis,
    shortened,
    text_width,
    visible,
)

STYLES: Final = 6
"""So many lines can be told apart; one more takes the first style again."""
_DASHES: Final = (None, "6 3", "2 2.5", "9 3 2 3", "12 4", "1 3")
_LINE: Final = 13.0
"""Pixels from one line of text to the next."""
_SAMPLE: Final = 20.0
"""Pixels of line before a name."""
_NAME: Final = 110.0
"""Pixels that a name may take."""
_BAR: Final = 15.0
_MANY: Final = 25
"""Markers from which on smaller ones are drawn."""


@dataclass(frozen=True, slots=True)
class Line:
    """Values over places."""

    name: str
    points: Sequence[Point]
    style: int = 0
    markers: bool = False
    """Mark each point; else only those that no line reaches."""
    hollow: Sequence[tuple[float, float]] = ()
    """Points apart from the line, that are to be taken with care."""
    dots: Sequence[tuple[float, float]] = ()
    """Points on the line that are marked, where not all are."""
    steps: bool = False
    """Between two points the value is that of the first."""
    faint: bool = False
    """One of many: drawn in grey and not named."""


@dataclass(frozen=True, slots=True)
class Band:
    """From the lowest to the highest of many."""

    name: str
    low: Sequence[Point]
    high: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Mark:
    """A value with its name."""

    at: float
    name: str
    limit: bool = False
    """It must not be passed."""


@dataclass(frozen=True, slots=True)
class Plot:
    """What a plot shows; ``description`` says the same in words."""

    title: str
    description: str
    across: Axis
    unit: Unit
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    limit: Mark | None = None
    """A level that must not be passed."""
    marks: Sequence[Mark] = ()
    """Places worth a look."""
    under: str = ""
    """What the horizontal axis counts."""
    up: Axis | None = None
    """The vertical axis; without it one that holds everything."""
    names: bool = True
    """Write the lines' names beside them."""
    size: tuple[float, float] = (480.0, 270.0)
    note: str = ""
    """A few words below the title."""


@dataclass(frozen=True, slots=True)
class _Frame:
    across: Scale
    up: Scale

    def at(self, point: tuple[float, float]) -> tuple[float, float]:
        return self.across.at(point[0]), self.up.at(point[1])


def drawn(plot: Plot, identity: str) -> Markup:
    """Draw a plot; ``identity`` is what its ids on the page begin with."""
    width, height = plot.size
    up = plot.up or axis(_values(plot), plot.unit)
    named = [line for line in plot.lines if not line.faint] if plot.names else []
    labels = [shortened(line.name, _NAME) for line in named]
    bands = [shortened(band.name, _NAME) for band in plot.bands] if plot.names else []
    right = max([text_width(label) for label in [*labels, *bands]], default=-_SAMPLE - 14)
    last = plot.across.labels[-1] if plot.across.labels else ""
    frame = _Frame(
        plot.across.scale(
            max(text_width(label) for label in up.labels) + 8,
            width - max(right + _SAMPLE + 14, text_width(last) / 2 + 2),
        ),
        up.scale(height - (36 if plot.under else 22), 22 if plot.marks else 10),
    )
    return _svg(
        plot.title,
        plot.description,
        plot.size,
        identity,
        [
            *_grid(frame, up, plot.across),
            *_under(frame, plot.under, height),
            *_level(frame, plot.limit),
            *(_band(frame, band) for band in plot.bands),
            *(_drawn_line(frame, line) for line in plot.lines if line.faint),
            *(_drawn_line(frame, line) for line in plot.lines if not line.faint),
            *_level_name(frame, plot.limit),
            *(_mark(frame, mark) for mark in plot.marks),
            *_names(frame, named, labels, list(zip(plot.bands, bands, strict=False))),
        ],
    )


def _values(plot: Plot) -> list[float]:
    values = [value for line in plot.lines for _, value in line.points if value is not None]
    values += [value for line in plot.lines for _, value in line.hollow]
    values += [value for band in plot.bands for _, value in band.high if value is not None]
    return [*values, plot.limit.at] if plot.limit is not None else values


def _svg(
    title: str, description: str, size: tuple[float, float], identity: str, parts: Iterable[Markup]
) -> Markup:
    return tag(
        "svg",
        tag("title", title, id=f"{identity}-title"),
        tag("desc", description, id=f"{identity}-desc"),
        *parts,
        viewBox=f"0 0 {number(size[0])} {number(size[1])}",
        role="img",
        aria_labelledby=f"{identity}-title {identity}-desc",
    )


def _grid(frame: _Frame, up: Axis, across: Axis) -> Iterable[Markup]:
    left, right, bottom = frame.across.start, frame.across.end, frame.up.start
    for tick, label in zip(up.ticks, up.labels, strict=True):
        y = frame.up.at(tick)
        yield tag("path", d=f"M{number(left)} {number(y)}H{number(right)}", class_="grid")
        yield tag("text", label, x=left - 6, y=y + 3.5, class_="tick end")
    for tick, label in zip(across.ticks, across.labels, strict=True):
        x = frame.across.at(tick)
        yield tag("path", d=f"M{number(x)} {number(bottom)}v4", class_="axis")
        if label:
            yield tag("text", label, x=x, y=bottom + 15, class_="tick middle")
    yield tag("path", d=f"M{number(left)} {number(bottom)}H{number(right)}", class_="axis")


def _under(frame: _Frame, name: str, height: float) -> Iterable[Markup]:
    if name:
        middle = (frame.across.start + frame.across.end) / 2
        yield tag("text", name, x=middle, y=height - 4, class_="tick middle")


def _level(frame: _Frame, limit: Mark | None) -> Iterable[Markup]:
    if limit is not None:
        y = frame.up.at(limit.at)
        span = f"M{number(frame.across.start)} {number(y)}H{number(frame.across.end)}"
        yield tag("path", d=span, class_="limit")


def _level_name(frame: _Frame, limit: Mark | None) -> Iterable[Markup]:
    if limit is None:
        return
    y = frame.up.at(limit.at)
    # What passes a limit does so above it, what stays within it below: the name goes to the
    # other side, but for a limit at the very top.
    low = y > (frame.up.start + frame.up.end) / 2
    place = y + 11 if low or y <= frame.up.end + 8 else y - 4
    yield tag("text", limit.name, x=frame.across.start + 4, y=place, class_="note")


def _mark(frame: _Frame, mark: Mark) -> Markup:
    x = frame.across.at(mark.at)
    half = text_width(mark.name) / 2
    middle = min(max(x, frame.across.start + half), max(frame.across.end - half, x))
    return joined(
        tag(
            "path",
            d=f"M{number(x)} {number(frame.up.start)}V{number(frame.up.end)}",
            class_="limit" if mark.limit else "at",
        ),
        tag("text", mark.name, x=middle, y=frame.up.end - 9, class_="note middle"),
    )


def _drawn_line(frame: _Frame, line: Line) -> Markup:
    style = line.style % STYLES
    pieces = (
        [[(place, value)] for place, value in line.points if value is not None]
        if line.markers
        else visible(line.points, frame.across)
    )
    paths = _joined_points(line.points) if line.markers else pieces
    path = "".join(
        _path([frame.at(point) for point in piece], steps=line.steps)
        for piece in paths
        if len(piece) > 1
    )
    alone = [piece[0] for piece in pieces if len(piece) == 1]
    colour = "faint" if line.faint else f"s{style}"
    size = 3.2 if len(alone) <= _MANY else 2.2
    return joined(
        tag("path", d=path, class_=f"line {colour}", stroke_dasharray=_DASHES[style])
        if path
        else Markup(),
        *(_marker(*frame.at(point), style, colour, size=size) for point in alone),
        *(_marker(*frame.at(point), style, f"{colour} open", size=3.6) for point in line.hollow),
        *(_marker(*frame.at(point), style, colour, size=3.2) for point in line.dots),
    )


def _joined_points(points: Iterable[Point]) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    for place, value in points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((place, value))
    return pieces


def _path(points: Sequence[tuple[float, float]], *, steps: bool) -> str:
    (x, y), *rest = points
    parts = [f"M{number(x)} {number(y)}"]
    for x, y in rest:
        parts.append(f"H{number(x)}V{number(y)}" if steps else f"L{number(x)} {number(y)}")
    return "".join(parts)


def _marker(x: float, y: float, style: int, colour: str, *, size: float) -> Markup:
    """Draw a circle, square, triangle, diamond, cross or star."""
    around = {
        1: (-1, -1, 1, -1, 1, 1, -1, 1),
        2: (0, -1.3, 1.2, 0.9, -1.2, 0.9),
        3: (0, -1.4, 1.4, 0, 0, 1.4, -1.4, 0),
        4: (-1.3, -0.4, 1.3, -0.4, 1.3, 0.4, -1.3, 0.4),
        5: (-0.4, -1.3, 0.4, -1.3, 0.4, 1.3, -0.4, 1.3),
    }.get(style)
    if around is None:
        return tag("circle", cx=x, cy=y, r=size, class_=f"point {colour}")
    places = [
        f"{number(x + size * dx)},{number(y + size * dy)}"
        for dx, dy in zip(around[::2], around[1::2], strict=True)
    ]
    return tag("polygon", points=" ".join(places), class_=f"point {colour}")


def _band(frame: _Frame, band: Band) -> Markup:
    lows, highs = visible(band.low, frame.across), visible(band.high, frame.across)
    path = ""
    for low, high in zip(lows, highs, strict=True):
        there = [frame.at(point) for point in high]
        back = [frame.at(point) for point in reversed(low)]
        path += _path([*there, *back], steps=False) + "Z"
    return tag("path", d=path, class_="band") if path else Markup()


def _names(
    frame: _Frame,
    lines: Sequence[Line],
    labels: Sequence[str],
    bands: Sequence[tuple[Band, str]],
) -> Iterable[Markup]:
    """Write names at the right, as near as can be to where their lines end."""
    wanted: list[tuple[float, str, Line | None]] = [
        (_end(frame, line.points, line.hollow), label, line)
        for line, label in zip(lines, labels, strict=True)
    ]
    wanted += [(_end(frame, band.high, ()), label, None) for band, label in bands]
    wanted.sort(key=lambda one: one[0])
    places = apart([one[0] for one in wanted], _LINE, frame.up.end, frame.up.start)
    x = frame.across.end + 12
    for (_, label, line), y in zip(wanted, places, strict=True):
        yield _sample(x, y, line)
        yield tag("text", label, x=x + _SAMPLE, y=y + 3.5, class_="name")


def _sample(x: float, y: float, line: Line | None) -> Markup:
    span = f"M{number(x)} {number(y)}h{number(_SAMPLE - 4)}"
    if line is None:
        return tag("path", d=span, class_="band sample")
    style = line.style % STYLES
    dashed = tag("path", d=span, class_=f"line s{style}", stroke_dasharray=_DASHES[style])
    if not line.markers and not line.dots:
        return dashed
    return joined(dashed, _marker(x + (_SAMPLE - 4) / 2, y, style, f"s{style}", size=3.2))


def _end(frame: _Frame, points: Sequence[Point], hollow: Sequence[tuple[float, float]]) -> float:
    found = [(place, value) for place, value in points if value is not None]
    last = max([*found[-1:], *hollow], default=None, key=lambda point: point[0])
    return frame.up.start if last is None else frame.up.at(last[1])


@dataclass(frozen=True, slots=True)
class Bar:
    """A value, its name, and what is written behind it; None is unknown, not zero."""

    name: str
    value: float | None
    text: str
    striking: bool = False


@dataclass(frozen=True, slots=True)
class Bars:
    """Values beside each other."""

    title: str
    description: str
    unit: Unit
    bars: Sequence[Bar]
    limit: Mark | None = None
    width: float = 480.0
    note: str = ""


def drawn_bars(plot: Bars, identity: str) -> Markup:
    """Draw bars; ``identity`` is what their ids on the page begin with."""
    values = [bar.value for bar in plot.bars if bar.value is not None]
    limits = [plot.limit.at] if plot.limit is not None else []
    along = axis([*values, *limits], plot.unit)
    names = [shortened(bar.name, 130.0) for bar in plot.bars]
    top = 20.0
    bottom = top + _BAR * len(plot.bars)
    left = max([text_width(name) for name in names], default=0.0) + 10
    behind = max([text_width(bar.text) for bar in plot.bars], default=0.0) + 10
    scale = along.scale(left, plot.width - max(behind, 20.0))
    parts = []
    for tick, label in zip(along.ticks, along.labels, strict=True):
        x = scale.at(tick)
        parts.append(tag("path", d=f"M{number(x)} {number(top)}V{number(bottom)}", class_="grid"))
        parts.append(tag("text", label, x=x, y=bottom + 15, class_="tick middle"))
    for place, bar in enumerate(plot.bars):
        if bar.value is not None:
            kind = "bar striking" if bar.striking else "bar"
            y, length = top + _BAR * place, max(scale.at(bar.value) - left, 0.0)
            parts.append(tag("rect", x=left, y=y + 2, width=length, height=_BAR - 4, class_=kind))
    if plot.limit is not None:
        x = scale.at(plot.limit.at)
        parts.append(tag("path", d=f"M{number(x)} {number(top)}V{number(bottom)}", class_="limit"))
        parts.append(tag("text", plot.limit.name, x=x, y=top - 6, class_="note middle"))
    for place, (bar, name) in enumerate(zip(plot.bars, names, strict=True)):
        y, end = top + _BAR * place + 11, left if bar.value is None else scale.at(bar.value)
        parts.append(tag("text", name, x=left - 6, y=y, class_="name end"))
        wall = scale.at(plot.limit.at) if plot.limit is not None else end
        # A figure that the limit's line would cross stands behind it.
        begin = wall if end <= wall <= end + text_width(bar.text) + 5 else end
        parts.append(tag("text", bar.text, x=begin + 5, y=y, class_="note"))
    parts.append(tag("path", d=f"M{number(left)} {number(top)}V{number(bottom)}", class_="axis"))
    return _svg(plot.title, plot.description, (plot.width, bottom + 22), identity, parts)
