"""A run's telemetry as rows: every field of every sample that the run file holds. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from loadtest.runfile import Run, TimelineRow
from stack.figures import (
    BALANCER_FIGURES,
    BALANCER_PARTED,
    GPU_FIGURES,
    GPU_WORDS,
    MACHINE_FIGURES,
    PART_WORDS,
    REPLICA_FIGURES,
    REPLICA_PARTED,
    REPLICA_WORDS,
    Figure,
    Parted,
)
from stack.status import by_number

Cell = str | int | float | bool | None
Source = TypeVar("Source")
Columns = Mapping[str, Callable[[Source], Cell]]

_BETWEEN: Final = "; "
"""Between words of one cell."""

_SECOND: Final[Columns[TimelineRow]] = {
    "time_seconds": lambda row: row.time,
    "sessions": lambda row: row.sessions,
    "failures": lambda row: row.failures,
    "latency_p50_seconds": lambda row: row.latency_p50,
    "latency_p95_seconds": lambda row: row.latency_p95,
    "latency_p99_seconds": lambda row: row.latency_p99,
    "backlog_seconds": lambda row: row.backlog,
    "generator_cpu_cores": lambda row: row.generator_cpu,
}

Rows = Iterator[Sequence[Cell]]


def timeline_rows(run: Run) -> Rows:
    """Yield the header, then a row each second and replica."""
    samples = [sample for row in run.timeline for sample in row.replicas.values()]
    columns = _columns(
        "replica", samples, figures=REPLICA_FIGURES, parted=REPLICA_PARTED, words=REPLICA_WORDS
    )
    yield "run_id", *_SECOND, "replica", *columns
    for row in run.timeline:
        second = [value(row) for value in _SECOND.values()]
        if not row.replicas:
            yield run.run_id, *second, None, *([None] * len(columns))
        for name, sample in row.replicas.items():
            yield run.run_id, *second, name, *(value(sample) for value in columns.values())


def machine_rows(run: Run) -> Rows:
    """Yield the header, then a row each second, of the machine and the balancer."""
    machines = [row.machine for row in run.timeline]
    balancers = [machine.balancer if machine is not None else None for machine in machines]
    of_machine = _columns("machine", machines, figures=MACHINE_FIGURES)
    of_balancer = _columns(
        "balancer", balancers, figures=BALANCER_FIGURES, parted=BALANCER_PARTED, words=PART_WORDS
    )
    yield "run_id", *_SECOND, *of_machine, *of_balancer
    for row, machine, balancer in zip(run.timeline, machines, balancers, strict=True):
        second = [value(row) for value in _SECOND.values()]
        yield (
            run.run_id,
            *second,
            *(None if machine is None else value(machine) for value in of_machine.values()),
            *(None if balancer is None else value(balancer) for value in of_balancer.values()),
        )


def gpu_rows(run: Run) -> Rows:
    """Yield the header, then a row each second and card."""
    columns = _columns("gpu", [], figures=GPU_FIGURES, words=GPU_WORDS)
    yield "run_id", "time_seconds", "gpu", "gpu_name", *columns
    for row in run.timeline:
        for card in row.machine.gpus if row.machine is not None else ():
            values = (value(card) for value in columns.values())
            yield run.run_id, row.time, card.index, card.name, *values


def _columns(
    of: str,
    samples: Sequence[BaseModel | None],
    *,
    figures: Mapping[str, Figure],
    parted: Mapping[str, Parted] | None = None,
    words: Mapping[str, Parted] | None = None,
) -> Columns[Any]:
    """Return the columns of samples of one kind; those of several keys have one a key."""
    columns: dict[str, Callable[[Any], Cell]] = {
        f"{of}_{figure.name.removesuffix('_ratio')}": _value(field)
        for field, figure in figures.items()
    }
    for field, several in (parted or {}).items():
        keys = {key for sample in samples for key in getattr(sample, field, None) or ()}
        for key in by_number(keys):
            columns[f"{of}_{_keyed(several.name, key)}"] = _part_of(field, key)
    for field, several in (words or {}).items():
        columns[f"{of}_{several.name}"] = _words(field)
    return columns


def _keyed(name: str, key: str) -> str:
    """Put a key before the unit: ``stage_seconds`` of ``decode`` is ``stage_decode_seconds``."""
    bare, _, unit = name.rpartition("_")
    return f"{bare}_{key}_{unit}"


def _value(field: str) -> Callable[[Any], Cell]:
    return lambda sample: getattr(sample, field)


def _part_of(field: str, key: str) -> Callable[[Any], Cell]:
    return lambda sample: (getattr(sample, field) or {}).get(key)


def _words(field: str) -> Callable[[Any], Cell]:
    def written(sample: Any) -> str:
        value = getattr(sample, field)
        return value if isinstance(value, str) else _BETWEEN.join(str(word) for word in value)

    return written
