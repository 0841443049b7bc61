"""What a comparison is made of. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from loadtest.figures import Unit

CONFIDENCE: Final = 0.95
"""Of each interval."""
RESAMPLES: Final = 2000
"""Drawings of sessions for each interval."""
SEED: Final = 1998
"""Fixed, so that the same files give the same answer."""


class Direction(StrEnum):
    """Which way is better; neither for figures that only describe."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class Change(StrEnum):
    """A figure held against the first run's."""

    BETTER = "better"
    WORSE = "worse"
    NONE_SHOWN = "no difference shown"
    """The interval holds 0, or the difference is smaller than any that matters."""
    UNKNOWN = "–"
    """There is no interval, so nothing is claimed."""


def letter(number: int) -> str:
    """Name a run of a comparison: A to Z, then AA and so on."""
    name = ""
    while number >= 0:
        name = chr(ord("A") + number % 26) + name
        number = number // 26 - 1
    return name


@dataclass(frozen=True, slots=True)
class Estimate:
    """The interval of a difference, or why there is none."""

    interval: tuple[float, float] | None = None
    """Lower and upper end, in the figure's unit."""
    reason: str = ""
    """Why there is no interval."""
    alike: bool = False
    """No session differed from another, so there is no spread to make an interval of."""


@dataclass(frozen=True, slots=True)
class ConfigurationRow:
    """One thing that was configured differently."""

    name: str
    values: list[str]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One figure of every run; the first run is what the others are held against."""

    group: str
    """What the figure is of, such as latency."""
    part: str
    """Which figure of it, such as p95; empty where there is just one."""
    unit: Unit
    values: list[float | None]
    direction: Direction = Direction.NEITHER
    smallest: float = 0.0
    """Smallest difference that matters to anybody, in the row's unit."""
    estimates: list[Estimate] | None = None
    """One for each run but the first; None for a figure that only describes."""
    differences: list[float | None] = field(init=False)
    """Value minus the first run's; None for the first and where either is unknown."""
    verdicts: list[Change] = field(init=False)

    def __post_init__(self) -> None:
        first = self.values[0]
        differences: list[float | None] = [None]
        verdicts = [Change.UNKNOWN]
        for number, value in enumerate(self.values[1:]):
            difference = None if value is None or first is None else value - first
            differences.append(difference)
            estimate = self.estimates[number] if self.estimates is not None else Estimate()
            verdicts.append(self._judge(difference, estimate))
        # The class is frozen: derived fields are set the way dataclasses itself sets them.
        object.__setattr__(self, "differences", differences)
        object.__setattr__(self, "verdicts", verdicts)

    @property
    def name(self) -> str:
        """What the figure is called."""
        return f"{self.group} {self.part}".strip()

    @property
    def intervals(self) -> list[tuple[float, float] | None]:
        """The interval of each difference; None for the first run and where there is none."""
        if self.estimates is None:
            return [None] * len(self.values)
        return [None, *(estimate.interval for estimate in self.estimates)]

    def _judge(self, difference: float | None, estimate: Estimate) -> Change:
        if difference is None or self.direction is Direction.NEITHER:
            return Change.UNKNOWN
        if estimate.interval is None:
            small = difference == 0 or abs(difference) < self.smallest
            return Change.NONE_SHOWN if estimate.alike and small else Change.UNKNOWN
        low, high = estimate.interval
        if low <= 0 <= high or abs(difference) < self.smallest:
            return Change.NONE_SHOWN
        lower = difference < 0
        return Change.BETTER if lower == (self.direction is Direction.LOWER) else Change.WORSE


@dataclass(frozen=True, slots=True)
class Method:
    """How the intervals of one run against the first were found."""

    sessions: tuple[int, int]
    """Of the first run and of this one."""
    paired: bool
    """Both runs sent each client the same audio, and clients were drawn for both at once."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs held against the first of them."""

    titles: list[str]
    """One a run: its id."""
    configuration: list[ConfigurationRow]
    metrics: list[MetricRow]
    methods: list[Method]
    """One for each run but the first."""
    warnings: list[str]
    """Why some figures should not be held against each other."""

    @property
    def reasons(self) -> list[str]:
        """Sentences that say which differences have no interval, and why."""
        found: dict[tuple[int, str], list[str]] = {}
        for row in self.metrics:
            for number, estimate in enumerate(row.estimates or [], 1):
                if estimate.reason:
                    found.setdefault((number, estimate.reason), []).append(row.name)
        sentences = []
        for (number, reason), names in found.items():
            shown = ", ".join(names[:3])
            if len(names) > 3:
                more = len(names) - 3
                shown += f" and {more} more figure{'' if more == 1 else 's'}"
            where = f" ({letter(number)} − A)" if len(self.titles) > 2 else ""
            sentences.append(f"No interval for {shown}{where}: {reason}")
        return sentences

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return {
            "runs": self.titles,
            "configuration": {row.name: row.values for row in self.configuration},
            "method": {
                "confidence": CONFIDENCE,
                "resamples": RESAMPLES,
                "seed": SEED,
                "against_first": [
                    {"sessions": list(method.sessions), "paired": method.paired}
                    for method in self.methods
                ],
            },
            "metrics": [_row_json(row) for row in self.metrics],
            "warnings": self.warnings,
        }


def _row_json(row: MetricRow) -> dict[str, Any]:
    reasons = [estimate.reason for estimate in row.estimates or []]
    return {
        "name": row.name,
        "unit": row.unit.value,
        "better": row.direction.value,
        "smallest_relevant": row.smallest,
        "values": row.values,
        "differences": row.differences,
        "intervals": row.intervals,
        "verdicts": [None, *(verdict.value for verdict in row.verdicts[1:])],
        "reasons": [None, *reasons] if row.estimates is not None else None,
    }
