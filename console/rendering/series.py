"""A comparison of series for the terminal. Pure."""

from rich.console import Group, RenderableType
from rich.text import Text

from console.rendering.comparison import NARROW, configuration_table, figure_lines
from loadtest.comparison.model import letter
from loadtest.comparison.series import SeriesComparison
from loadtest.comparison.words import capacity_lines, main_rows, series_notes, unmatched_lines
from loadtest.verdict import clients_text


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
