"""One row a replica, updated cell by cell so that the cursor stays."""

import time

from rich.text import Text
from textual.widgets import DataTable

from console.live import Live
from console.rendering.cards import gpu_cells
from console.rendering.stack_lines import replica_note, seconds_text
from loadtest.figures import Unit, format_figure
from stack.status import ReplicaSample, ReplicaState, ReplicaStatus

_GLYPHS = {
    ReplicaState.STARTING: ("◌", "yellow"),
    ReplicaState.READY: ("●", "green"),
    ReplicaState.DRAINING: ("◐", "yellow"),
    ReplicaState.UNHEALTHY: ("▲", "red"),
    ReplicaState.DEAD: ("✖", "red"),
    ReplicaState.STOPPED: ("○", "bright_black"),
}
COLUMNS = ("replica", "state", "sessions", "CPU", "memory", "GPU memory", "GPU")
MORE_COLUMNS = ("queue", "restarts")
"""Shown where there is room."""
ROOM = 90
NOTE = "note"
NOTE_ROOM = 118
"""Columns from which on what a replica is doing stands beside its figures."""


class ReplicaTable(DataTable[str | Text]):
    """The stack's replicas."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, cursor_type="row", zebra_stripes=False)

    def on_mount(self) -> None:
        """Make the columns."""
        for number, name in enumerate(COLUMNS):
            self._add(name, right=number >= 2)

    def _add(self, name: str, *, right: bool = True) -> None:
        label = Text(name, justify="right" if right else "left")
        self.add_column(label, key=name)

    def on_resize(self) -> None:
        """Show as many columns as there is room for."""
        self._fit(MORE_COLUMNS, ROOM)
        if self.size.width >= ROOM:
            self._fit((NOTE,), NOTE_ROOM)

    def _fit(self, names: tuple[str, ...], room: int) -> None:
        # Without the columns before it the note would stand in the wrong place.
        if names == MORE_COLUMNS and self.size.width < room and NOTE in self.columns:
            self.remove_column(NOTE)
        there = names[0] in self.columns
        if there == (self.size.width >= room):
            return
        for name in names:
            if there:
                self.remove_column(name)
            elif name == NOTE:
                self.add_column("", key=NOTE)
            else:
                self._add(name)

    @property
    def selected(self) -> str | None:
        """The name of the replica under the cursor."""
        if not self.row_count:
            return None
        return str(self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value)

    def show(self, live: Live) -> None:
        """Show a snapshot."""
        now = time.time()
        names = [replica.name for replica in live.status.replicas]
        known = [str(key.value) for key in self.rows]
        for gone in set(known) - set(names):
            self.remove_row(gone)
        for replica in live.status.replicas:
            sample = live.samples.get(replica.name, ReplicaSample())
            cells = _cells(replica, sample, wide=self.size.width >= ROOM, now=now)
            cells.append(replica_note(replica, live.samples, now))
            # As many as there are columns now.
            shown = [(str(key.value), cell) for key, cell in zip(self.columns, cells, strict=False)]
            if replica.name not in known:
                self.add_row(*(cell for _, cell in shown), key=replica.name)
                continue
            for column, cell in shown:
                if self.get_cell(replica.name, column) != cell:
                    self.update_cell(replica.name, column, cell, update_width=True)


def _cells(
    replica: ReplicaStatus, sample: ReplicaSample, *, wide: bool, now: float
) -> list[str | Text]:
    glyph, colour = _GLYPHS[replica.state]
    state = replica.state.value
    if replica.state is ReplicaState.DRAINING and replica.deadline is not None:
        state += f" {seconds_text(replica.deadline - now)}"
    elif replica.state is ReplicaState.STARTING and replica.since is not None:
        state += f" {seconds_text(now - replica.since)}"
    figures = (
        format_figure(sample.sessions, Unit.COUNT),
        format_figure(sample.cpu, Unit.FRACTION),
        format_figure(sample.memory, Unit.BYTES),
        *gpu_cells(sample, wide=wide),
        format_figure(sample.queue_depth, Unit.COUNT),
        str(replica.restarts),
    )
    return [
        replica.name,
        Text.assemble((f"{glyph} ", colour), state),
        *(Text(figure, justify="right") for figure in figures),
    ]
