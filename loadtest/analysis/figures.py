"""A run in the figures that an analysis needs. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from loadtest.analysis.model import CardFigures, ReplicaFigures, StepFigures
from loadtest.runfile import ClientResult, Failure, Outcome, Run, TimelineRow
from loadtest.statistics import distribution, mean
from loadtest.usage import part_uses
from stack.status import GpuSample, by_number


def step_figures(run: Run) -> StepFigures:
    """Return a run's figures; resources over its plateau, when all its clients were talking."""
    summary, configuration = run.summary, run.test_configuration
    rows = plateau(run)
    machines = [row.machine for row in rows if row.machine is not None]
    replicas = _replicas(run, rows)
    cards = card_figures(rows)
    verdict = summary.slo
    return StepFigures(
        run_id=run.run_id,
        clients=configuration.num_clients,
        status=run.status.value,
        met=verdict.met if verdict is not None else None,
        reasons=list(verdict.reasons) if verdict is not None else [],
        median=summary.latency.median,
        p95=summary.latency.p95,
        p99=summary.latency.p99,
        word_p95=summary.word_latency.p95 if summary.word_latency else None,
        wer=summary.wer.wer if summary.wer else None,
        sessions=summary.successful_clients + summary.failed_clients,
        failed=summary.failed_clients,
        failures=dict(summary.failures),
        turned_away=sum(_turned_away(client) for client in run.clients),
        distorted=summary.generator_distorted,
        slip_p99=summary.slip.p99_or_max,
        max_over_mean=summary.load_distribution.max_over_mean,
        machine_cpu=_mean(machine.cpu for machine in machines),
        cores=next((machine.cores for machine in machines), None),
        balancer_cpu=_mean(machine.balancer_cpu for machine in machines),
        generator_cpu=_mean(row.generator_cpu for row in rows),
        gpu_memory=_largest(card.memory for card in cards) or _gpu_memory(run, replicas),
        # Two replicas that each use half of a card use it up.
        gpu_utilisation=_largest(
            [*(card.utilisation for card in cards), *(one.gpu_utilisation for one in replicas)]
        ),
        audio=summary.average_audio_duration,
        replicas=replicas,
        cards=cards,
        usage=part_uses(run.timeline, rows),
    )


def _turned_away(client: ClientResult) -> bool:
    """Tell whether a session failed because the server was full, not because it was gone."""
    if client.failure is Failure.WAIT:
        return True
    return client.failure is Failure.REFUSED and any("HTTP 503" in text for text in client.errors)


def plateau(run: Run) -> list[TimelineRow]:
    """Return the rows in which at least nine tenths of the largest number of sessions were open.

    While clients come and go the machine does other work than what the step is about.
    """
    most = max((row.sessions for row in run.timeline), default=0)
    return [row for row in run.timeline if most and row.sessions >= 0.9 * most]


def _replicas(run: Run, rows: Sequence[TimelineRow]) -> list[ReplicaFigures]:
    names = {name for row in run.timeline for name in row.replicas}
    names |= set(run.summary.load_distribution.sessions)
    return [_replica(name, run, rows) for name in by_number(names)]


def _replica(name: str, run: Run, rows: Sequence[TimelineRow]) -> ReplicaFigures:
    clients = [client for client in run.clients if client.replica == name]
    latency = distribution(_latencies(clients))
    samples = [row.replicas[name] for row in rows if name in row.replicas]
    return ReplicaFigures(
        name=name,
        sessions=len(clients),
        failed=sum(client.outcome is Outcome.FAILED for client in clients),
        median=latency.median,
        worst=latency.p95_or_max,
        cpu=_mean(sample.cpu for sample in samples),
        memory=_largest(sample.memory for sample in samples),
        gpu_memory=_largest(sample.gpu_memory for sample in samples),
        gpu_utilisation=_mean(sample.gpu_utilisation for sample in samples),
        gpu_shared=any(sample.gpu_shared for sample in samples),
        queue_depth=_mean(sample.queue_depth for sample in samples),
    )


def _latencies(clients: Iterable[ClientResult]) -> list[float]:
    return [sample for client in clients for sample in client.latency_samples]


def _gpu_memory(run: Run, replicas: Sequence[ReplicaFigures]) -> float | None:
    """Return the fraction of the cards' memory in use; a shared figure is a whole card's."""
    cards = run.environment.get("gpus")
    cards = cards if isinstance(cards, list) else []  # as the file has it
    found = [gpu.get("memory") for gpu in cards if isinstance(gpu, dict)]
    room = [memory for memory in found if isinstance(memory, int) and memory > 0]
    used = [one.gpu_memory for one in replicas if one.gpu_memory is not None]
    if not room or not used:
        return None
    if any(one.gpu_shared for one in replicas):
        return max(used) / max(room)
    return sum(used) / sum(room)


def card_figures(rows: Sequence[TimelineRow]) -> list[CardFigures]:
    """Return the figures of the cards that replicas use: others are none of the stack's limits."""
    used = {index for row in rows for sample in row.replicas.values() for index in sample.gpus}
    seen: dict[int, list[GpuSample]] = {}
    for row in rows:
        for card in row.machine.gpus if row.machine is not None else ():
            if card.index in used:
                seen.setdefault(card.index, []).append(card)
    return [_card(samples) for _, samples in sorted(seen.items())]


def _card(samples: Sequence[GpuSample]) -> CardFigures:
    alive = [sample for sample in samples if not sample.problem]
    held = Counter(word for sample in alive for word in sample.held_back)
    return CardFigures(
        index=samples[0].index,
        name=samples[0].name,
        memory=_largest(
            sample.memory_used / sample.memory
            for sample in alive
            if sample.memory_used is not None and sample.memory
        ),
        utilisation=_mean(sample.utilisation for sample in alive),
        held_back={word: count / len(alive) for word, count in held.most_common()},
        silent=1 - len(alive) / len(samples),
        problem=next((one.problem for one in reversed(samples) if one.problem), ""),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    return mean([value for value in values if value is not None])


def _largest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
