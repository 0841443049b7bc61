"""Tables and sentences for the terminal. Pure: data in, rich renderables out."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from console.rendering.cards import gpu_cells
from loadtest.analysis.cost import CARD_MARK
from loadtest.figures import Unit, format_figure
from loadtest.runfile import Distribution, Run
from loadtest.store import RunEntry
from loadtest.verdict import clients_text, run_notes, step_text
from stack.status import BalancerSample, ReplicaSample, ReplicaState, StackState, StackStatus

_CLIENTS_SHOWN = 20
_TIMES_MEANING = (
    "latency: of the newest audio in each update; finish: from the last audio to the last text; "
    "slip: how late the generator sent."
)
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


def run_details(run: Run) -> RenderableType:
    """Show one run: how it was made, its distributions, words, replicas and failures."""
    summary, configuration = run.summary, run.test_configuration
    head = Text.assemble(
        (run.run_id, "bold"),
        f"  {run.status.value}  {step_text(configuration.step, configuration.steps)}",
        f"  {run.label}" if run.label else "",
        f"\n{run.note}" if run.note else "",
        f"\n{clients_text(configuration.num_clients)} on ",
        f"{configuration.host}:{configuration.port}, ",
        f"{summary.average_audio_duration:.1f} s of audio each, chunk {configuration.chunk:g} s, ",
        f"seed {configuration.seed}; it took {summary.total_duration:.1f} s",
    )
    times = figure_table("seconds", "count", "min", "median", "mean", "p95", "p99", "max")
    for name, values in (
        ("latency", summary.latency),
        ("final latency", summary.final_latency),
        ("word latency", summary.word_latency),
        ("word final latency", summary.word_final_latency),
        ("first result", summary.first_result),
        ("finish", summary.finish),
        ("connection", summary.connection_time),
        ("slip", summary.slip),
    ):
        if values is not None and (values.count or not name.startswith("word")):
            times.add_row(name, *distribution_cells(values))
    lines: list[RenderableType] = [head, Text(), times, Text(_TIMES_MEANING, style="dim"), Text()]
    ended = summary.successful_clients + summary.failed_clients
    sessions = f"{summary.successful_clients} of {ended} sessions succeeded"
    if summary.failures:
        sessions += " (" + ", ".join(f"{n} {why}" for why, n in summary.failures.items()) + ")"
    if summary.incomplete_clients:
        sessions += f", {summary.incomplete_clients} were cut off by the end of the run"
    lines.append(Text(sessions + "."))
    lines.append(Text(_words_sentence(run)))
    distribution = summary.load_distribution
    if distribution.sessions:
        spread = ", ".join(f"{name} {count}" for name, count in distribution.sessions.items())
        even = format_figure(distribution.max_over_mean, Unit.RATIO)
        lines.append(Text(f"Sessions per replica: {spread}; the busiest has {even} the mean."))
    lines += [Text(note, style="red") for note in run_notes(run)]
    if summary.resources:
        lines += [Text(), _resource_table(run)]
    lines += [Text(), slo_line(run)]
    if run.clients:
        lines += [Text(), _client_table(run)]
        if len(run.clients) > _CLIENTS_SHOWN:
            more = len(run.clients) - _CLIENTS_SHOWN
            lines.append(
                Text(f"… and {more} more clients: see 'whisperctl show --json'", style="dim")
            )
    failed = [client for client in run.clients if client.errors]
    if failed:
        lines.append(Text())
        lines += [
            Text(f"client {client.client_id}: {client.errors[-1]}", style="yellow")
            for client in failed[:10]
        ]
        if len(failed) > 10:
            lines.append(Text(f"… and {len(failed) - 10} more clients with errors", style="dim"))
    return Group(*lines)


def _words_sentence(run: Run) -> str:
    words = run.summary.wer
    if words is None:
        return "Word error rate unknown: no reference text."
    return (
        f"Word error rate {words.wer:.1%}: {words.substitutions} substituted, "
        f"{words.deletions} deleted, {words.insertions} inserted of {words.reference_words} words."
    )


def slo_line(run: Run) -> Text:
    """Say whether the run met its SLO and why not."""
    verdict = run.summary.slo
    if verdict is None:
        return Text(f"SLO not judged: the step was {run.status.value}", style="yellow")
    if verdict.met:
        return Text("SLO met", style="green")
    return Text("SLO not met: " + "; ".join(verdict.reasons), style="red")


def _resource_table(run: Run) -> Table:
    table = figure_table(
        "replica", "CPU mean", "CPU peak", "memory peak", "GPU memory peak", "GPU mean", "sessions"
    )
    for name, used in run.summary.resources.items():
        table.add_row(
            name,
            format_figure(used.cpu_mean, Unit.FRACTION),
            format_figure(used.cpu_peak, Unit.FRACTION),
            format_figure(used.memory_peak, Unit.BYTES),
            *(
                format_figure(getattr(used, figure), unit)
                + (CARD_MARK if used.is_shared(figure) else "")
                for figure, unit in (
                    ("gpu_memory_peak", Unit.BYTES),
                    ("gpu_utilisation_mean", Unit.FRACTION),
                )
            ),
            format_figure(used.sessions_peak, Unit.COUNT),
        )
    return table


def _client_table(run: Run) -> Table:
    table = figure_table(
        *("client", "ended", "replica", "audio", "first", "median", "max", "finish", "WER"), left=3
    )
    # What went wrong first, so that it is among those shown.
    clients = sorted(run.clients, key=lambda client: (client.success, client.client_id))
    for client in clients[:_CLIENTS_SHOWN]:
        times = (client.first_result, client.latency.median, client.latency.max, client.finish)
        table.add_row(
            str(client.client_id),
            client.failure.value if client.failure else client.outcome.value,
            client.replica or "–",
            f"{client.audio_sent:.1f} s",
            *("–" if value is None else f"{value:.3f}" for value in times),
            format_figure(client.wer.wer if client.wer else None, Unit.FRACTION),
        )
    return table


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
