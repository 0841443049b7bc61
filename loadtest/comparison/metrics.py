"""Which figures are compared, and which of them carry an interval. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.comparison.intervals import (
    Replicates,
    percentile_estimate,
    success_estimate,
    words_estimate,
)
from loadtest.comparison.model import Direction, Estimate, MetricRow
from loadtest.figures import Unit
from loadtest.runfile import Distribution, Run
from loadtest.summarising import together

SMALLEST_TIME: Final = 0.010
"""Seconds that nobody notices in a transcript; a message of audio is ten times as long."""
SMALLEST_CONNECTION: Final = 0.005
SMALLEST_WORDS: Final = 0.005
"""Half a word in a hundred."""


@dataclass(frozen=True, slots=True)
class _Timed:
    """A distribution of seconds: where a summary and a client keep it, and what is told of it."""

    group: str
    summary: str
    client: str
    smallest: float = SMALLEST_TIME
    parts: tuple[tuple[str, float], ...] = (("median", 50), ("p95", 95), ("p99", 99))
    always: bool = False


_TIMED: Final = (
    _Timed("latency", "latency", "latency_samples", always=True),
    _Timed("final latency", "final_latency", "final_latency_samples", always=True),
    _Timed("word latency", "word_latency", "word_latency_samples"),
    _Timed("word final latency", "word_final_latency", "word_final_latency_samples"),
    _Timed("first result", "first_result", "first_result", parts=(("median", 50),)),
    _Timed("finish", "finish", "finish", parts=(("median", 50),)),
    _Timed(
        "connection", "connection_time", "connection_time", SMALLEST_CONNECTION, (("median", 50),)
    ),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """The first run and another, resampled."""

    first: Run
    other: Run
    first_replicates: Replicates
    other_replicates: Replicates
    paired: bool


_USED: Final = (
    ("CPU", "cpu", Unit.CORES),
    ("memory", "memory", Unit.BYTES),
    ("GPU memory", "gpu_memory", Unit.BYTES),
    ("GPU", "gpu_utilisation", Unit.FRACTION),
)
"""Of all replicas together: a row's name, the figure in a sample, its unit."""


def judged_rows(runs: Sequence[Run], pairs: Sequence[Pair]) -> list[MetricRow]:
    """Return the figures that sessions make up: each difference with its interval."""
    rows = [
        MetricRow(
            "success rate",
            "",
            Unit.FRACTION,
            [success_rate(run) for run in runs],
            Direction.HIGHER,
            estimates=[success_estimate(pair.first, pair.other) for pair in pairs],
        ),
        MetricRow(
            "WER",
            "",
            Unit.FRACTION,
            [run.summary.wer.wer if run.summary.wer else None for run in runs],
            Direction.LOWER,
            SMALLEST_WORDS,
            [
                words_estimate(pair.first_replicates, pair.other_replicates, paired=pair.paired)
                for pair in pairs
            ],
        ),
    ]
    for timed in _TIMED:
        found = [_distribution(run, timed.summary) for run in runs]
        # Clips without word times, and runs of earlier versions, have none.
        if not timed.always and not any(found):
            continue
        for part, percent in timed.parts:
            values = [getattr(one, part) if one is not None else None for one in found]
            estimates = [
                percentile_estimate(
                    pair.first_replicates,
                    pair.other_replicates,
                    timed.client,
                    percent,
                    paired=pair.paired,
                )
                if values[0] is not None and value is not None
                else Estimate(reason="unknown, or too few samples, in one of the runs.")
                for pair, value in zip(pairs, values[1:], strict=True)
            ]
            rows.append(
                MetricRow(
                    timed.group,
                    part,
                    Unit.SECONDS,
                    values,
                    Direction.LOWER,
                    timed.smallest,
                    estimates,
                )
            )
    return rows


def described_rows(runs: Sequence[Run]) -> list[MetricRow]:
    """Return the figures without an interval: what they differ by is said, nothing is claimed."""

    def row(name: str, unit: Unit, value: Callable[[Run], float | None]) -> MetricRow:
        return MetricRow(name, "", unit, [value(run) for run in runs])

    rows = [
        row("clients", Unit.COUNT, lambda run: run.test_configuration.num_clients),
        row("audio a session", Unit.SECONDS, lambda run: run.summary.average_audio_duration),
        row("failed sessions", Unit.COUNT, lambda run: run.summary.failed_clients),
        row("latency samples", Unit.COUNT, lambda run: run.summary.latency.count),
        row("latency max", Unit.SECONDS, lambda run: run.summary.latency.max),
        row("final latency max", Unit.SECONDS, lambda run: run.summary.final_latency.max),
        row(
            "load max/mean",
            Unit.RATIO,
            lambda run: run.summary.load_distribution.max_over_mean,
        ),
        row("slip p99", Unit.SECONDS, lambda run: run.summary.slip.p99),
        *(
            MetricRow(f"{name}, {part}", "", unit, [used(run, figure, part) for run in runs])
            for name, figure, unit in _USED
            for part in ("mean", "peak")
        ),
    ]
    # A row that no run knows anything of says nothing.
    return [row for row in rows if any(value is not None for value in row.values)]


def _distribution(run: Run, name: str) -> Distribution | None:
    found: Distribution | None = getattr(run.summary, name)
    return found if found is not None and found.count else None


def success_rate(run: Run) -> float | None:
    """Return the fraction of ended sessions that succeeded; None when none ended."""
    ended = run.summary.successful_clients + run.summary.failed_clients
    return run.summary.successful_clients / ended if ended else None


def used(run: Run, figure: str, part: str) -> float | None:
    """Return the ``mean`` or ``peak`` of what all replicas used together."""
    seconds = together(run.timeline, figure)
    if seconds:
        return max(seconds) if part == "peak" else sum(seconds) / len(seconds)
    return _from_summary(run, f"{figure}_{part}")


def _from_summary(run: Run, name: str) -> float | None:
    """Add up what the summary says of each replica, where a run has no timeline."""
    found = [
        (getattr(resources, name), resources.is_shared(name))
        for resources in run.summary.resources.values()
    ]
    values = [value for value, _ in found if value is not None]
    if not values:
        return None
    if any(shared for _, shared in found):
        return float(max(values))
    return float(sum(values))
