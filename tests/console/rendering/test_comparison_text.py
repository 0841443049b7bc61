"""Comparisons as text: what is said, and that nothing in a label can be taken for markup."""

import io
import re

import pytest
from rich.console import Console
from support.runs import varied_run

from console.rendering.comparison import comparison_tables
from console.rendering.markdown import comparison_markdown, series_markdown
from console.rendering.series import series_tables
from loadtest.comparison.runs import compare
from loadtest.comparison.series import compare_series
from loadtest.runfile import Run


def runs(*factors: float) -> list[Run]:
    return [
        varied_run(f"run_{number}", factor, label=f"a|b *{number}* <i>")
        for number, factor in enumerate(factors)
    ]


def shown(renderable: object, width: int = 80) -> list[str]:
    written = io.StringIO()
    Console(width=width, file=written).print(renderable)
    return written.getvalue().splitlines()


def test_each_figure_is_one_line_with_its_verdict_in_words() -> None:
    lines = shown(comparison_tables(compare(runs(1.0, 2.0))))
    start = lines.index("latency  newest audio of each update, from spoken to shown")
    assert re.fullmatch(
        r"  median +0\.\d{3} s  0\.\d{3} s  \+0\.\d{3} s \[\+0\.\d{3}, \+0\.\d{3}\]  worse",
        lines[start + 1].rstrip(),
    )
    assert any(line.startswith("load max/mean") for line in lines)
    assert "Load max/mean: sessions of the busiest replica over the mean" in " ".join(
        line.strip() for line in lines
    )
    assert all(len(line) <= 80 for line in lines)


def test_three_runs_stand_below_each_other_within_80_columns() -> None:
    lines = shown(comparison_tables(compare(runs(1.0, 2.0, 0.5))))
    assert all(len(line) <= 80 for line in lines)
    median = next(number for number, line in enumerate(lines) if line.startswith("  median"))
    assert lines[median].split()[:2] == ["median", "A"]
    assert lines[median + 1].split()[0] == "B"
    assert lines[median + 1].rstrip().endswith("worse")
    assert lines[median + 2].rstrip().endswith("better")


def test_three_runs_stand_side_by_side_where_they_fit() -> None:
    few = [varied_run(f"run_{number}", number, sessions=2) for number in (1.0, 2.0, 3.0)]
    for given, width in ((few, 80), (runs(1.0, 2.0, 0.5), 140)):
        lines = shown(comparison_tables(compare(given), width=width), width)
        assert max(len(line) for line in lines) <= width
        assert any(re.search(r"^ +A +B +B − A.* C +C − A", line) for line in lines)


def test_no_interval_is_explained() -> None:
    text = " ".join(shown(comparison_tables(compare([varied_run("a", sessions=2)] * 2)), 200))
    assert "No interval for success rate, WER, latency median and" in text
    assert "from 2 and 2 sessions; it takes 5 each" in text
    assert "drawings of whole sessions" not in text


def table(text: str, first: str) -> list[list[str]]:
    """Return the rows of the table whose first heading this is; a pipe in a cell is escaped."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} "))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


@pytest.mark.parametrize("factors", [(1.0, 2.0), (1.0, 2.0, 0.5)])
def test_markdown_tables_are_whole_and_labels_cannot_break_them(
    factors: tuple[float, ...],
) -> None:
    text = comparison_markdown(compare(runs(*factors)))
    for first in ("configured differently", "figure", "not judged"):
        rows = table(text, first)
        assert len({len(row) for row in rows}) == 1
        assert len(rows) > 2
    assert table(text, "configured differently")[2][1] == r"a\|b \*0\* \<i\>"
    figures = {row[0]: row for row in table(text, "figure")}
    assert figures["latency median"][4] == "worse"
    assert re.match(r"\+0\.\d+ s \\\[\+0\.\d+, \+0\.\d+\\\]", figures["latency median"][3])


def test_series_are_shown_count_by_count() -> None:
    both = []
    for name, counts in (("one", (5, 10)), ("two", (10, 20))):
        both.append([varied_run(f"{name}_{count}", sessions=count) for count in counts])
        for run in both[-1]:
            run.series_id = name
    comparison = compare_series(both)
    lines = shown(series_tables(comparison))
    assert all(len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    assert "Capacity A: 10 clients or more" in text
    assert re.search(r"^10 clients +A +B  B − A, 95 % interval$", text, re.MULTILINE)
    assert "5 clients: only in A." in text
    assert "20 clients: only in B." in text
    markdown = series_markdown(comparison)
    assert "### 10 clients" in markdown
    assert {"latency p95", "WER"} <= {row[0] for row in table(markdown, "figure")}
