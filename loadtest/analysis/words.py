"""An analysis in words and figures, the same on the terminal and in reports. Pure."""

from collections.abc import Sequence
from typing import Final

from loadtest.analysis.model import Analysis, StepFigures
from loadtest.figures import Unit, format_figure

STEP_HEADER: Final = (
    *("clients", "ok", "median", "p95", "p99", "word p95", "WER"),
    *("even", "CPU", "GPU", "SLO"),
)
STEP_LEGEND: Final = (
    "Latency in seconds, of the newest audio in each update; word p95: of each word. "
    "even: the busiest replica's sessions over the mean, 1.00 is even. CPU: of all the machine's "
    "cores."
)


def bottleneck_sentence(analysis: Analysis) -> str:
    """Name what broke first, with its figures."""
    found = analysis.bottleneck
    if found is None:
        return "Nothing broke: no step missed the SLO."
    return f"{found.bottleneck.value}. {found.sentence}"


def failures_sentence(analysis: Analysis) -> str:
    """Count failed sessions by their reasons."""
    if not analysis.failures:
        return "none"
    return ", ".join(
        f"{count} {reason}"
        for reason, count in sorted(analysis.failures.items(), key=lambda item: -item[1])
    )


def step_cells(step: StepFigures) -> list[str]:
    """Write a step's figures, one below each of ``STEP_HEADER``."""

    def seconds(value: float | None) -> str:
        return format_figure(value, Unit.SECONDS).removesuffix(" s")

    def share(value: float | None) -> str:
        return "–" if value is None else f"{value * 100:.0f} %"

    return [
        str(step.clients),
        f"{step.sessions - step.failed}/{step.sessions}",
        seconds(step.median),
        seconds(step.p95),
        seconds(step.p99),
        seconds(step.word_p95),
        "–" if step.wer is None else f"{step.wer * 100:.1f} %",
        "–" if step.max_over_mean is None else f"{step.max_over_mean:.2f}",
        share(step.machine_cpu),
        share(step.gpu_utilisation),
        verdict_word(step),
    ]


def verdict_word(step: StepFigures) -> str:
    """Say whether a step met its SLO, or how it ended if it was not judged."""
    return {True: "met", False: "missed", None: step.status}[step.met]


def known_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return which columns of steps say anything: those that nobody knows anything of don't."""
    return [
        column
        for column in range(len(STEP_HEADER))
        if column < 2 or any(cells[column] != "–" for cells in rows)
    ]
