"""What each step cost, part by part, in cells of a table. Pure."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from loadtest.analysis.model import StepFigures
from loadtest.usage import PartKind, PartUse

COST_TITLE: Final = "What each step cost"
_MEANING: Final = (
    "Mean / peak. Mean: of the seconds in which at least nine tenths of the largest number of "
    "sessions were open; peak: the largest of all seconds of the step."
)
_LABELS: Final = 2
"""Columns that say whose figures a row has."""
UNKNOWN: Final = "–"
CARD_MARK: Final = " card"
"""Behind a figure that is the whole card's, and not the replica's own."""
_MEBIBYTE: Final = 2.0**20
_KIBIBYTE: Final = 2.0**10


class CostTable(NamedTuple):
    """A table, and what its columns mean."""

    header: list[str]
    rows: list[list[str]]
    legend: str


class _Column(NamedTuple):
    title: str
    said: str
    """What it is, where its name doesn't say it."""
    fields: tuple[str, ...]
    """The first that a part has is shown."""
    unit: float
    write: Callable[[float], str]
    wide: bool = False
    """Only where there is room."""


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _tenths(value: float) -> str:
    return f"{value:,.1f}"


def _hundredths(value: float) -> str:
    return f"{value:.2f}"


def _percent(value: float) -> str:
    return f"{value * 100:.0f}"


_COLUMNS: Final = (
    _Column("CPU", "cores", ("cpu",), 1.0, _hundredths),
    _Column("memory", "MiB", ("memory_used", "memory"), _MEBIBYTE, _whole),
    _Column("GPU %", "", ("gpu_utilisation", "utilisation"), 1.0, _percent),
    _Column("GPU memory", "MiB", ("gpu_memory",), _MEBIBYTE, _whole),
    _Column("queue", "sessions that wait for inference", ("queue_depth",), 1.0, _tenths),
    _Column("sessions", "", ("sessions", "active_connections"), 1.0, _tenths, wide=True),
    _Column("batch", "passes in one call of the model", ("batch_size",), 1.0, _tenths, wide=True),
    _Column(
        "real time",
        "seconds of inference a second of live audio",
        ("real_time_factor",),
        1.0,
        _hundredths,
        wide=True,
    ),
    _Column(
        "throttled",
        "seconds a second in which a CPU limit held the part back",
        ("throttled",),
        1.0,
        _hundredths,
        wide=True,
    ),
    _Column("received", "KiB a second", ("network_received",), _KIBIBYTE, _whole, wide=True),
    _Column("sent", "KiB a second", ("network_sent",), _KIBIBYTE, _whole, wide=True),
    _Column("read", "KiB a second from disk", ("disk_read",), _KIBIBYTE, _whole, wide=True),
    _Column("written", "KiB a second to disk", ("disk_written",), _KIBIBYTE, _whole, wide=True),
    _Column("°C", "", ("temperature",), 1.0, _whole, wide=True),
    _Column("W", "", ("power",), 1.0, _whole, wide=True),
)


def cost_table(steps: Sequence[StepFigures], *, wide: bool = False) -> CostTable:
    """Return one row a step and part; columns that nobody knows anything of are left out.

    ``wide``: there is room for more than 80 columns.
    """
    columns = [column for column in _COLUMNS if wide or not column.wide]
    rows = []
    for step in steps:
        for part in step.usage:
            cells = [_cell(column, part, step) for column in columns]
            if any(cell != UNKNOWN for cell in cells):
                rows.append([str(step.clients), part_name(part), *cells])
    known = [
        place
        for place in range(len(columns))
        if any(row[place + _LABELS] != UNKNOWN for row in rows)
    ]
    header = ["clients", "part", *(columns[place].title for place in known)]
    shown = [[*row[:_LABELS], *(row[place + _LABELS] for place in known)] for row in rows]
    return CostTable(header, shown, _legend([columns[place] for place in known], shown))


def _legend(columns: Sequence[_Column], rows: Sequence[Sequence[str]]) -> str:
    said = [f"{column.title}: {column.said}." for column in columns if column.said]
    if any(CARD_MARK in cell for row in rows for cell in row):
        said.append("card: of the whole card, whoever uses it.")
    return " ".join([_MEANING, *said])


def part_name(part: PartUse) -> str:
    """Return how a part is called."""
    return f"GPU {part.name}" if part.kind is PartKind.GPU else part.name


def _cell(column: _Column, part: PartUse, step: StepFigures) -> str:
    fields = column.fields
    if part.kind is PartKind.GPU:
        # A card's memory is that of the column beside it.
        fields = {"memory": (), "GPU memory": ("memory_used",)}.get(column.title, fields)
    name = next((name for name in fields if name in part.figures), None)
    if name is None:
        return UNKNOWN
    use = part.figures[name]
    unit = column.unit
    if part.kind is PartKind.MACHINE and name == "cpu":
        # The machine's is a fraction of all cores; beside those of its parts it is in cores, too.
        if step.cores is None:
            return UNKNOWN
        unit = 1 / step.cores
    mean = UNKNOWN if use.mean is None else column.write(use.mean / unit)
    return f"{mean} / {column.write(use.peak / unit)}{CARD_MARK if _shared(part, name) else ''}"


def _shared(part: PartUse, name: str) -> bool:
    """Tell whether a figure is the whole card's; earlier runs say so of both at once."""
    if not name.startswith("gpu_"):
        return False
    told = part.told
    if "gpu_memory_shared" in told or "gpu_utilisation_shared" in told:
        return f"{name}_shared" in told
    return "gpu_shared" in told
