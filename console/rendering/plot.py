"""A chart as rows of characters with roles; the widget gives roles their colours. Pure."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from console.history import decimate
from console.rendering.canvas import Canvas, Run
from console.rendering.drawing import (
    FINE,
    MARKERS,
    PLAIN_MARKERS,
    Axes,
    Drawing,
    Line,
    axes,
    figure_text,
    marker_of,
    short_names,
    value_near,
)

GAP = "  "
"""Between two entries of a legend."""
_SIGN_EVERY = 12
"""Columns between two signs of a line, where there are few lines."""
_ENDS_FROM = 44
"""Columns from which the lines have their names at their ends, too."""
_ENDS_MOST = 9
_LEGEND_MOST = 3
"""Rows of the legend at most, where it does not fit the border."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn chart."""

    rows: Sequence[Sequence[Run]]
    """From the top."""
    legend: Sequence[Run]
    """For the border."""
    first: int
    """The column of the field's left edge."""
    columns: int
    left: float
    right: float
    """The horizontal values at the edges of the field."""

    def value_at(self, column: int) -> float:
        """Return the horizontal value at a column of the picture."""
        part = (column - self.first) / max(1, self.columns - 1)
        return self.left + min(1.0, max(0.0, part)) * (self.right - self.left)


def plot(
    drawing: Drawing, width: int, height: int, *, plain: bool = False, cursor: float | None = None
) -> Picture:
    """Draw a chart of so many columns and rows, with a cursor at a horizontal value."""
    # What is read off comes from all points, what is drawn from two a column.
    names = Names(drawing, plain=plain)
    drawing = replace(
        drawing,
        lines=[Line(line.name, decimate(line.points, max(2, width))) for line in drawing.lines],
    )
    frame = _Frame(drawing, names, width, height, cursor)
    canvas = Canvas(frame.columns, frame.rows, plain=plain)
    bounds = frame.axes
    _background(canvas, bounds)
    ends: dict[int, int] = {}
    lines = drawing.shown
    for place, (number, line) in enumerate(lines):
        xs, ys = _scaled(line, bounds)
        middle = canvas.line(number, xs, ys)
        if middle:
            ends[number] = middle[max(middle)]
        if plain:
            continue
        if drawing.clients:
            _put_on_points(canvas, number, xs, middle)
        elif len(lines) > 1:
            _put_signs(canvas, number, place, len(lines), middle)
    if cursor is not None:
        _put_cursor(canvas, bounds, cursor)
    return Picture(
        rows=frame.rows_of(canvas, ends),
        legend=frame.border,
        first=frame.left,
        columns=frame.columns,
        left=bounds.left,
        right=bounds.right,
    )


class Names:
    """The words of a chart's lines: signs, names, values at the cursor or last ones."""

    def __init__(self, drawing: Drawing, *, plain: bool) -> None:
        self.drawing = drawing
        self.plain = plain
        self.short = dict(
            zip(
                (number for number, _ in drawing.shown),
                short_names([line.name for _, line in drawing.shown]),
                strict=True,
            )
        )

    def marker(self, number: int) -> str:
        """Return a line's sign."""
        if len(self.drawing.shown) == 1:
            return "o" if self.plain else FINE
        signs = PLAIN_MARKERS if self.plain else MARKERS
        return marker_of(number, signs)

    def entries(
        self, cursor: float | None, tolerance: float, *, short: bool, close: bool = False
    ) -> list[Run]:
        """Name the lines, each with its role; ``close`` puts signs and names together."""
        drawing = self.drawing
        entries: list[Run] = []
        for number, line in drawing.shown:
            if cursor is None and not drawing.is_present(line):
                continue
            name = self.short[number] if short else line.name
            value = _last(line) if cursor is None else _at(line, cursor, tolerance)
            figure = "–" if value is None else figure_text(value)
            words = f"{self.marker(number)}{'' if close else ' '}{name} {figure}"
            entries.append((words, f"line{number}"))
        if drawing.limit is not None:
            entries.append((f"╌ {drawing.limit[0]} {drawing.limit[1]:g}", "limit"))
        return [(_plain(words), role) for words, role in entries] if self.plain else entries

    def moment(self, cursor: float) -> str:
        """Write where the cursor stands."""
        drawing = self.drawing
        if drawing.clients:
            return f"{cursor:.0f} clients"
        if drawing.since:
            return f"after {cursor:.1f} s"
        ago = "now" if cursor > -0.5 else f"{-cursor:.0f} s ago"
        if not drawing.now:
            return ago
        return f"{time.strftime('%H:%M:%S', time.localtime(drawing.now + cursor))}, {ago}"


