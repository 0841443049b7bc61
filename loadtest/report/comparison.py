"""A comparison of runs or series as one HTML page. Pure.

Like the page on a series it loads nothing, runs no script, and leaves out what was said.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from loadtest.comparison.model import CONFIDENCE, Comparison, ConfigurationRow, MetricRow
from loadtest.comparison.series import SeriesComparison
from loadtest.comparison.sides import PERCENTILES, Course, Sides
from loadtest.comparison.words import (
    MEANINGS,
    capacity_lines,
    difference_text,
    main_rows,
    notes,
    series_notes,
    unmatched_lines,
)
from loadtest.figures import Unit, format_figure
from loadtest.report.document import document, figures
from loadtest.report.markup import Markup, tag
from loadtest.report.over_time import course
from loadtest.report.scale import Point, count_axis, time_axis
from loadtest.report.subject import by_name
from loadtest.report.svg import Bar, Bars, Line, Mark, Plot
from loadtest.report.tables import shorter, table
from loadtest.report.words import at_clients, at_second, described
from loadtest.verdict import clients_text

_WIDTH: Final = 350.0


def comparison_page(sides: Sides, comparison: Comparison | SeriesComparison) -> str:
    """Return the comparison as an HTML document."""
    identities = (f"plot-{number}" for number in count(1))
    what = "series" if sides.series else "runs"
    body = tag(
        "main",
        tag("p", f"Comparison of {len(sides.groups)} {what} of WhisperLive", class_="above"),
        tag("h1", f"{', '.join(sides.letters[1:])} against {sides.letters[0]}"),
        tag(
            "dl",
            *(
                part
                for name, title, label in zip(sides.letters, sides.names, sides.labels, strict=True)
                for part in (tag("dt", name), tag("dd", f"{title}  {shorter(label)}".rstrip()))
            ),
            class_="facts",
        ),
        *_warnings(comparison.warnings),
        tag("h2", "Configured differently"),
        _configuration(sides.letters, comparison.configuration),
        *_judged(sides, comparison),
        tag("h2", "Latency over time"),
        *([tag("p", f"Of {sides.which}.", class_="dim")] if sides.which else []),
        figures(_over_time(sides), identities),
        *_by_clients(sides, identities),
        tag("h2", "Sessions per replica"),
        figures(_distribution(sides), identities),
        tag("h2", "How to read it"),
        tag("ul", *(tag("li", note) for note in _notes(comparison))),
        tag(
            "footer",
            tag("p", "Made by whisperctl. References and transcripts are left out."),
        ),
    )
    return document(f"{' and '.join(sides.names[:2])} compared", body)


def _warnings(warnings: Sequence[str]) -> Iterator[Markup]:
    if warnings:
        shown = [tag("li", f"⚠ {warning}") for warning in warnings]
        yield tag("ul", *shown, class_="warnings", aria_label="Warnings")


def _configuration(letters: Sequence[str], rows: Sequence[ConfigurationRow]) -> Markup:
    if not rows:
        return tag("p", "Configured alike.")
    return table(
        ["", *letters],
        [[row.name, *(shorter(value) for value in row.values)] for row in rows],
        caption="What is not the same.",
        words=range(len(letters) + 1),
    )


def _judged(sides: Sides, comparison: Comparison | SeriesComparison) -> Iterator[Markup]:
    if isinstance(comparison, Comparison):
        yield tag("h2", "Figures")
        judged = [row for row in comparison.metrics if row.estimates is not None]
        yield _figures(sides.letters, judged, "Figures that are judged.")
        described_only = [row for row in comparison.metrics if row.estimates is None]
        yield _figures(sides.letters, described_only, "Figures that are not judged.")
        return
    yield tag("h2", "Capacity")
    lines = [*capacity_lines(comparison), *unmatched_lines(comparison)]
    yield tag("ul", *(tag("li", line) for line in lines))
    for clients, runs in comparison.matched.items():
        yield tag("h2", clients_text(clients))
        yield _figures(sides.letters, main_rows(runs), f"Figures with {clients_text(clients)}.")


def _figures(letters: Sequence[str], rows: Sequence[MetricRow], caption: str) -> Markup:
    header = ["figure", letters[0]]
    for name in letters[1:]:
        header += [name, f"{name} − {letters[0]} [{CONFIDENCE * 100:.0f} %]", ""]
    lines = []
    for row in rows:
        cells = [row.name, format_figure(row.values[0], row.unit)]
        for number in range(1, len(letters)):
            cells += [
                format_figure(row.values[number], row.unit),
                difference_text(row, number),
                row.verdicts[number].value if row.estimates is not None else "",
            ]
        lines.append(cells)
    words = [0, *range(4, 1 + 3 * len(letters), 3)]
    return table(header, lines, caption=caption, words=words)


def _limit(sides: Sides) -> Mark | None:
    return None if sides.limit is None else Mark(sides.limit, f"SLO {sides.limit:g} s", limit=True)


def _over_time(sides: Sides) -> list[Plot]:
    plots = []
    for percentile in PERCENTILES:
        attribute = f"latency_{percentile}"
        lines = [
            Line(
                name,
                course(run, lambda row, attribute=attribute: getattr(row, attribute)),  # type: ignore[misc]
                style=number,
            )
            for number, (name, run) in enumerate(sides.matched)
        ]
        lines = [line for line in lines if any(value is not None for _, value in line.points)]
        if not lines:
            continue
        plots.append(
            Plot(
                title=f"Latency {percentile} over the run",
                description=described(
                    [(line.name, line.points) for line in lines], Unit.SECONDS, at_second
                ),
                across=time_axis(max(time for line in lines for time, _ in line.points)),
                unit=Unit.SECONDS,
                lines=lines,
                limit=_limit(sides) if percentile == "p95" else None,
                note="Of the updates of the last 5 seconds.",
            )
        )
    return plots


def _by_clients(sides: Sides, identities: Iterator[str]) -> Iterator[Markup]:
    if not sides.series:
        return
    yield tag("h2", "Latency by clients")
    plots = []
    for figure in ("p95", "median"):
        lines = [
            Line(name, _points(found), style=number, markers=True)
            for number, (name, found) in enumerate(sides.over_clients(figure))
            if found[0]
        ]
        if lines:
            plots.append(
                Plot(
                    title=f"Latency {figure} by clients",
                    description=described(
                        [(line.name, line.points) for line in lines], Unit.SECONDS, at_clients
                    ),
                    across=count_axis(sides.all_counts, _WIDTH),
                    unit=Unit.SECONDS,
                    lines=lines,
                    limit=_limit(sides) if figure == "p95" else None,
                    under="clients",
                )
            )
    yield figures(plots, identities)


def _points(found: Course) -> list[Point]:
    return list(zip(*found, strict=True))


def _distribution(sides: Sides) -> list[Bars]:
    plots = []
    for name, run in sides.matched:
        spread = run.summary.load_distribution
        bars = [
            Bar(replica, float(spread.sessions[replica]), str(spread.sessions[replica]))
            for replica in by_name(spread.sessions)
        ]
        even = format_figure(spread.max_over_mean, Unit.RATIO)
        plots.append(
            Bars(
                title=f"{name}: sessions per replica",
                description=", ".join(f"{bar.name}: {bar.text}" for bar in bars) or "Not known.",
                unit=Unit.COUNT,
                bars=bars,
                note=f"{run.run_id}; the busiest has {even} the mean.",
            )
        )
    return [plot for plot in plots if plot.bars]


def _notes(comparison: Comparison | SeriesComparison) -> list[str]:
    if isinstance(comparison, Comparison):
        groups = dict.fromkeys(row.group for row in comparison.metrics)
        meanings = [f"{group}: {MEANINGS[group]}" for group in groups if group in MEANINGS]
        return [*meanings, *notes(comparison)]
    return series_notes(comparison)
