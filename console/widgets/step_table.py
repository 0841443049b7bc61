"""One row a step of the load series, updated cell by cell."""

from rich.text import Text
from textual.widgets import DataTable

from console.live import LoadView
from console.loading import Loading
from console.rendering.steps import COLUMNS, step_cells


class StepTable(DataTable[Text]):
    """Planned, running and finished steps."""

    DEFAULT_CSS = """
    StepTable { height: auto; max-height: 12; min-height: 4; margin: 0 1; overflow-x: hidden;
        border: round $surface-lighten-2; border-title-color: $text;
        background: $background; scrollbar-size-vertical: 1; }
    StepTable:focus { border: round $primary; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)
        self._series = 0
        self.border_title = "steps (latencies of a running one: of the last 5 s)"

    def on_mount(self) -> None:
        """Make the columns."""
        for name, width in COLUMNS.items():
            right = name not in {"state", "SLO"}
            label = Text(name, justify="right" if right else "left")
            self.add_column(label, key=name, width=width)

    def show(self, loading: Loading, load: LoadView | None) -> None:
        """Show the series, and keep the running step in view."""
        if self._series != loading.started:
            self._series = loading.started
            self.clear()
        fresh = self.row_count
        for number, step in enumerate(loading.steps, start=1):
            cells = step_cells(number, step, load, loading.row)
            key = str(number)
            if number > fresh:
                self.add_row(*cells, key=key)
                continue
            for column, cell in zip(COLUMNS, cells, strict=True):
                if self.get_cell(key, column) != cell:
                    self.update_cell(key, column, cell, update_width=COLUMNS[column] is None)
        running = sum(bool(step.run_id) for step in loading.steps) - 1
        if load is not None and running >= 0 and not self.has_focus:
            self.move_cursor(row=running)
