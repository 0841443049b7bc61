"""What each part of a stack used over the seconds of a step: mean and peak of figures. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final

from pydantic import BaseModel

from loadtest.runfile import TimelineRow
from loadtest.statistics import mean, percentile
from stack.status import GpuSample, by_number

_LARGEST: Final = 2.0**63
"""Beyond this, and for what is no number at all, nothing is known."""


class PartKind(StrEnum):
    """What a part is."""

    REPLICA = "replica"
    BALANCER = "balancer"
    MACHINE = "machine"
    GPU = "gpu"
    GENERATOR = "load generator"


@dataclass(frozen=True, slots=True)
class Use:
    """One figure over a step, in the unit of its field in the timeline."""

    mean: float | None
    """Over the seconds that means are taken of; None where it is not known in any of them, and of
    percentiles, which are never averaged."""
    p95: float | None
    """Of the same seconds; None under 20 of them."""
    peak: float
    """The largest of all seconds of the step."""
    seconds: int
    """How many seconds of the mean it was known in."""


@dataclass(frozen=True, slots=True)
class PartUse:
    """What one part used over a step. What nobody knows is left out."""

    kind: PartKind
    name: str
    """``replica-1``, …; of a card its index."""
    label: str = ""
    """What else it is called: of a card the model's name."""
    figures: dict[str, Use] = field(default_factory=dict)
    """By the name of the field; one of several keys is written ``field.key``."""
    grown: dict[str, float] = field(default_factory=dict)
    """What counters have grown by from the step's first known second to its last."""
    told: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of fields that are words or flags: in what fraction of the part's seconds each was there."""


def part_uses(rows: Sequence[TimelineRow], full: Sequence[TimelineRow]) -> list[PartUse]:
    """Return what every part used over ``rows``; means are of those among them in ``full``.

    Replicas first, then balancer, machine, its cards and the load generator.
    """
    counted = {row.time for row in full}
    names = by_number({name for row in rows for name in row.replicas})
    found = [
        _part(PartKind.REPLICA, name, [(row, row.replicas.get(name)) for row in rows], counted)
        for name in names
    ]
    found.append(
        _part(
            PartKind.BALANCER,
            "balancer",
            [(row, row.machine.balancer if row.machine else None) for row in rows],
            counted,
        )
    )
    found.append(_part(PartKind.MACHINE, "machine", [(row, row.machine) for row in rows], counted))
    found += [
        _part(PartKind.GPU, str(index), [(row, _card(row, index)) for row in rows], counted)
        for index in sorted({card.index for row in rows for card in _cards(row)})
    ]
    generator = [(row.time, row.generator_cpu) for row in rows if row.generator_cpu is not None]
    if generator:
        use = {"cpu": _use(generator, counted)}
        found.append(PartUse(PartKind.GENERATOR, PartKind.GENERATOR.value, figures=use))
    return [part for part in found if part.figures or part.grown or part.told]


def _cards(row: TimelineRow) -> Sequence[GpuSample]:
    return row.machine.gpus if row.machine is not None else ()


def _card(row: TimelineRow, index: int) -> GpuSample | None:
    return next((card for card in _cards(row) if card.index == index), None)


def _part(
    kind: PartKind,
    name: str,
    seconds: Iterable[tuple[TimelineRow, BaseModel | None]],
    counted: set[float],
) -> PartUse:
    known = [(row.time, sample) for row, sample in seconds if sample is not None]
    series: dict[str, list[tuple[float, float]]] = {}
    told: dict[str, Counter[str]] = {}
    keys = _total_keys([sample for _, sample in known])
    for time, sample in known:
        for figure, value in _numbers(sample, keys):
            series.setdefault(figure, []).append((time, value))
        for figure, word in _words(sample):
            told.setdefault(figure, Counter())[word] += 1
    return PartUse(
        kind,
        name,
        label=next((one.name for _, one in known if isinstance(one, GpuSample)), ""),
        figures={
            figure: _use(values, set() if is_order_statistic(figure) else counted)
            for figure, values in series.items()
            if not is_total(figure)
        },
        grown={
            figure: _growth([value for _, value in values])
            for figure, values in series.items()
            if is_total(figure)
        },
        told={
            figure: {word: count / len(known) for word, count in words.most_common()}
            for figure, words in told.items()
        },
    )


def is_total(figure: str) -> bool:
    """Tell whether a figure only grows, so that its mean says nothing."""
    return figure.partition(".")[0].endswith("_total")


def _total_keys(samples: Sequence[BaseModel]) -> dict[str, dict[str, float]]:
    """Return the keys that counters of several keys ever have, at zero: so they begin."""
    found: dict[str, dict[str, float]] = {}
    for sample in samples:
        for name in type(sample).model_fields:
            value = getattr(sample, name)
            if is_total(name) and isinstance(value, Mapping):
                found.setdefault(name, {}).update(dict.fromkeys(value, 0.0))
    return found


def is_order_statistic(figure: str) -> bool:
    """Tell whether a figure is a percentile or a largest: a mean of those says nothing either."""
    return figure.endswith(("_p50", "_p95", "_max"))


def _numbers(
    sample: BaseModel, keys: Mapping[str, Mapping[str, float]]
) -> Iterator[tuple[str, float]]:
    for name, value in _all_numbers(sample, keys):
        # A file that others wrote may hold what is no figure.
        if abs(value) <= _LARGEST:
            yield name, float(value)


def _all_numbers(
    sample: BaseModel, keys: Mapping[str, Mapping[str, float]]
) -> Iterator[tuple[str, float]]:
    for name in type(sample).model_fields:
        value = getattr(sample, name)
        if isinstance(value, Mapping):
            for key, part in ({**keys.get(name, {}), **value}).items():
                yield f"{name}.{key}", part
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "index":
            yield name, value
    room, left = getattr(sample, "memory", None), getattr(sample, "memory_available", None)
    if room is not None and left is not None:
        yield "memory_used", room - left


def _words(sample: BaseModel) -> Iterator[tuple[str, str]]:
    for name in type(sample).model_fields:
        value = getattr(sample, name)
        if value is True:
            yield name, "true"
        elif isinstance(value, str) and value and name != "name":
            yield name, value
        elif isinstance(value, tuple):
            for word in value:
                if not isinstance(word, BaseModel):
                    yield name, str(word)


def _use(values: Sequence[tuple[float, float]], counted: set[float]) -> Use:
    full = [value for time, value in values if time in counted]
    return Use(
        mean=mean(full),
        p95=percentile(full, 95) if full else None,
        peak=max(value for _, value in values),
        seconds=len(full),
    )


def _growth(values: Sequence[float]) -> float:
    """Add up what a counter grew by; one that falls was begun anew, and counts from zero."""
    grown = 0.0
    for before, after in pairwise(values):
        grown += after - before if after >= before else after
    return grown
