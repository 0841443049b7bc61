"""What a run's clients and samples come to. Pure."""

from collections import Counter
from collections.abc import Sequence

from pydantic import BaseModel

from loadtest.runfile import (
    ClientResult,
    LoadDistribution,
    ResourceSummary,
    Spread,
    TimelineRow,
    WordErrors,
)
from loadtest.statistics import mean, percentile
from loadtest.usage import is_order_statistic
from stack.status import ReplicaSample


def pooled_words(clients: list[ClientResult]) -> WordErrors | None:
    """Pool the clients' word errors: edits over reference words, never a mean of rates."""
    counted = [client.wer for client in clients if client.wer is not None]
    words = sum(errors.reference_words for errors in counted)
    if not words:
        return None
    substitutions = sum(errors.substitutions for errors in counted)
    deletions = sum(errors.deletions for errors in counted)
    insertions = sum(errors.insertions for errors in counted)
    return WordErrors(
        wer=(substitutions + deletions + insertions) / words,
        substitutions=substitutions,
        deletions=deletions,
        insertions=insertions,
        reference_words=words,
    )


def load_distribution(clients: list[ClientResult], replicas: set[str]) -> LoadDistribution:
    """Count sessions per replica over the clients that a replica took.

    ``replicas`` are those known to be there: one that got no session counts, with zero.
    """
    taken = [client for client in clients if client.connection_time is not None]
    sessions = Counter(dict.fromkeys(replicas, 0))
    sessions.update(client.replica for client in taken if client.replica is not None)
    unknown = sum(client.replica is None for client in taken)
    if not sessions.total():
        return LoadDistribution(sessions=dict(sorted(sessions.items())), unknown=unknown)
    average = sum(sessions.values()) / len(sessions)
    return LoadDistribution(
        sessions=dict(sorted(sessions.items())),
        unknown=unknown,
        max_over_mean=max(sessions.values()) / average,
    )


def resources(timeline: list[TimelineRow]) -> dict[str, ResourceSummary]:
    """Summarise each replica's samples over the timeline."""
    names = sorted({name for row in timeline for name in row.replicas})
    return {
        name: _resources_of([row.replicas[name] for row in timeline if name in row.replicas])
        for name in names
    }


def _resources_of(samples: list[ReplicaSample]) -> ResourceSummary:
    cpu = [sample.cpu for sample in samples if sample.cpu is not None]
    memory = [sample.memory for sample in samples if sample.memory is not None]
    gpu_memory = [sample.gpu_memory for sample in samples if sample.gpu_memory is not None]
    gpu = [sample.gpu_utilisation for sample in samples if sample.gpu_utilisation is not None]
    sessions = [sample.sessions for sample in samples if sample.sessions is not None]
    queue = [sample.queue_depth for sample in samples if sample.queue_depth is not None]
    return ResourceSummary(
        cpu_mean=mean(cpu),
        cpu_peak=max(cpu, default=None),
        memory_mean=mean(memory),
        memory_peak=max(memory, default=None),
        gpu_memory_mean=mean(gpu_memory),
        gpu_memory_peak=max(gpu_memory, default=None),
        gpu_utilisation_mean=mean(gpu),
        gpu_utilisation_peak=max(gpu, default=None),
        gpu_memory_shared=any(sample.gpu_memory_shared for sample in samples),
        gpu_utilisation_shared=any(sample.gpu_utilisation_shared for sample in samples),
        gpu_shared=any(sample.gpu_shared for sample in samples),
        sessions_peak=max(sessions, default=None),
        queue_depth_peak=max(queue, default=None),
        spread=spreads(samples),
    )


def spreads(samples: Sequence[BaseModel]) -> dict[str, Spread]:
    """Summarise every figure of samples of one kind, by its name; unknown ones are left out."""
    found: dict[str, Spread] = {}
    for name in type(samples[0]).model_fields if samples else ():
        parts = [
            value for sample in samples if isinstance(value := getattr(sample, name), BaseModel)
        ]
        found |= {f"{name}_{figure}": spread for figure, spread in spreads(parts).items()}
        values = [
            float(value)
            for value in (getattr(sample, name) for sample in samples)
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        # Percentiles are never averaged.
        if values and not is_order_statistic(name):
            found[name] = Spread(
                mean=sum(values) / len(values), p95=percentile(values, 95), peak=max(values)
            )
    return found


def together(timeline: Sequence[TimelineRow], figure: str) -> list[float]:
    """Return a figure of all replicas together, second by second, where it is known.

    Peaks of single replicas fall into different seconds: added up they would be a peak that never
    was. A card's shared figure counts once, not once a replica.
    """
    seconds = []
    for row in timeline:
        known = [
            (float(value), getattr(sample, f"{figure}_shared", False))
            for sample in row.replicas.values()
            if (value := getattr(sample, figure)) is not None
        ]
        if not known:
            continue
        shared = any(of_card for _, of_card in known)
        values = [value for value, _ in known]
        seconds.append(max(values) if shared else sum(values))
    return seconds
