"""Comparisons as GitHub Markdown. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from loadtest.comparison.model import (
    CONFIDENCE,
    Comparison,
    ConfigurationRow,
    MetricRow,
    letter,
)
from loadtest.comparison.series import SeriesComparison
from loadtest.comparison.sides import Sides
from loadtest.comparison.words import (
    MEANINGS,
    capacity_lines,
    difference_text,
    main_rows,
    notes,
    series_notes,
    unmatched_lines,
)
from loadtest.figures import format_figure
from loadtest.verdict import clients_text

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~!@])")


def comparison_markdown(comparison: Comparison) -> str:
    """Write a comparison of runs."""
    letters = [letter(number) for number in range(len(comparison.titles))]
    judged = [row for row in comparison.metrics if row.estimates is not None]
    described = [row for row in comparison.metrics if row.estimates is None]
    parts = [
        _titles(letters, comparison.titles),
        _configuration(letters, comparison.configuration),
        bullets(comparison.warnings),
        _figures(letters, judged, judged=True),
        _figures(letters, described, judged=False),
        bullets([*_meanings(judged), *notes(comparison)]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def series_markdown(comparison: SeriesComparison) -> str:
    """Write a comparison of series."""
    letters = [letter(number) for number in range(len(comparison.titles))]
    parts = [
        _titles(letters, comparison.titles),
        _configuration(letters, comparison.configuration),
        bullets(comparison.warnings),
        bullets([*capacity_lines(comparison), *unmatched_lines(comparison)]),
    ]
    rows: list[MetricRow] = []
    for count, runs in comparison.matched.items():
        rows = main_rows(runs)
        parts += [f"### {clients_text(count)}", _figures(letters, rows, judged=True)]
    parts.append(bullets([*_meanings(rows), *series_notes(comparison)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def distribution_markdown(sides: Sides) -> str:
    """Write how many sessions each replica served."""
    rows = [
        [name, replica, str(sessions)]
        for name, run in sides.matched
        for replica, sessions in run.summary.load_distribution.sessions.items()
    ]
    if not rows:
        return ""
    which = f" ({sides.which})" if sides.which else ""
    table = markdown_table(["", "replica", "sessions"], rows)
    return f"\n### Sessions per replica{which}\n\n{table}\n"


def _titles(letters: Sequence[str], titles: Sequence[str]) -> str:
    return "\n".join(
        f"- **{name}** {escaped(title)}" for name, title in zip(letters, titles, strict=True)
    )


def _configuration(letters: Sequence[str], rows: Sequence[ConfigurationRow]) -> str:
    if not rows:
        return "Configured alike."
    lines = [_line(["configured differently", *letters]), _line(["---"] * (len(letters) + 1))]
    lines += [_line([escaped(row.name), *(escaped(value) for value in row.values)]) for row in rows]
    return "\n".join(lines)


def _figures(letters: Sequence[str], rows: Sequence[MetricRow], *, judged: bool) -> str:
    header = ["figure" if judged else "not judged", letters[0]]
    rule = ["---", "---:"]
    for name in letters[1:]:
        difference = f"{name} − {letters[0]}"
        header += [name, difference + (f" [{CONFIDENCE * 100:.0f} %]" if judged else "")]
        rule += ["---:", "---:"]
        if judged:
            header.append("")
            rule.append("---")
    lines = [_line(header), _line(rule)]
    for row in rows:
        cells = [row.name, format_figure(row.values[0], row.unit)]
        for number in range(1, len(letters)):
            cells += [
                format_figure(row.values[number], row.unit),
                difference_text(row, number),
            ]
            if judged:
                cells.append(row.verdicts[number].value)
        lines.append(_line([escaped(cell) for cell in cells]))
    return "\n".join(lines)


def _meanings(rows: Sequence[MetricRow]) -> list[str]:
    groups = dict.fromkeys(row.group for row in rows)
    return [f"{group}: {MEANINGS[group]}" for group in groups if group in MEANINGS]


def bullets(lines: Sequence[str]) -> str:
    """Write sentences below each other."""
    return "\n".join(f"- {escaped(line)}" for line in lines)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write figures below their names."""
    lines = [_line(header), _line(["---:"] * len(header))]
    lines += [_line([escaped(cell) for cell in row]) for row in rows]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Make text mean itself, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
