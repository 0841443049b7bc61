"""Two or more runs side by side: what was configured differently, then the figures. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from loadtest.runfile import Run

_NOISE: Final = 0.05
"""Relative difference under which two figures of separate runs are called the same."""


class Unit(StrEnum):
    """How a figure is written."""

    SECONDS = "s"
    FRACTION = "%"
    CORES = "cores"
    BYTES = "B"
    COUNT = ""
    RATIO = "×"


class Direction(StrEnum):
    """Which way is better; neither for figures that only describe."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class Change(StrEnum):
    """A figure held against the first run's."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class ConfigurationRow:
    """One thing that was configured differently."""

    name: str
    values: list[str]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One figure of every run; the first run is what the others are held against."""

    name: str
    unit: Unit
    values: list[float | None]
    direction: Direction = Direction.NEITHER
    smallest: float = 0.0
    """Absolute difference that is never more than noise, in the row's unit."""
    differences: list[float | None] = field(init=False)
    """Value minus the first run's; None for the first and where either is unknown."""
    verdicts: list[Change] = field(init=False)

    def __post_init__(self) -> None:
        first = self.values[0]
        differences: list[float | None] = [None]
        verdicts = [Change.UNKNOWN]
        for value in self.values[1:]:
            if value is None or first is None:
                differences.append(None)
                verdicts.append(Change.UNKNOWN)
                continue
            differences.append(value - first)
            verdicts.append(self._judge(first, value))
        # The class is frozen: derived fields are set the way dataclasses itself sets them.
        object.__setattr__(self, "differences", differences)
        object.__setattr__(self, "verdicts", verdicts)

    def _judge(self, first: float, value: float) -> Change:
        if self.direction is Direction.NEITHER:
            return Change.UNKNOWN
        difference = value - first
        if abs(difference) <= max(self.smallest, _NOISE * abs(first)):
            return Change.SAME
        lower = difference < 0
        return Change.BETTER if lower == (self.direction is Direction.LOWER) else Change.WORSE

    def format(self, value: float | None, *, signed: bool = False) -> str:
        """Write a value of this row, ``–`` when unknown."""
        return format_figure(value, self.unit, signed=signed)


def format_figure(value: float | None, unit: Unit, *, signed: bool = False) -> str:
    """Write a figure in its unit; an unknown one is ``–``, never zero."""
    if value is None:
        return "–"
    sign = "+" if signed else ""  # and no minus before a zero: z
    match unit:
        case Unit.SECONDS:
            if abs(value) >= 100:
                return f"{value:{sign}z.0f} s"
            return f"{value:{sign}z.2f} s" if abs(value) >= 10 else f"{value:{sign}z.3f} s"
        case Unit.FRACTION:
            return f"{value * 100:{sign}z.1f} %"
        case Unit.CORES:
            return f"{value:{sign}z.2f} cores"
        case Unit.BYTES:
            return f"{value / 2**20:{sign},.0f} MiB"
        case Unit.RATIO:
            return f"{value:{sign}z.2f}×"
        case Unit.COUNT:
            return f"{value:{sign}z.0f}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ``compare`` returns."""

    titles: list[str]
    """One a run: its id."""
    configuration: list[ConfigurationRow]
    metrics: list[MetricRow]
    warnings: list[str]
    """Why some figures should not be held against each other."""

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return {
            "runs": self.titles,
            "configuration": {row.name: row.values for row in self.configuration},
            "metrics": [
                {
                    "name": row.name,
                    "unit": row.unit.value,
                    "values": row.values,
                    "differences": row.differences,
                    "verdicts": [verdict.value for verdict in row.verdicts],
                }
                for row in self.metrics
            ],
            "warnings": self.warnings,
        }


def compare(runs: Sequence[Run]) -> Comparison:
    """Hold runs against the first of them; raises ValueError for fewer than two."""
    if len(runs) < 2:
        raise ValueError("a comparison needs at least two runs")
    return Comparison(
        titles=[run.run_id for run in runs],
        configuration=_configuration(runs),
        metrics=_metrics(runs),
        warnings=_warnings(runs),
    )


_NAMES: Final = {
    "num_clients": "clients",
    "audio_directory": "audio directory",
    "chunk": "chunk (s)",
    "ramp": "ramp (s)",
    "duration": "audio a session (s)",
    "use_vad": "voice activity detection",
    "audio_format": "audio format",
    "connect_timeout": "connect timeout (s)",
    "finish_timeout": "finish timeout (s)",
    "quiet": "quiet (s)",
}
_NOT_CONFIGURATION: Final = frozenset({"stack", "step", "steps", "environment.created_at"})


