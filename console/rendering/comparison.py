"""A comparison for the terminal: two runs fit into 80 columns. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from loadtest.comparison.metrics import SMALLEST_CONNECTION, SMALLEST_TIME, SMALLEST_WORDS
from loadtest.comparison.model import (
    CONFIDENCE,
    RESAMPLES,
    Change,
    Comparison,
    ConfigurationRow,
    MetricRow,
    letter,
)
from loadtest.figures import Unit, format_difference, format_figure

CHANGE_STYLE: Final = {Change.BETTER: "green", Change.WORSE: "red", Change.NONE_SHOWN: "dim"}
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
    "Sessions per replica, max/mean: 1.00× is perfectly even. Slip: how late the generator sent."
)


def comparison_tables(comparison: Comparison) -> Group:
    """Show a comparison: what was configured differently first, then the figures."""
    letters = [letter(number) for number in range(len(comparison.titles))]
    lines: list[RenderableType] = [
        Text(f"{name}  {title}") for name, title in zip(letters, comparison.titles, strict=True)
    ]
    lines += [
        Text(),
        configuration_table(letters, comparison.configuration),
        Text(),
        *(Text(f"! {warning}", style="yellow") for warning in comparison.warnings),
    ]
    if comparison.warnings:
        lines.append(Text())
    judged = [row for row in comparison.metrics if row.estimates is not None]
    described = [row for row in comparison.metrics if row.estimates is None]
    lines += figure_lines(letters, judged)
    lines += [Text(), *figure_lines(letters, described, head="not judged"), Text()]
    lines += [Text(note, style="dim") for note in notes(comparison)]
    return Group(*lines)


def tables_width(shown: Group) -> int:
    """Return the columns that a comparison takes when no figure is cut short; sentences fold."""
    console = Console(width=2000)
    return max(
        Measurement.get(console, console.options, part).maximum
        for part in shown.renderables
        if not isinstance(part, Text) or part.no_wrap
    )


def configuration_table(letters: Sequence[str], rows: Sequence[ConfigurationRow]) -> RenderableType:
    """Show what was configured differently."""
    if not rows:
        return Text("Configured alike.")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("configured differently", no_wrap=True)
    for name in letters:
        # What is too long goes on in the next line: a value cut short would look like another's.
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(row.name, *(escape(value) for value in row.values))
    return table


def figure_lines(
    letters: Sequence[str], rows: Sequence[MetricRow], *, head: str = ""
) -> list[RenderableType]:
    """Show figures with their differences.

    Two runs stand side by side, more below each other: so the lines stay short.
    """
    pair = len(letters) == 2
    if pair:
        header = [head, *letters, f"{letters[1]} − {letters[0]}"]
    else:
        header = [head, "", "", f"minus {letters[0]}"]
    if any(row.estimates is not None for row in rows):
        header[-1] += f", {CONFIDENCE:.0%} interval".replace("%", " %")
    grid: list[tuple[str, list[str], Change]] = []
    for row in rows:
        cells = _pair_cells(row) if pair else _stacked_cells(letters, row)
        grid += [(row.group, line, verdict) for line, verdict in cells]
    widths = [
        max(len(line[column]) for line in (header, *(cells for _, cells, _ in grid)))
        for column in range(len(header))
    ]
    lines: list[RenderableType] = [
        Text(_padded(header, widths).rstrip(), style="bold", no_wrap=True, overflow="ignore")
    ]
    group = None
    for name, line, verdict in grid:
        if name != group and name in MEANINGS:
            lines.append(Text.assemble((name, "bold"), (f"  {MEANINGS[name]}", "dim")))
        group = name
        # Never broken: a figure in two lines is two wrong figures.
        text = Text(_padded(line, widths), no_wrap=True, overflow="ignore")
        if verdict is not Change.UNKNOWN or _judged(rows, name):
            text.append("  ")
            text.append(verdict.value if line[-1] else "", style=CHANGE_STYLE.get(verdict, ""))
        text.rstrip()
        lines.append(text)
    return lines


def _judged(rows: Iterable[MetricRow], group: str) -> bool:
    return any(row.group == group and row.estimates is not None for row in rows)


def row_name(row: MetricRow) -> str:
    """Name a row below the line that says what its group means."""
    if row.group in MEANINGS:
        return f"  {row.part}"
    return row.name


def _pair_cells(row: MetricRow) -> list[tuple[list[str], Change]]:
    values = [format_figure(value, row.unit) for value in row.values]
    return [([row_name(row), *values, difference_text(row, 1)], row.verdicts[1])]


def _stacked_cells(letters: Sequence[str], row: MetricRow) -> list[tuple[list[str], Change]]:
    lines = []
    for number, name in enumerate(letters):
        title = row_name(row) if number == 0 else ""
        difference = difference_text(row, number) if number else ""
        value = format_figure(row.values[number], row.unit)
        lines.append(([title, name, value, difference], row.verdicts[number]))
    return lines


def difference_text(row: MetricRow, number: int) -> str:
    """Write a run's difference from the first, with its interval."""
    return format_difference(row.differences[number], row.intervals[number], row.unit)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *middle, last = (
        cell.rjust(width) if 0 < number < len(cells) - 1 else cell.ljust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *middle, last])


def notes(comparison: Comparison) -> list[str]:
    """Say how the intervals were found, what they leave out, and where there are none."""
    found = list(comparison.reasons)
    if any(interval for row in comparison.metrics for interval in row.intervals):
        paired = sum(method.paired for method in comparison.methods)
        drawn = f"Intervals: {CONFIDENCE:.0%}".replace("%", " %")
        drawn += f", {RESAMPLES} drawings of whole sessions (cluster bootstrap)"
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
