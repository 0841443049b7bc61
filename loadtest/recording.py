"""From a step's events to its run: the same code for a live step and for one recovered. Pure."""

from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime
from statistics import median
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from loadtest.assignment import total_duration
from loadtest.events import (
    ClientFinished,
    ClientReady,
    GeneratorEvent,
    LiveWords,
    Progress,
    ShardFinished,
)
from loadtest.lateness import PooledLateness
from loadtest.plan import ClientAssignment
from loadtest.runfile import (
    ClientResult,
    Distribution,
    Outcome,
    Run,
    RunStatus,
    SloVerdict,
    Summary,
    TestConfiguration,
    TimelineRow,
)
from loadtest.saturation import WINDOW, still_growing
from loadtest.statistics import distribution, mean, percentile
from loadtest.summarising import load_distribution, pooled_words, resources, spreads
from loadtest.verdict import slo_verdict
from stack.status import MachineSample, ReplicaSample

_LATENESS_THAT_COUNTS: Final = 0.02
LIVE_WINDOW: Final = 5.0
"""Seconds of updates that a timeline row's latency percentiles look back on."""


class StepHeader(BaseModel):
    """What is known of a step before it starts; the first line of its journal."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    series_id: str
    label: str
    note: str = ""
    created_at: datetime
    test_configuration: TestConfiguration
    clients: tuple[ClientAssignment, ...]
    baseline_wer: float | None
    """Word error rate of the series' first run; None in the first."""
    environment: dict[str, Any]
    calibrated_clients: int | None = None
    """See the summary's."""