def _configuration(runs: Sequence[Run]) -> list[ConfigurationRow]:
    flat = []
    for run in runs:
        settings = run.test_configuration.model_dump(mode="json")
        entries: dict[str, Any] = {"label": run.label, "status": run.status.value}
        entries |= _flatten(
            {key: value for key, value in settings.items() if key not in _NOT_CONFIGURATION}
        )
        entries |= _flatten(settings["stack"] or {}, "stack")
        entries |= _flatten(run.environment, "environment")
        flat.append(entries)
    names = list(dict.fromkeys(name for entries in flat for name in entries))
    rows = []
    for name in names:
        values = ["–" if entries.get(name) is None else str(entries[name]) for entries in flat]
        if len(set(values)) > 1:
            rows.append(ConfigurationRow(_NAMES.get(name, name.replace("_", " ")), values))
    return rows


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix} {key}".strip()
        if isinstance(value, dict):
            flat |= _flatten(value, name)
        else:
            flat[name if prefix else key] = value
    return flat


def _metrics(runs: Sequence[Run]) -> list[MetricRow]:
    def row(
        name: str,
        unit: Unit,
        value: Callable[[Run], float | None],
        direction: Direction = Direction.NEITHER,
        smallest: float = 0.0,
    ) -> MetricRow:
        return MetricRow(name, unit, [value(run) for run in runs], direction, smallest)

    lower, higher = Direction.LOWER, Direction.HIGHER
    rows = [
        row("clients", Unit.COUNT, lambda run: run.test_configuration.num_clients),
        row("audio a session", Unit.SECONDS, lambda run: run.summary.average_audio_duration),
        row("success", Unit.FRACTION, _success, higher),
        row("failed sessions", Unit.COUNT, lambda run: run.summary.failed_clients, lower),
    ]
    timed = [("latency", "latency"), ("final latency", "final_latency")]
    for title, name in (
        ("word latency", "word_latency"),
        ("word final latency", "word_final_latency"),
    ):
        # Clips without word times, and runs of earlier versions, have none.
        if any(getattr(run.summary, name) and getattr(run.summary, name).count for run in runs):
            timed.append((title, name))
    for title, name in timed:
        for label, part in (("median", "median"), ("p95", "p95"), ("p99", "p99"), ("max", "max")):
            rows.append(
                row(
                    f"{title} {label}",
                    Unit.SECONDS,
                    lambda run, name=name, part=part: getattr(  # type: ignore[misc]
                        getattr(run.summary, name), part, None
                    ),
                    lower,
                    0.01,
                )
            )
    rows += [
        row(
            "first result median",
            Unit.SECONDS,
            lambda run: run.summary.first_result.median,
            lower,
            0.01,
        ),
        row("finish median", Unit.SECONDS, lambda run: run.summary.finish.median, lower, 0.01),
        row(
            "connection median",
            Unit.SECONDS,
            lambda run: run.summary.connection_time.median,
            lower,
            0.005,
        ),
        row(
            "word error rate",
            Unit.FRACTION,
            lambda run: run.summary.wer.wer if run.summary.wer else None,
            lower,
            0.005,
        ),
        row("load max/mean", Unit.RATIO, lambda run: run.summary.load_distribution.max_over_mean),
        row("slip p99", Unit.SECONDS, lambda run: run.summary.slip.p99, lower, 0.005),
        row("replicas' CPU, mean", Unit.CORES, lambda run: _over_replicas(run, "cpu_mean"), lower),
        row(
            "replicas' memory, peak",
            Unit.BYTES,
            lambda run: _over_replicas(run, "memory_peak"),
            lower,
            16 * 2**20,
        ),
        row(
            "GPU memory, peak",
            Unit.BYTES,
            lambda run: _over_replicas(run, "gpu_memory_peak"),
            lower,
            16 * 2**20,
        ),
        row(
            "GPU utilisation, mean",
            Unit.FRACTION,
            lambda run: _over_replicas(run, "gpu_utilisation_mean"),
        ),
    ]
    # A row that no run knows anything of says nothing.
    return [row for row in rows if any(value is not None for value in row.values)]


def _success(run: Run) -> float | None:
    ended = run.summary.successful_clients + run.summary.failed_clients
    return run.summary.successful_clients / ended if ended else None


def _over_replicas(run: Run, name: str) -> float | None:
    """Add a figure up over the replicas; a card's shared figure counts once, not once a replica."""
    found = [
        (getattr(resources, name), resources.gpu_shared)
        for resources in run.summary.resources.values()
    ]
    values = [value for value, _ in found if value is not None]
    if not values:
        return None
    if name.startswith("gpu") and any(shared for _, shared in found):
        return float(max(values))
    return float(sum(values))


def _warnings(runs: Sequence[Run]) -> list[str]:
    warnings = []
    for run in runs:
        if run.summary.generator_distorted:
            warnings.append(
                f"{run.run_id}: the load generator itself was late, so its latencies are too large."
            )
        if run.status.value != "completed":
            warnings.append(f"{run.run_id} was {run.status.value} before its end.")
    if len({run.test_configuration.seed for run in runs}) > 1:
        warnings.append("The runs have different seeds: their clients sent different audio.")
    lengths = [run.summary.average_audio_duration for run in runs]
    if min(lengths) > 0 and max(lengths) / min(lengths) > 1.25:
        warnings.append(
            f"The sessions' audio lasts {min(lengths):.0f} to {max(lengths):.0f} s: client counts "
            "are not comparable."
        )
    return warnings
