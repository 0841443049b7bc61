"""Tables and sentences for the terminal. Pure: data in, rich renderables out."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from console.rendering.cards import gpu_cells
from loadtest.figures import Unit, format_figure
from loadtest.runfile import Distribution, Run
from loadtest.store import RunEntry
from loadtest.verdict import clients_text
from stack.status import BalancerSample, ReplicaSample, ReplicaState, StackState, StackStatus

_STATE_STYLE = {
    ReplicaState.READY: "green",
    ReplicaState.STARTING: "yellow",
    ReplicaState.DRAINING: "yellow",
    ReplicaState.UNHEALTHY: "red",
    ReplicaState.DEAD: "red",
    ReplicaState.STOPPED: "dim",
}


def figure_table(*columns: str, title: str | None = None, left: int = 1) -> Table:
    """Return a table whose first ``left`` columns are text and whose others are figures."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", no_wrap=True)
    return table


def status_table(
    status: StackStatus, samples: Mapping[str, ReplicaSample], *, wide: bool = False
) -> RenderableType:
    """Show a stack, one row a replica; ``wide``: there is room for more than 80 columns."""
    if status.state is StackState.ABSENT or status.spec is None:
        return Text(f"There is no stack '{status.name}'; 'whisperctl up' brings one up.")
    address = status.balancer.address if status.balancer else "–"
    head = Text.assemble(
        ("Stack ", "bold"),
        (status.name, "bold"),
        f"  {status.state.value}, {status.ready_replicas} of {status.spec.replicas} replicas ready",
        f"\nws://{address}, {status.spec.balancer.strategy.value.replace('_', ' ')}",
        f", model {status.spec.replica.model}",
        f", engine {status.spec.engine.value}\n",
    )
    # Right after a change nothing has been sampled: no columns of dashes then.
    figures = ("sessions", "CPU", "memory", "GPU memory", "GPU") if samples else ()
    table = figure_table("replica", "state", *figures, "restarts", left=2)
    for replica in status.replicas:
        sample = samples.get(replica.name, ReplicaSample())
        cells = (
            format_figure(sample.sessions, Unit.COUNT),
            format_figure(sample.cpu, Unit.FRACTION),
            format_figure(sample.memory, Unit.BYTES),
            *gpu_cells(sample, wide=wide),
        )
        table.add_row(
            replica.name,
            Text(replica.state.value, style=_STATE_STYLE[replica.state]),
            *(cells if samples else ()),
            str(replica.restarts),
        )
    notes = [
        Text(f"{replica.name}: {replica.detail}", style="yellow")
        for replica in status.replicas
        if replica.detail and replica.state is not ReplicaState.READY
    ]
    if status.doing:
        notes.append(Text(f"{status.doing[0].upper()}{status.doing[1:]}.", style="yellow"))
    if not status.supervised:
        notes.append(
            Text("Nobody watches this stack: the next 'up' or 'scale' does again.", style="yellow")
        )
    return Group(head, table, *notes)


def balancer_line(sample: BalancerSample) -> RenderableType:
    """Show what the balancer does and what became of the requests that it passed on."""
    parts = [
        f"balancer: {format_figure(sample.active_connections, Unit.COUNT)} connections",
        f"CPU {format_figure(sample.cpu, Unit.FRACTION)}",
        format_figure(sample.memory, Unit.BYTES),
    ]
    if sample.connect_p50 is not None and sample.connect_max is not None:
        parts.append(
            f"a replica takes a connection in {sample.connect_p50 * 1000:.0f} ms, "
            f"at most {sample.connect_max * 1000:.0f} ms"
        )
    ended = {name: number for name, number in (sample.answers_total or {}).items() if number}
    if ended:
        counts = ", ".join(
            f"{number:,} {'sessions' if name == '101' else name}" for name, number in ended.items()
        )
        parts.append(f"ended: {counts}")
    if sample.missing:
        parts.append(f"no answer: {', '.join(sample.missing)}")
    return Text(", ".join(parts))


def run_table(entries: Sequence[RunEntry]) -> RenderableType:
    """List runs, newest first, and what can't be read."""
    # The clients are in a run's id.
    table = figure_table("run", "status", "audio", "p95", "WER", "success", left=2)
    table.add_column("label", overflow="ellipsis", no_wrap=True)
    problems = []
    for entry in entries:
        if entry.problem is not None:
            problems.append(Text(entry.problem, style="yellow"))
            continue
        ended = (entry.successful or 0) + (entry.failed or 0)
        table.add_row(
            entry.run_id,
            entry.status,
            "–" if entry.audio_duration is None else f"{entry.audio_duration:.1f} s",
            format_figure(entry.p95_latency, Unit.SECONDS),
            format_figure(entry.wer, Unit.FRACTION),
            f"{entry.successful} of {ended}",
            escape(entry.label or ""),
        )
    return Group(table, *problems) if problems else table


def slo_line(run: Run) -> Text:
    """Say whether the run met its SLO and why not."""
    verdict = run.summary.slo
    if verdict is None:
        return Text(f"– SLO not judged: the step was {run.status.value}", style="yellow")
    if verdict.met:
        return Text("✓ SLO met", style="green")
    return Text("✗ SLO not met: " + "; ".join(verdict.reasons), style="red")


def distribution_cells(values: Distribution) -> list[str]:
    """Return count, min, median, mean, p95, p99 and max as cells of a table."""
    figures = (values.min, values.median, values.mean, values.p95, values.p99, values.max)
    return [str(values.count), *("–" if value is None else f"{value:.3f}" for value in figures)]


def failure_lines(run: Run) -> list[str]:
    """Say why sessions failed, the most frequent reasons first."""
    reasons = Counter(
        (client.failure.value, client.errors[-1] if client.errors else "")
        for client in run.clients
        if client.failure is not None
    )
    return [
        f"  {count} failed, {reason}: {detail}"
        for (reason, detail), count in reasons.most_common(3)
    ]


def step_line(run: Run) -> str:
    """Say in one line what a finished step measured."""
    summary = run.summary
    ended = summary.successful_clients + summary.failed_clients
    words = format_figure(summary.wer.wer if summary.wer else None, Unit.FRACTION)
    return (
        f"{clients_text(run.test_configuration.num_clients):>12}  "
        f"{summary.successful_clients} of {ended} ok  "
        f"latency median {format_figure(summary.latency.median, Unit.SECONDS)}  "
        f"p95 {format_figure(summary.latency.p95, Unit.SECONDS)}  "
        f"WER {words}  audio {summary.average_audio_duration:.1f} s each"
    )
