"""One run for the terminal: how it came out first, then what that rests on. Pure."""

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from console.render import distribution_cells, figure_table, slo_line
from console.rendering.run_events import run_events
from console.rendering.run_list import entries_capacity, plain, result
from loadtest.analysis.cost import CARD_MARK
from loadtest.entries import RunEntry
from loadtest.figures import Unit, format_figure
from loadtest.runfile import Run, served_model
from loadtest.verdict import clients_text, run_notes, step_text

_CLIENTS_SHOWN: Final = 20
_EVENTS_SHOWN: Final = 30
_TIMES_MEANING: Final = (
    "latency: of the newest audio in each update; finish: from the last audio to the last text; "
    "slip: how late the generator sent."
)


def run_details(run: Run) -> RenderableType:
    """Show one run whole."""
    return Group(*run_head(run), Text(), *run_rest(run))


def run_head(run: Run) -> list[RenderableType]:
    """Say what a run was and how it came out: the SLO's verdict, sessions, words, notes."""
    summary, configuration = run.summary, run.test_configuration
    verdict = slo_line(run)
    verdict.stylize("bold")
    lines: list[RenderableType] = [
        verdict,
        Text.assemble(
            (run.run_id, "bold"),
            f"  {run.status.value}  {step_text(configuration.step, configuration.steps)}",
            f"  {plain(run.label)}" if run.label else "",
            f"\n{clients_text(configuration.num_clients)} on ",
            f"{plain(configuration.host)}:{configuration.port}, ",
            f"{summary.average_audio_duration:.1f} s of audio each; ",
            f"it took {summary.total_duration:.1f} s",
        ),
    ]
    if run.note:
        lines.append(Text(f"Note: {plain(run.note)}", style="italic"))
    ended = summary.successful_clients + summary.failed_clients
    sessions = f"{summary.successful_clients} of {ended} sessions succeeded"
    if summary.failures:
        sessions += " (" + ", ".join(f"{n} {why}" for why, n in summary.failures.items()) + ")"
    if summary.incomplete_clients:
        sessions += f", {summary.incomplete_clients} were cut off by the end of the run"
    lines.append(Text(sessions + "."))
    lines.append(Text(_words_sentence(run)))
    lines += [Text(f"! {note}", style="red") for note in run_notes(run)]
    return lines


def run_rest(run: Run) -> list[RenderableType]:
    """Show what a run's verdict rests on: times, replicas, sessions, events, configuration."""
    lines: list[RenderableType] = [_times(run), Text(_TIMES_MEANING, style="dim")]
    lines += _replicas(run)
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
            Text(f"client {client.client_id}: {plain(client.errors[-1])}", style="yellow")
            for client in failed[:10]
        ]
        if len(failed) > 10:
            lines.append(Text(f"… and {len(failed) - 10} more clients with errors", style="dim"))
    events = run_events(run)
    if events:
        lines += [Text(), Text("Events", style="bold")]
        lines += [
            Text.assemble((f"{event.time:7.1f} s  ", "dim"), (event.text, event.style))
            for event in events[:_EVENTS_SHOWN]
        ]
        if len(events) > _EVENTS_SHOWN:
            lines.append(Text(f"… and {len(events) - _EVENTS_SHOWN} more events", style="dim"))
    return [*lines, Text(), *_configuration(run)]


def _times(run: Run) -> Table:
    summary = run.summary
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
    return times


def _replicas(run: Run) -> list[RenderableType]:
    distribution = run.summary.load_distribution
    lines: list[RenderableType] = []
    if distribution.sessions:
        spread = ", ".join(
            f"{plain(name)} {count}" for name, count in distribution.sessions.items()
        )
        even = format_figure(distribution.max_over_mean, Unit.RATIO)
        lines += [Text(), Text(f"Sessions per replica: {spread}; the busiest has {even} the mean.")]
    if run.summary.resources:
        lines += [Text(), _resource_table(run)]
    return lines


def _words_sentence(run: Run) -> str:
    words = run.summary.wer
    if words is None:
        return "Word error rate unknown: no reference text."
    return (
        f"Word error rate {words.wer:.1%}: {words.substitutions} substituted, "
        f"{words.deletions} deleted, {words.insertions} inserted of {words.reference_words} words."
    )


def _resource_table(run: Run) -> Table:
    table = figure_table(
        "replica", "CPU mean", "CPU peak", "memory peak", "GPU memory peak", "GPU mean", "sessions"
    )
    for name, used in run.summary.resources.items():
        table.add_row(
            Text(plain(name)),
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
            Text(plain(client.replica or "–")),
            f"{client.audio_sent:.1f} s",
            *("–" if value is None else f"{value:.3f}" for value in times),
            format_figure(client.wer.wer if client.wer else None, Unit.FRACTION),
        )
    return table


def _configuration(run: Run) -> list[RenderableType]:
    asked = run.test_configuration
    slo = asked.slo
    limits = [
        f"p95 latency at most {slo.p95_latency:g} s" if slo.p95_latency is not None else "",
        f"p95 word latency at most {slo.p95_word_latency:g} s"
        if slo.p95_word_latency is not None
        else "",
        f"success at least {slo.success_rate:.1%}" if slo.success_rate is not None else "",
        f"WER at most {slo.wer_over_baseline:.1%} over the first step's"
        if slo.wer_over_baseline is not None
        else "",
    ]
    audio = "one clip each" if asked.duration is None else f"{asked.duration:g} s each"
    rows = (
        ("SLO", "; ".join(limit for limit in limits if limit) or "none"),
        ("audio", f"{audio}, in messages of {asked.chunk:g} s, {asked.audio_format}"),
        ("clips", f"{asked.clips} in {asked.audio_directory}, seed {asked.seed}"),
        ("ramp", f"{asked.ramp:g} s"),
        ("language", asked.language or "detected"),
        ("model", served_model(run) or "not known: the stack is none of ours"),
        ("load from", "this machine" if asked.generator == "host" else f"{asked.generator}"),
        ("series", run.series_id),
    )
    table = Table.grid(padding=(0, 2))
    for name, value in rows:
        table.add_row(Text(name, style="dim"), Text(plain(value)))
    return [Text("Configuration", style="bold"), table]


def series_details(members: Sequence[RunEntry], *, hidden: int) -> RenderableType:
    """Show a series in the list: its capacity, and a line for each run.

    ``hidden``: runs of the series that the filter leaves out.
    """
    table = figure_table("clients", "p95", "WER", "success", "result")
    table.columns[-1].justify = "left"
    table.add_column("label", overflow="fold")
    styles = {"good": "green", "bad": "red", "warning": "yellow"}
    for entry in sorted(members, key=lambda entry: entry.clients or 0):
        came = result(entry)
        ended = (entry.successful or 0) + (entry.failed or 0)
        table.add_row(
            format_figure(entry.clients, Unit.COUNT),
            format_figure(entry.p95_latency, Unit.SECONDS),
            format_figure(entry.wer, Unit.FRACTION),
            f"{entry.successful}/{ended}",
            Text(str(came), style=styles.get(came.style, "")),
            Text(plain(entry.label or "")),
        )
    lines: list[RenderableType] = [
        Text(f"Capacity: {entries_capacity(members).sentence}.", style="bold")
    ]
    if hidden:
        lines.append(Text(f"The filter hides {hidden} of its runs.", style="yellow"))
    lines += [
        Text("a says what broke first, A marks all its runs for a comparison.", style="dim"),
        Text(),
        table,
    ]
    return Group(*lines)
