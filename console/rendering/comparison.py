"""A comparison for the terminal: two runs fit into 80 columns. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from loadtest.comparison.model import (
    CONFIDENCE,
    Change,
    Comparison,
    ConfigurationRow,
    MetricRow,
    letter,
)
from loadtest.comparison.words import MEANINGS, difference_text, notes
from loadtest.figures import format_figure

CHANGE_STYLE: Final = {Change.BETTER: "green", Change.WORSE: "red", Change.NONE_SHOWN: "dim"}
NARROW: Final = 80
"""Columns that every terminal has."""


def comparison_tables(comparison: Comparison, *, width: int = NARROW) -> Group:
    """Show a comparison: what was configured differently first, then the figures.

    ``width``: columns there are, for comparisons of three and more.
    """
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
    lines += figure_lines(letters, judged, width=width)
    lines += [Text(), *figure_lines(letters, described, head="not judged", width=width), Text()]
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
    letters: Sequence[str], rows: Sequence[MetricRow], *, head: str = "", width: int = NARROW
) -> list[RenderableType]:
    """Show figures with their differences.

    Two runs stand side by side, and more where that fits into ``width`` columns; else they stand
    below each other, so that no line is too long.
    """
    grid = _side_by_side(letters, rows, head)
    if len(letters) > 2 and grid.width > width:
        grid = _stacked(letters, rows, head)
    lines: list[RenderableType] = [grid.header()]
    group = None
    for row, line in grid.lines:
        if row.group != group and row.group in MEANINGS:
            lines.append(Text.assemble((row.group, "bold"), (f"  {MEANINGS[row.group]}", "dim")))
        group = row.group
        lines.append(grid.text(line))
    return lines


@dataclass(frozen=True, slots=True)
class _Cell:
    """A piece of a line."""

    text: str
    left: bool = False
    style: str = ""


class _Grid:
    """Lines whose cells stand below each other."""

    def __init__(self, header: list[_Cell], lines: list[tuple[MetricRow, list[_Cell]]]) -> None:
        self._header = header
        self.lines = lines
        every = [header, *(cells for _, cells in lines)]
        widths = [max(len(cells[n].text) for cells in every) for n in range(len(header))]
        self._columns = [(n, width) for n, width in enumerate(widths) if width]

    @property
    def width(self) -> int:
        """Columns it takes."""
        return sum(width for _, width in self._columns) + 2 * (len(self._columns) - 1)

    def header(self) -> Text:
        """Return the line above all."""
        text = self.text(self._header)
        text.stylize("bold")
        return text

    def text(self, cells: Sequence[_Cell]) -> Text:
        """Return a line, never to be broken: a figure in two lines is two wrong figures."""
        text = Text(no_wrap=True, overflow="ignore")
        for number, width in self._columns:
            cell, gap = cells[number], "  " if number else ""
            padded = cell.text.ljust(width) if cell.left else cell.text.rjust(width)
            text.append(gap).append(padded, style=cell.style)
        text.rstrip()
        return text


def _side_by_side(letters: Sequence[str], rows: Sequence[MetricRow], head: str) -> _Grid:
    interval = _interval_heading(rows)
    header = [_Cell(head, left=True), _Cell(letters[0])]
    for name in letters[1:]:
        header += [_Cell(name), _Cell(f"{name} − {letters[0]}{interval}", left=True), _Cell("")]
    lines = []
    for row in rows:
        cells = [_Cell(row_name(row), left=True), _Cell(format_figure(row.values[0], row.unit))]
        for number in range(1, len(letters)):
            cells += [_Cell(format_figure(row.values[number], row.unit))]
            cells += _difference_cells(row, number)
        lines.append((row, cells))
    return _Grid(header, lines)


def _stacked(letters: Sequence[str], rows: Sequence[MetricRow], head: str) -> _Grid:
    header = [_Cell(head, left=True), _Cell(""), _Cell("")]
    header += [_Cell(f"minus {letters[0]}{_interval_heading(rows)}", left=True), _Cell("")]
    lines = []
    for row in rows:
        for number, name in enumerate(letters):
            cells = [_Cell("" if number else row_name(row), left=True), _Cell(name)]
            cells.append(_Cell(format_figure(row.values[number], row.unit)))
            cells += _difference_cells(row, number) if number else [_Cell(""), _Cell("")]
            lines.append((row, cells))
    return _Grid(header, lines)


def _interval_heading(rows: Sequence[MetricRow]) -> str:
    known = any(interval for row in rows for interval in row.intervals)
    return f", {CONFIDENCE * 100:.0f} % interval" if known else ""


def _difference_cells(row: MetricRow, number: int) -> list[_Cell]:
    verdict = row.verdicts[number]
    word = verdict.value if row.estimates is not None else ""
    return [
        _Cell(difference_text(row, number), left=True),
        # The word beside the colour: colour alone tells some people nothing.
        _Cell(word, left=True, style=CHANGE_STYLE.get(verdict, "")),
    ]


def row_name(row: MetricRow) -> str:
    """Name a row below the line that says what its group means."""
    if row.group in MEANINGS:
        return f"  {row.part}"
    return row.name
