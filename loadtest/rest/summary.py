"""What samples mean in figures, and what steps come to. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.rest.report import (
    Ended,
    RequestSample,
    RestStatus,
    RestStep,
    ScalingConclusion,
    SingleConclusion,
    StepSummary,
)
from loadtest.statistics import distribution
from loadtest.wer import word_errors

MARGIN: Final = 0.05
"""RPS that differ by less are taken as the same: steps of a hundred requests repeat no better."""
FLAT_RUNGS: Final = 2
"""Rungs in a row without growth after which a ladder is climbed no further."""
LATE_P99: Final = 0.2
"""Client lateness whose p99 is over this share of the median latency distorts a step's tail ..."""
LATE_MEAN: Final = 0.05
"""... one whose mean is over this share distorts its RPS ..."""
LATE_FLOOR: Final = 0.002
"""... unless it is under these seconds: an event loop's timers are no finer than 1 ms."""
FULL_CORE: Final = 0.9
"""Fraction of a core at which the client is taken for the bottleneck: it has one thread."""
MAX_REPLICA_NAMES: Final = 256
"""Different names counted; a server may send what it likes."""


@dataclass(frozen=True, slots=True)
class ClientLoad:
    """What the client itself did while it measured."""

    lateness: Sequence[float]
    """Seconds, one sample every few milliseconds."""
    cpu: float
    """Fraction of one core."""


def summarise(samples: Sequence[RequestSample], client: ClientLoad, *, cut_off: int) -> StepSummary:
    """Put a step's samples into figures; those of failed requests are in no latency."""
    good = [sample for sample in samples if sample.failure is None]
    latencies = [sample.latency for sample in good]
    audio = sum(sample.audio_duration for sample in good)
    start = min((sample.start for sample in samples), default=0.0)
    duration = max((sample.start + sample.latency for sample in samples), default=0.0) - start
    latency, lateness = distribution(latencies), distribution(client.lateness)
    replicas = Counter(sample.replica for sample in samples)
    unknown = replicas.pop(None, 0)
    named = {name: count for name, count in replicas.items() if name is not None}
    return StepSummary(
        requests=len(samples),
        successful=len(good),
        failed=len(samples) - len(good),
        cut_off=cut_off,
        failures=dict(
            Counter(sample.failure for sample in samples if sample.failure).most_common()
        ),
        success_rate=len(good) / len(samples) if samples else None,
        duration=duration,
        rps=len(good) / duration if duration > 0 else None,
        latency=latency,
        audio_duration=audio,
        throughput=audio / duration if duration > 0 else None,
        real_time_factor=sum(latencies) / audio if audio > 0 else None,
        wer=word_errors(
            (sample.reference, sample.transcript or "")
            for sample in good
            if sample.reference is not None
        ),
        replicas=dict(sorted(named.items())[:MAX_REPLICA_NAMES]),
        unknown_replica=unknown,
        client_lateness=lateness,
        client_cpu=client.cpu,
        client_distorted=_distorted(client, latency.median),
    )


def _distorted(client: ClientLoad, median: float | None) -> bool:
    lateness = distribution(client.lateness)
    # A short step has no p99; then the largest must do.
    tail = lateness.p99_or_max
    return client.cpu >= FULL_CORE or any(
        late is not None and late > max(LATE_FLOOR, share * (median or 0.0))
        for late, share in ((tail, LATE_P99), (lateness.mean, LATE_MEAN))
    )


def counts(step: RestStep, min_success: float) -> bool:
    """Tell whether a step's RPS counts: it is whole, and enough requests succeeded."""
    rate = step.summary.success_rate
    return (
        step.status is RestStatus.COMPLETED
        and rate is not None
        and rate >= min_success
        and step.summary.successful > 0
    )


def climbed_enough(steps: Sequence[RestStep], min_success: float) -> Ended | None:
    """Return why the next rung needn't be climbed; None while it should be."""
    if steps and not counts(steps[-1], min_success):
        return Ended.FAILING
    best, flat = 0.0, 0
    for step in steps:
        rps = step.summary.rps or 0.0
        flat = 0 if rps > best * (1 + MARGIN) else flat + 1
        best = max(best, rps)
    return Ended.FLAT if flat >= FLAT_RUNGS else None


def conclude_single(
    steps: Sequence[RestStep], ended: Ended, *, min_success: float
) -> SingleConclusion:
    """Find the best concurrency and the largest RPS among the rungs that count."""
    rungs = [(step.concurrency, step.summary.rps or 0.0) for step in steps]
    good = [rung for rung, step in zip(rungs, steps, strict=True) if counts(step, min_success)]
    if not good:
        return SingleConclusion(margin=MARGIN, ended=ended)
    most = max(good, key=lambda rung: rung[1])
    best = min(rung for rung in good if rung[1] >= (1 - MARGIN) * most[1])
    return SingleConclusion(
        best_concurrency=best[0],
        best_rps=best[1],
        max_rps=most[1],
        max_rps_concurrency=most[0],
        margin=MARGIN,
        ended=ended,
    )


def conclude_scaling(steps: Sequence[RestStep]) -> ScalingConclusion:
    """Find the base: RPS of one replica, else that of the first step / its replicas."""
    whole = [step for step in steps if step.status is RestStatus.COMPLETED and step.summary.rps]
    base = next((step for step in whole if step.replicas == 1), whole[0] if whole else None)
    if base is None or base.summary.rps is None or base.replicas is None:
        return ScalingConclusion()
    return ScalingConclusion(base_rps=base.summary.rps / base.replicas, base_workers=base.replicas)


def efficiency(step: RestStep, base: ScalingConclusion) -> float | None:
    """Return RPS / (base RPS x replicas): 1.0 is perfect scaling; None where a part is unknown."""
    whole = step.status is RestStatus.COMPLETED
    if not whole or not base.base_rps or not step.replicas or step.summary.rps is None:
        return None
    return step.summary.rps / (base.base_rps * step.replicas)
