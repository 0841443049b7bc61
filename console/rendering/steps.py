"""The steps of a series on the screen. Pure."""

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from console.live import LoadView
from console.loading import StepView
from loadtest.elsewhere import RunningStep
from loadtest.figures import Unit, format_figure
from loadtest.outlook import Outlook, duration_text
from loadtest.runfile import Run, RunStatus, TimelineRow
from loadtest.verdict import Verdict, clients_text, meets_slo, step_text

COLUMNS: Final = {
    "step": 4,
    "clients": 7,
    "state": 18,
    "p50": 7,
    "p95": 7,
    "WER": 6,
    "success": 9,
    "SLO": None,
}
"""Names and widths: fixed, so that nothing moves while figures change, but for the last."""
_BAR: Final = 6


def step_cells(
    number: int, step: StepView, load: LoadView | None, row: TimelineRow | None
) -> list[Text]:
    """Return the cells of a step's row; ``load`` and ``row`` are of the running step."""
    if step.run is not None:
        state, figures, verdict = _done(step.run)
    elif step.run_id and load is not None:
        state, figures, verdict = _running(load, row)
    else:
        state = Text.assemble(("○ ", "bright_black"), "planned")
        figures, verdict = ("",) * 4, Text("")
    return [
        Text(str(number), justify="right"),
        Text(str(step.clients), justify="right"),
        state,
        *(Text(figure, justify="right") for figure in figures),
        verdict,
    ]


def _done(run: Run) -> tuple[Text, tuple[str, ...], Text]:
    summary = run.summary
    ended = summary.successful_clients + summary.failed_clients
    figures = (
        format_figure(summary.latency.median, Unit.SECONDS),
        format_figure(summary.latency.p95, Unit.SECONDS),
        format_figure(summary.wer.wer if summary.wer else None, Unit.FRACTION),
        f"{summary.successful_clients}/{ended}",
    )
    if summary.slo is None:
        glyph, verdict = ("■ ", "yellow"), Text("not judged", "yellow")
    elif meets_slo(run):
        glyph, verdict = ("✓ ", "green"), Text("met", "green")
    else:
        glyph = ("✖ ", "red")
        verdict = Text(f"missed: {'; '.join(summary.slo.reasons)}", "red")
    word = "done" if run.status is RunStatus.COMPLETED else run.status.value
    return Text.assemble(glyph, word), figures, verdict


def _running(load: LoadView, row: TimelineRow | None) -> tuple[Text, tuple[str, ...], Text]:
    part = min(1.0, load.elapsed / load.expected) if load.expected else 0.0
    full = round(part * _BAR)
    state = Text.assemble(
        ("▶ ", "bold cyan"),
        ("━" * full, "cyan"),
        ("╌" * (_BAR - full), "bright_black"),
        f" {_progress(min(load.elapsed, load.expected), load.expected)}",
    )
    figures = (
        format_figure(row.latency_p50 if row else None, Unit.SECONDS),
        format_figure(row.latency_p95 if row else None, Unit.SECONDS),
        format_figure(load.wer, Unit.FRACTION),
        f"{load.finished - load.failed}/{load.finished}" if load.finished else "–",
    )
    return state, figures, Text("…")


def _progress(elapsed: float, expected: float) -> str:
    if expected < 1000:
        return f"{elapsed:.0f}/{expected:.0f} s"
    return f"{elapsed / 60:.0f}/{expected / 60:.0f} min"


def left_text(
    steps: Sequence[StepView], load: LoadView | None, left: float | None, *, search: bool
) -> str:
    """Say what remains of a series; "" once nothing does."""
    if load is None:
        return ""
    if load.stopping:
        return "it ends after this step"
    if search:
        return "what is found decides how many steps are to come"
    coming = sum(not step.run_id for step in steps)
    parts = [f"{coming} to come"] if coming else []
    if left is not None:
        parts.append(f"about {duration_text(max(1.0, round(left)))} left")
    return ", ".join(parts)


def running_text(load: LoadView | None, left: str) -> Text:
    """Say in a line what a running series does."""
    if load is None or not load.clients:
        return Text("▶ The load generator starts …", "bold")
    text = Text.assemble((f"▶ {step_text(load.step, load.steps).capitalize()}", "bold"))
    text.append(f": {load.sessions} talking, {load.finished - load.failed} done")
    if load.failed:
        text.append(f", ✖ {load.failed} failed", "red")
    return text.append(f"  ·  {left}") if left else text


def verdict_text(verdict: Verdict, *, runs: bool) -> Text:
    """Say what a series came to, and which keys go on from there."""
    glyph, colour = ("✓", "green") if verdict.passed else ("▲", "yellow")
    keys = "a: analysis   c: compare with the run before   " if runs else ""
    return Text.assemble(
        (f"{glyph} {verdict.sentence}", f"bold {colour}"), f"\n{keys}l: another load"
    )


def outlook_lines(found: Outlook, *, most: int) -> Text:
    """List the steps that are to come, with when each begins."""
    lines = Text.assemble(("  step  clients   begins   takes\n", "bold"))
    for number, step in enumerate(found.steps[:most], start=1):
        begins, takes = _clock(step.begins), _clock(step.seconds)
        lines.append(f"  {number:>4}  {step.clients:>7}  {begins:>7}  {takes:>6}\n")
    if len(found.steps) > most:
        lines.append(f"  … and {len(found.steps) - most} more\n", "bright_black")
    return lines


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def elsewhere_text(steps: Sequence[RunningStep], sessions: int) -> str:
    """Say what is known of load that this console did not start; "" where there is none."""
    if not steps:
        talk = "session talks" if sessions == 1 else "sessions talk"
        if not sessions:
            return ""
        return f"{sessions} {talk} to this stack, from another program; more is not known of them."
    lines = []
    for step in steps:
        label = f" '{step.label}'" if step.label else ""
        text = (
            f"Another console or command runs {step_text(step.step, step.steps)}{label}: "
            f"{clients_text(step.clients)} on {step.address}"
        )
        if (row := step.row) is not None:
            text += (
                f", second {row.time:.0f}, {row.sessions} talking, "
                f"p95 {format_figure(row.latency_p95, Unit.SECONDS)}"
            )
            text += f", {row.failures} failed" if row.failures else ""
        lines.append(f"{text}.")
    return "\n".join(lines)
