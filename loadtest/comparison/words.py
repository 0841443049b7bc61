"""A comparison in words, the same on the terminal, in Markdown and in reports. Pure."""

from typing import Final

from loadtest.comparison.metrics import SMALLEST_CONNECTION, SMALLEST_TIME, SMALLEST_WORDS
from loadtest.comparison.model import CONFIDENCE, RESAMPLES, Comparison, MetricRow, letter
from loadtest.comparison.series import SeriesComparison
from loadtest.figures import Unit, format_difference, format_figure
from loadtest.verdict import clients_text

MEANINGS: Final = {
    "latency": "newest audio of each update, from spoken to shown",
    "final latency": "the same, to when the text was certain",
    "word latency": "each word that came out right, from spoken to shown",
    "word final latency": "the same, to when the word was certain",
    "first result": "median, from the first audio to the first text",
    "finish": "median, from the last audio to the last text",
    "connection": "median, from TCP connect to SERVER_READY",
}
"""A few words on the figures whose names don't say it all."""
DESCRIBED_MEANINGS: Final = (
    "Load max/mean: sessions of the busiest replica over the mean, 1.00× is even. Slip: how late "
    "the generator sent. CPU, memory and GPU: of all replicas together."
)
_MAIN: Final = ("success rate", "WER", "latency", "final latency", "word latency")


def difference_text(row: MetricRow, number: int) -> str:
    """Write a run's difference from the first, with its interval."""
    return format_difference(row.differences[number], row.intervals[number], row.unit)


def notes(comparison: Comparison) -> list[str]:
    """Say how the intervals were found, what they leave out, and where there are none."""
    found = list(comparison.reasons)
    if any(interval for row in comparison.metrics for interval in row.intervals):
        paired = sum(method.paired for method in comparison.methods)
        drawn = f"Intervals: {CONFIDENCE * 100:.0f} %, {RESAMPLES} drawings of whole sessions "
        drawn += "(cluster bootstrap)"
        if paired:
            drawn += ", the same clients in both"
            if paired < len(comparison.methods):
                drawn += " where they sent the same audio"
        found.append(
            f"{drawn}; success rate: Newcombe's. They say how other sessions of these runs would "
            "have come out, not other runs: equal runs on a busy machine may be called different, "
            "so repeat them before you believe in a small difference."
        )
        found.append(
            f"No difference that matters: under {SMALLEST_TIME:g} s (connection "
            f"{SMALLEST_CONNECTION:g} s) and {format_figure(SMALLEST_WORDS, Unit.FRACTION)} WER. "
            "Rates differ by percentage points."
        )
    found.append(DESCRIBED_MEANINGS)
    return found


def capacity_lines(comparison: SeriesComparison) -> list[str]:
    """Say the capacity of each series."""
    return [
        f"Capacity {letter(number)}: {capacity.sentence}."
        for number, capacity in enumerate(comparison.capacities)
    ]


def unmatched_lines(comparison: SeriesComparison) -> list[str]:
    """Say which client counts are not in all series."""
    return [
        f"{clients_text(count)}: only in {', '.join(names)}."
        for count, names in comparison.unmatched.items()
    ]


def main_rows(comparison: Comparison) -> list[MetricRow]:
    """Return the figures shown of each client count."""
    return [row for row in comparison.metrics if row.estimates is not None and row.group in _MAIN]


def series_notes(comparison: SeriesComparison) -> list[str]:
    """Return what is to be said of the intervals, each sentence once."""
    found: dict[str, None] = {}
    for count, runs in comparison.matched.items():
        for reason in runs.reasons:
            found[f"{clients_text(count)}: {reason}"] = None
    for runs in comparison.matched.values():
        for note in notes(runs):
            if note not in runs.reasons and note != DESCRIBED_MEANINGS:
                found[note] = None
    return list(found)
