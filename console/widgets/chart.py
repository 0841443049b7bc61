"""A live chart: drawn only when seen and only when its data changed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.geometry import Size
from textual.widgets import Static
from textual_plotext import PlotextPlot

from console.history import Points, decimate

COLOURS = ("cyan", "orange+", "magenta+", "green+", "blue+", "yellow+", "red+", "white")
MARKERS = ("dot", "x", "*", "+", "o", "#")
FINE = "braille"
"""For a line that is alone: finer than a cell. Beside others it would lie beside its own value."""
"""Lines differ in colour and in marker: colour alone tells some people nothing."""


_NEAR = 4.0
_GONE = 5.0
"""Seconds without a value after which a live line is named no more."""
_WINDOWS = (30, 60, 120, 300, 600, 1800, 3600)
"""Seconds that the time axis may span."""


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
    window: float = 0.0
    """Seconds that the time axis spans at least, so that charts beside each other agree."""
    since: bool = False
    """Times count from a start; otherwise back from now."""
    clients: Sequence[int] = ()
    """Client counts, where the lines go over those instead of over time."""


class Chart(Vertical):
    """A titled chart over time, or over client counts."""

    DEFAULT_CSS = """
    Chart { height: 1fr; border: round $surface-lighten-2; border-title-color: $text;
        border-subtitle-color: $text-muted; padding: 0; }
    Chart > PlotextPlot { height: 1fr; }
    Chart > .empty { height: 1fr; content-align: center middle; color: $text-muted; }
    """

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = title
        self._drawing: Drawing | None = None
        self._new = False
        self._drawn_for = Size()
        """Size of the plot when it was drawn last: how many points are drawn depends on it."""

    def compose(self) -> ComposeResult:
        """Lay out the plot and the words in its place."""
        yield PlotextPlot()
        yield Static("", classes="empty", markup=False)

    def show(self, drawing: Drawing) -> None:
        """Take in new data; it is drawn when ``redraw`` is called."""
        self._drawing = drawing
        self._new = True

    @property
    def stale(self) -> bool:
        """Whether what is drawn is not what was last shown, for the size that there is."""
        plot = self.query_one(PlotextPlot)
        return self._new or (plot.display and plot.size != self._drawn_for)

    def redraw(self) -> None:
        """Draw what was last shown."""
        self._new = False
        plot, empty = self.query_one(PlotextPlot), self.query_one(".empty", Static)
        drawing = self._drawing or Drawing(lines=(), empty="")
        lines = [line for line in drawing.lines if line.points[0]]
        plot.display, empty.display = bool(lines), not lines
        if not lines:
            empty.update(drawing.empty)
            self.border_subtitle = ""
            return
        self._drawn_for = plot.size
        if not plot.size:
            return  # it is not laid out yet
        self._draw(plot, lines, drawing)
        plot.refresh()

    def _draw(self, plot: PlotextPlot, lines: Sequence[Line], drawing: Drawing) -> None:
        figure = plot.plt
        figure.clear_figure()
        columns = max(10, plot.size.width - 8)
        top = drawing.lowest_top
        for number, line in enumerate(lines):
            alone = len(lines) == 1
            times, values = decimate(line.points, columns)
            top = max(top, *values)
            figure.plot(
                times,
                values,
                color=COLOURS[number % len(COLOURS)],
                marker=FINE if alone else MARKERS[number % len(MARKERS)],
            )
        if drawing.limit is not None and drawing.limit[1] <= _NEAR * top:
            # A limit far above the data would press it flat: then only the legend names it.
            figure.hline(drawing.limit[1], "red")
            top = max(top, drawing.limit[1] * 1.1)
        _scale_levels(figure, top, height=plot.size.height)
        if drawing.clients:
            _scale_clients(figure, drawing.clients)
        else:
            longest = max(abs(time) for line in lines for time in line.points[0])
            _scale_time(figure, max(drawing.window, longest), since=drawing.since)
        self.border_subtitle = self._legend(lines, drawing)

    def _legend(self, lines: Sequence[Line], drawing: Drawing) -> str:
        """Name the lines in the border, where they cover no data."""
        signs = {FINE: "━", "dot": "•"}
        names = []
        for number, line in enumerate(lines[:8]):
            if not drawing.since and not drawing.clients and line.points[0][-1] < -_GONE:
                continue  # its last value is not the present one
            marker = FINE if len(lines) == 1 else MARKERS[number % len(MARKERS)]
            names.append(f"{signs.get(marker, marker)} {line.name} {line.points[1][-1]:.3g}")
        if drawing.limit is not None:
            names.append(f"─ {drawing.limit[0]} {drawing.limit[1]:g}")
        return "  ".join(names)


def _scale_time(figure: Any, longest: float, *, since: bool) -> None:
    """Give the time axis round numbers."""
    window = next((window for window in _WINDOWS if window >= longest), longest)
    first, last = (0.0, window) if since else (-window, 0.0)
    figure.xlim(first, last)
    times = [first + window * part / 3 for part in range(4)]
    figure.xticks(times, ["now" if not since and not time else f"{time:.0f} s" for time in times])


def _scale_clients(figure: Any, clients: Sequence[int]) -> None:
    """Mark the counts that were played, as far as their numbers don't touch."""
    last = max(clients)
    figure.xlim(0, last)
    marked = [last]
    for count in sorted(set(clients), reverse=True):
        if marked[-1] - count >= last / 10:
            marked.append(count)
    figure.xticks(marked, [str(count) for count in marked])


def _scale_levels(figure: Any, top: float, *, height: int) -> None:
    """Give the vertical axis round numbers from 0 on."""
    # Where two levels would fall on one row, plotext draws one of them by chance.
    step = _round_step(top, 4 if height > 10 else 3 if height > 7 else 1)
    levels = [step * number for number in range(int(top / step + 1e-9) + 2)]
    figure.ylim(0, levels[-1])
    figure.yticks(levels, [f"{level:g}" for level in levels])


def _round_step(top: float, steps: int) -> float:
    """Return the smallest of 1, 2, 5, 10, … that reaches ``top`` in so many steps."""
    least = top / steps
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least - 1e-12)
