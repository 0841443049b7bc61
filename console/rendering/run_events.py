"""What happened in a run, second by second, as far as its file tells. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from console.rendering.run_list import plain
from loadtest.runfile import Run, RunStatus, TimelineRow


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One line."""

    time: float
    """Seconds after the step's start."""
    text: str
    style: str = ""


def run_events(run: Run) -> list[RunEvent]:
    """Return what happened, in order of time."""
    events = [*_from_timeline(run), *_from_clients(run), *_ending(run)]
    return sorted(events, key=lambda event: event.time)


def _from_timeline(run: Run) -> Iterator[RunEvent]:
    limit = run.test_configuration.slo.p95_latency
    before: TimelineRow | None = None
    over = False
    peak = max((row.sessions for row in run.timeline), default=0)
    for row in run.timeline:
        if row.sessions == peak and (before is None or before.sessions < peak) and peak:
            yield RunEvent(row.time, f"{peak} sessions at once, the most of this run.")
            peak = -1
        if before is not None and before.replicas and row.replicas:
            for name in row.replicas.keys() - before.replicas.keys():
                yield RunEvent(row.time, f"{plain(name)} came.")
            for name in before.replicas.keys() - row.replicas.keys():
                yield RunEvent(row.time, f"{plain(name)} went.", "yellow")
        if limit is not None and row.latency_p95 is not None and (row.latency_p95 > limit) != over:
            over = not over
            where = "rose over" if over else "is back under"
            yield RunEvent(
                row.time,
                f"p95 latency of the last 5 s {where} the SLO's {limit:g} s.",
                "red" if over else "green",
            )
        before = row


def _from_clients(run: Run) -> Iterator[RunEvent]:
    for client in run.clients:
        if client.failure is not None:
            ended = client.started_at + (client.connection_time or 0.0)
            ended += client.processing_time or 0.0
            where = f" on {plain(client.replica)}" if client.replica else ""
            yield RunEvent(
                ended, f"Client {client.client_id} failed{where}: {client.failure.value}.", "red"
            )
        elif client.reconnects:
            yield RunEvent(
                client.started_at,
                f"Client {client.client_id} lost its connection and came back "
                f"({client.reconnects}×, {client.gap:.1f} s without).",
                "yellow",
            )


def _ending(run: Run) -> Iterator[RunEvent]:
    end = run.summary.total_duration
    if run.summary.stopped_because:
        yield RunEvent(end, f"Stopped: {plain(run.summary.stopped_because)}.", "yellow")
    elif run.status is not RunStatus.COMPLETED:
        yield RunEvent(end, f"The run was {run.status.value}.", "yellow")
