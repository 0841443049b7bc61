"""The dashboard's charts: which, how large, and whose turn it is to be drawn."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from textual.app import ComposeResult
from textual.containers import Grid

from console.history import History
from console.live import Live
from console.rendering.live_charts import BY_NAME, KINDS, Kind, Window, draw
from console.widgets.chart import Chart

SMALLEST: Final = (58, 11)
"""Columns and rows that a chart has at least, where there are several."""
_SHAPE: Final = 4.0
"""Columns for each row that a chart looks best with."""
_TICK: Final = 0.15
"""Seconds between two redraws, of one chart each, so that none holds the console up."""
_QUIET: Final = 3
"""Seconds between two redraws of a chart while nobody talks."""


class ChartGrid(Grid):
    """As many of the chosen charts as there is room for."""

    DEFAULT_CSS = """
    ChartGrid { grid-size: 1 1; grid-gutter: 0 1; }
    ChartGrid > Chart { display: none; height: 1fr; }
    """

    def __init__(self, history: History, live: Callable[[], Live], slo: float | None) -> None:
        super().__init__(id="charts")
        self._history = history
        self._live = live
        self._slo = slo
        self._chosen: tuple[Kind, ...] = ()
        self._first = 0
        """The first of the chosen ones that is shown."""
        self._window: Window = "5 min"
        self._drawn: dict[str, int] = {}
        """The second of the history that each chart was drawn at."""

    def compose(self) -> ComposeResult:
        """Lay out all charts; those that are shown are chosen later."""
        for kind in KINDS:
            yield Chart(kind.title, id=kind.name)

    def on_mount(self) -> None:
        """Draw one chart at a time."""
        self.set_interval(_TICK, self._draw_one)

    # --- which ----------------------------------------------------------------------------------

    @property
    def chosen(self) -> tuple[Kind, ...]:
        """The charts to show, in order."""
        return self._chosen

    def choose(self, chosen: Sequence[Kind]) -> None:
        """Show these charts, in this order."""
        if tuple(chosen) == self._chosen:
            return
        self._chosen = tuple(chosen)
        self._first = 0
        order = {name: number for number, name in enumerate(self._chosen)}
        large = self.screen.maximized
        if isinstance(large, Chart) and large.id not in order:
            self.screen.minimize()
        self.sort_children(key=lambda chart: order.get(chart.id, len(order)))  # type: ignore[call-overload]
        self.arrange_charts()

    @property
    def shown(self) -> tuple[Kind, ...]:
        """The charts that there is room for now."""
        columns, rows = self._shape()
        return self._chosen[self._first : self._first + columns * rows]

    @property
    def has_more(self) -> bool:
        """Whether some of the chosen charts are not shown for want of room."""
        return len(self.shown) < len(self._chosen)

    def next_page(self) -> None:
        """Show the next of the chosen charts."""
        columns, rows = self._shape()
        self._first += columns * rows
        if self._first >= len(self._chosen):
            self._first = 0
        self.arrange_charts()

    def on_resize(self) -> None:
        """Show as many as there is room for."""
        self.arrange_charts()

    def arrange_charts(self) -> None:
        """Share the room out."""
        columns, rows = self._shape()
        room = columns * rows
        self._first = self._first // room * room if self._first < len(self._chosen) else 0
        shown = self.shown
        columns = min(columns, max(1, len(shown)))
        rows = max(1, math.ceil(len(shown) / columns))
        self.styles.grid_size_columns = columns
        self.styles.grid_size_rows = rows
        for chart in self.query_children(Chart):
            chart.display = chart.id in shown or chart is self.screen.maximized
            last = bool(shown) and chart.id == shown[-1]
            # No hole at the end of the last row.
            chart.styles.column_span = 1 + columns * rows - len(shown) if last else 1
            if not chart.display:
                self._drawn.pop(chart.id or "", None)
        self.screen.refresh_bindings()

    def _shape(self) -> tuple[int, int]:
        """Return columns and rows that leave the fewest holes, then look best."""
        width, height = self.size
        most = (max(1, width // SMALLEST[0]), max(1, height // SMALLEST[1]))
        count = min(len(self._chosen), most[0] * most[1])
        if count <= 1:
            return 1, 1

        def badness(shape: tuple[int, int]) -> tuple[int, float]:
            columns, rows = shape
            ratio = (width / columns) / max(1.0, height / rows)
            return columns * rows - count, abs(math.log(max(ratio, 0.01) / _SHAPE))

        shapes = [
            (columns, math.ceil(count / columns))
            for columns in range(1, most[0] + 1)
            if math.ceil(count / columns) <= most[1]
        ]
        return min(shapes, key=badness)

    # --- drawing --------------------------------------------------------------------------------

    @property
    def window(self) -> Window:
        """How far back the charts go."""
        return self._window

    def show_window(self, window: Window) -> None:
        """Let the charts go back so far."""
        self._window = window
        self._drawn.clear()

    def _draw_one(self) -> None:
        """Draw the chart that was drawn the longest ago, if there is anything new."""
        if self.app.screen is not self.screen:
            return
        large = self.screen.maximized
        charts = [large] if isinstance(large, Chart) else list(self.query_children(Chart))
        due = [chart for chart in charts if chart.display and self._is_due(chart)]
        if due:
            self._draw(min(due, key=lambda chart: self._drawn.get(chart.id or "", -1)))

    def _is_due(self, chart: Chart) -> bool:
        if chart.stale:
            return True
        age = self._history.seconds - self._drawn.get(chart.id or "", -_QUIET)
        live = self._live()
        return age >= (1 if live.load is not None or live.open_sessions else _QUIET)

    def _draw(self, chart: Chart) -> None:
        name = chart.id or ""
        self._drawn[name] = self._history.seconds
        title, drawing = draw(
            BY_NAME[name],  # type: ignore[index]
            self._history,
            self._live(),
            window=self._window,
            slo=self._slo,
            now=time.time(),
        )
        if chart.border_title != title:
            chart.border_title = title
        chart.show(drawing)
        chart.redraw()
