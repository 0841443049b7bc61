"""Series side by side: their capacities, and their runs matched by client count. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.comparison.configuration import configuration_rows
from loadtest.comparison.model import Comparison, ConfigurationRow, letter
from loadtest.comparison.runs import compare
from loadtest.runfile import Run, RunStatus
from loadtest.series import SeriesCapacity, series_capacity
from loadtest.verdict import clients_text, counts_text


@dataclass(frozen=True, slots=True)
class SeriesComparison:
    """What ``compare_series`` returns."""

    titles: list[str]
    """One a series: its id."""
    configuration: list[ConfigurationRow]
    capacities: list[SeriesCapacity]
    matched: dict[int, Comparison]
    """By client count, the runs of all series with this count."""
    unmatched: dict[int, list[str]]
    """Client counts that not all series have, with the letters of those that do."""
    warnings: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as plain data."""
        return {
            "series": self.titles,
            "configuration": {row.name: row.values for row in self.configuration},
            "capacities": [
                {
                    "clients": capacity.clients,
                    "missed": capacity.missed,
                    "met_above": list(capacity.met_above),
                }
                for capacity in self.capacities
            ],
            "matched": {
                str(count): comparison.as_json() for count, comparison in self.matched.items()
            },
            "unmatched": {str(count): names for count, names in self.unmatched.items()},
            "warnings": self.warnings,
        }


def compare_series(series: Sequence[Sequence[Run]]) -> SeriesComparison:
    """Hold series, each with its runs in order, against the first of them.

    Raises ValueError for fewer than two, or one without runs. It computes: seconds for large runs.
    """
    if len(series) < 2 or not all(series):
        raise ValueError("a comparison needs at least two series with runs")
    by_count = [_by_count(runs) for runs in series]
    counts = sorted({count for runs in by_count for count in runs})
    matched: dict[int, Comparison] = {}
    unmatched: dict[int, list[str]] = {}
    for count in counts:
        if all(count in runs for runs in by_count):
            matched[count] = compare([runs[count][-1] for runs in by_count])
        else:
            unmatched[count] = [
                letter(number) for number, runs in enumerate(by_count) if count in runs
            ]
    return SeriesComparison(
        titles=[runs[0].series_id for runs in series],
        configuration=_configuration(series, by_count, matched),
        capacities=[series_capacity(runs) for runs in series],
        matched=matched,
        unmatched=unmatched,
        warnings=_warnings(series, by_count, matched),
    )


def _by_count(runs: Sequence[Run]) -> dict[int, list[Run]]:
    """Sort runs by their client counts; whole runs last, because the last is the one compared."""
    found: dict[int, list[Run]] = {}
    for run in runs:
        found.setdefault(run.test_configuration.num_clients, []).append(run)
    for same in found.values():
        same.sort(key=lambda run: run.status is RunStatus.COMPLETED)
    return found


def _configuration(
    series: Sequence[Sequence[Run]],
    by_count: Sequence[dict[int, list[Run]]],
    matched: dict[int, Comparison],
) -> list[ConfigurationRow]:
    if matched:
        return next(iter(matched.values())).configuration
    rows = configuration_rows([runs[0] for runs in series])
    steps = ["; ".join(str(count) for count in runs) for runs in by_count]
    return [ConfigurationRow("clients", steps) if row.name == "clients" else row for row in rows]


def _warnings(
    series: Sequence[Sequence[Run]],
    by_count: Sequence[dict[int, list[Run]]],
    matched: dict[int, Comparison],
) -> list[str]:
    found = []
    if not matched:
        found.append("The series have no client count in common: no runs are compared.")
    if len({run.test_configuration.slo for runs in series for run in runs}) > 1:
        found.append("The runs have different SLOs: the capacities are not comparable.")
    for number, runs in enumerate(by_count):
        for count, same in runs.items():
            if len(same) > 1 and count in matched:
                found.append(
                    f"{letter(number)} has {len(same)} runs with {clients_text(count)}: "
                    f"{same[-1].run_id} is compared, the last whole one."
                )
    said: dict[str, list[int]] = {}
    for count, comparison in matched.items():
        for warning in comparison.warnings:
            said.setdefault(warning, []).append(count)
    for warning, counts in said.items():
        where = "" if len(counts) == len(matched) else f"With {counts_text(counts)}: "
        found.append(where + warning)
    return found
