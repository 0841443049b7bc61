"""A live chart: drawn only when seen and only when its data changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static
from textual_plotext import PlotextPlot

from console.history import Points, decimate

COLOURS = ("cyan", "orange+", "magenta+", "green+", "blue+", "yellow+", "red+", "white")
MARKERS = ("braille", "dot", "x", "*", "+", "o")
"""Lines differ in colour and in marker: colour alone tells some people nothing."""


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


class Chart(Vertical):
    """A titled chart over time."""

    DEFAULT_CSS = """
    Chart { height: 1fr; border: round $surface-lighten-2; border-title-color: $text; padding: 0; }
    Chart > PlotextPlot { height: 1fr; }
    Chart > .empty { height: 1fr; content-align: center middle; color: $text-muted; }
    """

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = title
        self._drawing: Drawing | None = None
        self.stale = False

    def compose(self) -> ComposeResult:
        """Lay out the plot and the words in its place."""
        yield PlotextPlot()
        yield Static("", classes="empty", markup=False)

    def show(self, drawing: Drawing) -> None:
        """Take in new data; it is drawn when ``redraw`` is called."""
        self._drawing = drawing
        self.stale = True

    def on_resize(self) -> None:
        """Draw anew for the new size."""
        self.stale = True

    def redraw(self) -> None:
        """Draw what was last shown."""
        self.stale = False
        if self._drawing is None:
            return
        lines = [line for line in self._drawing.lines if line.points[0]]
        plot, empty = self.query_one(PlotextPlot), self.query_one(".empty", Static)
        plot.display, empty.display = bool(lines), not lines
        if not lines:
            empty.update(self._drawing.empty)
            self.border_subtitle = ""
            return
        self._draw(plot, lines, self._drawing)
        plot.refresh()

    def _draw(self, plot: PlotextPlot, lines: Sequence[Line], drawing: Drawing) -> None:
        figure = plot.plt
        figure.clear_figure()
        columns = max(10, plot.size.width - 8)
        top = drawing.lowest_top
        for number, line in enumerate(lines):
            times, values = decimate(line.points, columns)
            top = max(top, *values)
            figure.plot(
                times,
                values,
                color=COLOURS[number % len(COLOURS)],
                marker=MARKERS[number % len(MARKERS)],
            )
        if drawing.limit is not None:
            level = drawing.limit[1]
            top = max(top, level * 1.1)
            figure.hline(level, "red")
        figure.ylim(0, top * 1.05)
        figure.yfrequency(4 if plot.size.height > 8 else 3)
        figure.xfrequency(4)
        self.border_subtitle = self._legend(lines, drawing)

    def _legend(self, lines: Sequence[Line], drawing: Drawing) -> str:
        """Name the lines in the border, where they cover no data."""
        signs = {"braille": "━", "dot": "•"}
        names = []
        for number, line in enumerate(lines[:8]):
            marker = MARKERS[number % len(MARKERS)]
            names.append(f"{signs.get(marker, marker)} {line.name} {line.points[1][-1]:.3g}")
        if drawing.limit is not None:
            names.append(f"─ {drawing.limit[0]} {drawing.limit[1]:g}")
        return "  ".join(names)