class _Frame:
    """Where the parts of a chart are: levels, field, names of the ends, times, legend."""

    def __init__(
        self, drawing: Drawing, names: Names, width: int, height: int, cursor: float | None
    ) -> None:
        self.names = names
        self.width = width
        self.axes = bounds = axes(drawing, width=width, height=height)
        self.left = max(len(label) for _, label in bounds.up) + 1
        several = len(drawing.shown) > 1
        # By all points: the last of those that are drawn may be older.
        whole = names.drawing
        present = [number for number, line in whole.shown if whole.is_present(line)]
        room = max((len(names.short[number]) for number in present), default=0) + 2
        self.ends = present if several and width >= _ENDS_FROM and room <= _ENDS_MOST else []
        self.right = room if self.ends else 0
        self.columns = max(4, width - self.left - self.right)
        tolerance = (bounds.right - bounds.left) / max(1, self.columns - 1) / 2
        self.border, self.legend = _legend(
            names, width, cursor, max(tolerance, 1.5 if not drawing.clients else 0.5)
        )
        del self.legend[max(0, min(_LEGEND_MOST, height - 6)) :]
        self.foot = 1 if height - len(self.legend) >= 5 else 0
        self.rows = max(1, height - len(self.legend) - self.foot)

    def rows_of(self, canvas: Canvas, ends: Mapping[int, int]) -> list[list[Run]]:
        """Put the field and what stands around it together, from the top."""
        bounds, plain = self.axes, canvas.plain
        labels = {canvas.row_of(level / bounds.top): label for level, label in bounds.up}
        named = _spread(
            {number: ends[number] for number in self.ends if number in ends}, canvas.rows
        )
        rows: list[list[Run]] = []
        for row in reversed(range(canvas.rows)):
            edge = ("+" if plain else "┤") if row in labels else ("|" if plain else "│")
            runs: list[Run] = [(f"{labels.get(row, ''):>{self.left - 1}}{edge}", "axis")]
            runs += canvas.runs(row)
            if (number := named.get(row)) is not None:
                words = f" {self.names.marker(number)}{self.names.short[number]}"
                runs.append((words[: self.right].ljust(self.right), f"line{number}"))
            rows.append(runs)
        if self.foot:
            rows.append([(self._times(), "axis")])
        rows += self.legend
        return rows

    def _times(self) -> str:
        """Write the marks under the field, as far as they don't touch."""
        bounds = self.axes
        row = [" "] * self.width
        free = 0
        for value, label in sorted(bounds.across):
            part = (value - bounds.left) / ((bounds.right - bounds.left) or 1.0)
            column = self.left + round(part * (self.columns - 1))
            begin = min(self.width - len(label), max(free, column - len(label) // 2))
            if abs(begin + len(label) // 2 - column) > len(label) // 2 + 1 or begin < free:
                continue
            row[begin : begin + len(label)] = label
            free = begin + len(label) + 1
        return "".join(row)


def _scaled(line: Line, bounds: Axes) -> tuple[list[float], list[float]]:
    """Return a line's points as fractions of the field."""
    times, values = line.points
    span = (bounds.right - bounds.left) or 1.0
    left, top = bounds.left, bounds.top
    return [(time - left) / span for time in times], [value / top for value in values]


def _background(canvas: Canvas, bounds: Axes) -> None:
    """Mark the levels faintly, and the limit with dashes."""
    dot, dash = (".", "-") if canvas.plain else ("·", "╌")
    for level, _ in bounds.up[1:]:
        row = canvas.row_of(level / bounds.top)
        for column in range(3, canvas.columns, 6):
            canvas.under(column, row, dot, "grid")
    if bounds.limit is not None:
        row = canvas.row_of(bounds.limit / bounds.top)
        for column in range(canvas.columns):
            if canvas.plain and column % 2:
                continue
            canvas.under(column, row, dash, "limit")


def _put_signs(
    canvas: Canvas, number: int, place: int, count: int, middle: Mapping[int, int]
) -> None:
    """Put a line's sign on it every few columns, at other ones than the other lines' signs."""
    every = max(_SIGN_EVERY, 3 * count)
    offset = every // 2 + place * every // count
    columns = [column for column in middle if (column - offset) % every == 0]
    # A short line must not be left without.
    for column in columns or [max(middle, default=-1)]:
        if column >= 0 and not canvas.has_sign(column, middle[column]):
            canvas.sign(column, middle[column], marker_of(number, MARKERS), f"line{number}")


def _put_on_points(
    canvas: Canvas, number: int, xs: Sequence[float], middle: Mapping[int, int]
) -> None:
    """Put a line's sign where it was measured: between there is nothing but a straight line."""
    for part in xs:
        if middle and 0.0 <= part <= 1.0:
            column = min(middle, key=lambda one: abs(one - part * (canvas.columns - 1)))
            canvas.sign(column, middle[column], marker_of(number, MARKERS), f"line{number}")


def _put_cursor(canvas: Canvas, bounds: Axes, cursor: float) -> None:
    span = (bounds.right - bounds.left) or 1.0
    part = (cursor - bounds.left) / span
    if not 0.0 <= part <= 1.0:
        return
    column = round(part * (canvas.columns - 1))
    for row in range(canvas.rows):
        canvas.under(column, row, "|" if canvas.plain else "│", "cursor")


def _spread(wanted: Mapping[int, int], rows: int) -> dict[int, int]:
    """Give each name a row of its own, near the one it wants; returns names by row."""
    # Where two end in one row the later is the larger percentile.
    order = sorted(wanted, key=lambda number: (wanted[number], number))[:rows]
    placed: list[int] = []
    for place, number in enumerate(order):
        least = placed[-1] + 1 if placed else 0
        placed.append(max(least, min(wanted[number], rows - len(order) + place)))
    return dict(zip(placed, order, strict=True))


def _legend(
    names: Names, width: int, cursor: float | None, tolerance: float
) -> tuple[list[Run], list[list[Run]]]:
    """Name the lines in the border, where they cover no data; else in rows of their own."""
    begin = [(names.moment(cursor), "cursor")] if cursor is not None else []
    room = width - 4
    for short, close in ((False, False), (True, False), (True, True)):
        line = [*begin, *names.entries(cursor, tolerance, short=short, close=close)]
        if sum(len(words) + len(GAP) for words, _ in line) - len(GAP) <= room:
            return line, []
    return begin, _wrapped(names.entries(cursor, tolerance, short=True, close=True), width)


def _wrapped(entries: Sequence[Run], width: int) -> list[list[Run]]:
    """Break a legend into rows."""
    rows: list[list[Run]] = [[]]
    used = 0
    for words, role in entries:
        if rows[-1] and used + len(GAP) + len(words) > width:
            rows.append([])
            used = 0
        gap = GAP if rows[-1] else ""
        rows[-1].append((gap + words, role))
        used += len(gap + words)
    return rows


def _last(line: Line) -> float | None:
    return next((value for value in reversed(line.points[1]) if not math.isnan(value)), None)


def _at(line: Line, cursor: float, tolerance: float) -> float | None:
    return value_near(line.points, cursor, tolerance)


def _plain(text: str) -> str:
    """Write with ASCII alone."""
    return text.translate(_ASCII).encode("ascii", "replace").decode()


_ASCII = str.maketrans({"–": "-", "−": "-", "╌": "-", "…": "..."})
