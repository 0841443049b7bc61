"""A comparison of series for the terminal. Pure."""

from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from console.rendering.comparison import (
    DESCRIBED_MEANINGS,
    NARROW,
    configuration_table,
    figure_lines,
    notes,
)
from loadtest.comparison.model import Comparison, MetricRow, letter
from loadtest.comparison.series import SeriesComparison
from loadtest.verdict import clients_text

_MAIN: Final = ("success rate", "WER", "latency", "final latency", "word latency")


def series_tables(comparison: SeriesComparison, *, width: int = NARROW) -> Group:
    """Show series: what was configured differently, the capacities, then count by count."""
    letters = [letter(number) for number in range(len(comparison.titles))]
    lines: list[RenderableType] = [
        Text(f"{name}  {title}") for name, title in zip(letters, comparison.titles, strict=True)
    ]
    lines += [Text(), configuration_table(letters, comparison.configuration), Text()]
    lines += [Text(f"! {warning}", style="yellow") for warning in comparison.warnings]
    if comparison.warnings:
        lines.append(Text())
    lines += [Text(line, style="bold") for line in capacity_lines(comparison)]
    for count, runs in comparison.matched.items():
        lines += [
            Text(),
            *figure_lines(letters, main_rows(runs), head=clients_text(count), width=width),
        ]
    if comparison.unmatched:
        lines += [Text(), *(Text(line) for line in unmatched_lines(comparison))]
    lines.append(Text())
    lines += [Text(note, style="dim") for note in series_notes(comparison)]
    return Group(*lines)


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