class StepRecord:
    """Collects a step's events and says, at any time, what they come to."""

    def __init__(self, header: StepHeader) -> None:
        self.header = header
        self.active: dict[int, int] = {}
        self.results: dict[int, ClientResult] = {}
        self.timeline: list[TimelineRow] = []
        self._ready: dict[int, ClientReady] = {}
        self._latency: dict[int, list[float]] = {}
        self._recent: deque[tuple[float, float]] = deque()
        self._windows: dict[int, list[float]] = {}
        """Latencies by the window they were received in."""
        self._audio_sent: dict[int, float] = {}
        self._backlog: dict[int, float] = {}
        self._cpu: dict[int, float] = {}
        self._cpu_before: tuple[float, float] | None = None
        self.transcripts: dict[int, str] = {}
        self._slip = PooledLateness()
        self._lateness = PooledLateness()
        self._cpu_time: float | None = None

    def apply(self, event: GeneratorEvent, *, shard: int, elapsed: float) -> None:
        """Take in one event of a shard, received ``elapsed`` seconds after the step's start."""
        match event:
            case ClientReady():
                self._ready[event.client_id] = event
            case Progress():
                self.active[shard] = event.active
                self._audio_sent[shard] = event.audio_sent
                self._backlog[shard] = event.backlog
                self._cpu[shard] = event.cpu_time
                self.transcripts |= event.transcripts
                for client, samples in event.latency.items():
                    self._latency.setdefault(client, []).extend(samples)
                    self._recent.extend((elapsed, sample) for sample in samples)
                    self._windows.setdefault(int(elapsed // WINDOW), []).extend(samples)
            case ClientFinished():
                self.results[event.result.client_id] = event.result
                self._slip.add(event.slip)
                self._lateness.add(event.lateness)
            case ShardFinished():
                self._cpu_time = (self._cpu_time or 0.0) + event.cpu_time

    def row(
        self,
        elapsed: float,
        replicas: Mapping[str, ReplicaSample],
        machine: MachineSample | None = None,
    ) -> TimelineRow:
        """Make, keep and return the timeline row of this second."""
        while self._recent and self._recent[0][0] < elapsed - LIVE_WINDOW:
            self._recent.popleft()
        samples = [sample for _, sample in self._recent]
        sessions = sum(self.active.values())
        row = TimelineRow(
            time=elapsed,
            sessions=sessions,
            backlog=sum(self._backlog.values()) / sessions if sessions else None,
            latency_p50=percentile(samples, 50),
            latency_p95=percentile(samples, 95),
            latency_p99=percentile(samples, 99),
            failures=self.failed,
            generator_cpu=self._generator_cpu(elapsed),
            machine=machine,
            replicas=dict(replicas),
        )
        self.timeline.append(row)
        return row

    def _generator_cpu(self, elapsed: float) -> float | None:
        """Return the share of a core used since the last row."""
        used = sum(self._cpu.values())
        before, self._cpu_before = self._cpu_before, (elapsed, used)
        if before is None or elapsed <= before[0]:
            return None
        return max(0.0, (used - before[1]) / (elapsed - before[0]))

    def latencies(self, since: float) -> list[float]:
        """Return the samples received after ``since``, at most the last few seconds'."""
        return [sample for at, sample in self._recent if at > since]

    @property
    def failed(self) -> int:
        """Sessions that have failed so far."""
        return sum(result.outcome is Outcome.FAILED for result in self.results.values())

    @property
    def live_words(self) -> LiveWords | None:
        """Word errors of the sessions that have ended so far."""
        words = pooled_words(list(self.results.values()))
        if words is None:
            return None
        return LiveWords(wer=words.wer, reference_words=words.reference_words)

    def run(self, status: RunStatus, total: float, *, because: str | None = None) -> Run:
        """Return the run that the events come to; ``total`` seconds passed since the step's start.

        Clients without a result yet are incomplete: they keep what was heard of them. ``because``
        says why the step was ended early, as it could not meet its SLO any more.
        """
        clients = [
            self.results.get(assignment.index) or self._unfinished(assignment)
            for assignment in self.header.clients
        ]
        header = self.header
        summary = self._summary(clients, total)
        if because is not None:
            summary.stopped_because = because
            summary.slo = SloVerdict(met=False, reasons=[because])
        elif status is RunStatus.COMPLETED:
            # A step that was cut off says nothing of the server: it is not judged.
            summary.slo = slo_verdict(
                summary,
                slo=header.test_configuration.slo,
                baseline_wer=header.baseline_wer,
            )
        return Run(
            run_id=header.run_id,
            series_id=header.series_id,
            label=header.label,
            note=header.note,
            created_at=header.created_at,
            status=status,
            test_configuration=header.test_configuration,
            clients=clients,
            summary=summary,
            timeline=self.timeline,
            environment=header.environment,
        )

    def _grew(self, clients: list[ClientResult]) -> bool:
        """Tell whether latency was still growing while all clients were talking."""
        limit = self.header.test_configuration.slo.p95_latency
        sent = [client for client in clients if client.audio_sent]
        if limit is None or not sent:
            return False
        first = max(client.started_at for client in sent)
        last = min(client.started_at + client.audio_sent for client in sent)
        medians = [
            median(samples)
            for window, samples in sorted(self._windows.items())
            if first <= window * WINDOW and (window + 1) * WINDOW <= last
        ]
        return still_growing(medians, limit)

    def _unfinished(self, assignment: ClientAssignment) -> ClientResult:
        ready = self._ready.get(assignment.index)
        samples = self._latency.get(assignment.index, [])
        references = [piece.reference or "" for piece in assignment.pieces]
        return ClientResult(
            client_id=assignment.index,
            uid=assignment.uid,
            outcome=Outcome.INCOMPLETE,
            success=False,
            replica=ready.replica if ready else None,
            connection_time=ready.connection_time if ready else None,
            audio_file="+".join(piece.path.name for piece in assignment.pieces),
            audio_duration=total_duration(assignment, self.header.test_configuration.chunk),
            started_at=assignment.start_after,
            transcript=self.transcripts.get(assignment.index, ""),
            reference=" ".join(references).strip() or None,
            latency=distribution(samples),
            final_latency=distribution([]),
            slip=distribution([]),
            latency_samples=samples,
        )

    def _summary(self, clients: list[ClientResult], total: float) -> Summary:
        outcomes = Counter(client.outcome for client in clients)
        configuration = self.header.test_configuration
        latency = _pooled(clients, "latency_samples")
        reported = sum(client.audio_sent for client in clients)
        return Summary(
            total_duration=total,
            successful_clients=outcomes[Outcome.SUCCESS],
            failed_clients=outcomes[Outcome.FAILED],
            incomplete_clients=outcomes[Outcome.INCOMPLETE],
            reconnects=sum(client.reconnects for client in clients),
            failures=dict(
                Counter(client.failure.value for client in clients if client.failure is not None)
            ),
            average_audio_duration=mean([client.audio_duration for client in clients]) or 0.0,
            audio_sent=max(reported, sum(self._audio_sent.values())),
            average_processing_time=mean(
                [client.processing_time for client in clients if client.processing_time is not None]
            ),
            latency=latency,
            final_latency=_pooled(clients, "final_latency_samples"),
            word_latency=_pooled(clients, "word_latency_samples"),
            word_final_latency=_pooled(clients, "word_final_latency_samples"),
            first_result=_pooled(clients, "first_result"),
            finish=_pooled(clients, "finish"),
            connection_time=_pooled(clients, "connection_time"),
            slip=self._slip.distribution(),
            latency_grew=self._grew(clients),
            wer=pooled_words(clients),
            load_distribution=load_distribution(
                clients, {name for row in self.timeline for name in row.replicas}
            ),
            resources=resources(self.timeline),
            machine=spreads([row.machine for row in self.timeline if row.machine is not None]),
            generator_cpu=self._cpu_time / total if self._cpu_time is not None and total else None,
            generator_distorted=_distorts(
                self._lateness.distribution(), latency, configuration.chunk
            ),
            calibrated_clients=self.header.calibrated_clients,
        )


def _distorts(lateness: Distribution, latency: Distribution, chunk: float) -> bool:
    """Tell whether the generator's own lateness spoils what it measured.

    It does when its p99 is over half a message, or over 20 ms and a tenth of the p95 latency.
    """
    late = lateness.p99_or_max
    if late is None:
        return False
    measured = latency.p95_or_max
    counts = max(_LATENESS_THAT_COUNTS, measured / 10) if measured is not None else chunk / 2
    return late > min(chunk / 2, counts)


def _pooled(clients: list[ClientResult], name: str) -> Any:
    samples: list[float] = []
    for client in clients:
        value = getattr(client, name)
        if isinstance(value, list):
            samples.extend(value)
        elif value is not None:
            samples.append(value)
    return distribution(samples)
