"""What a comparison draws: latency over time and over client counts of each side. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from loadtest.comparison.model import letter
from loadtest.runfile import Run, RunStatus
from loadtest.verdict import clients_text

Course = tuple[list[float], list[float]]
"""Places and values."""
PERCENTILES: Final = ("p50", "p95", "p99")


def latency_course(run: Run, percentile: str) -> Course:
    """Return a percentile of a run's latency second by second; ``p50``, ``p95`` or ``p99``."""
    found = [(row.time, getattr(row, f"latency_{percentile}")) for row in run.timeline]
    known = [(time, value) for time, value in found if value is not None]
    return [time for time, _ in known], [value for _, value in known]


@dataclass(frozen=True)
class Sides:
    """What is held against each other: runs, or series of runs; the first is the measure."""

    groups: Sequence[Sequence[Run]]
    """Of runs one each; of series all of theirs."""
    series: bool = False

    @property
    def letters(self) -> list[str]:
        """Return the names of the sides."""
        return [letter(number) for number in range(len(self.groups))]

    @property
    def names(self) -> list[str]:
        """Return the ids of the runs or the series."""
        return [runs[0].series_id if self.series else runs[0].run_id for runs in self.groups]

    @property
    def labels(self) -> list[str]:
        """Return the labels of the sides; of a series all that its runs have."""
        return [
            ", ".join(dict.fromkeys(run.label for run in runs if run.label)) for runs in self.groups
        ]

    @cached_property
    def counts(self) -> list[int]:
        """Client counts that all sides have."""
        found = [{run.test_configuration.num_clients for run in runs} for runs in self.groups]
        return sorted(set.intersection(*found))

    @property
    def matched(self) -> list[tuple[str, Run]]:
        """One run a side, with the side's name: of series those of the most clients all have."""
        if not self.series:
            return [(name, runs[0]) for name, runs in zip(self.letters, self.groups, strict=True)]
        most = self.counts[-1] if self.counts else None
        return [
            (name, run)
            for name, runs in zip(self.letters, self.groups, strict=True)
            for run in _whole_last(runs, most)[-1:]
        ]

    @property
    def which(self) -> str:
        """Say of series which of their runs stand for them; empty for runs."""
        if not self.series:
            return ""
        if not self.counts:
            return "each series' last run"
        return f"the runs with {clients_text(self.counts[-1])}"

    def over_time(self, percentile: str) -> list[tuple[str, Course]]:
        """Return latency over the run, one line a side."""
        return [(name, latency_course(run, percentile)) for name, run in self.matched]

    def over_clients(self, figure: str) -> list[tuple[str, Course]]:
        """Return ``median`` or ``p95`` over client counts, one line a series; whole runs only."""
        lines = []
        for name, runs in zip(self.letters, self.groups, strict=True):
            found = {
                run.test_configuration.num_clients: value
                for run in runs
                if run.status is RunStatus.COMPLETED
                and (value := getattr(run.summary.latency, figure)) is not None
            }
            counts = sorted(found)
            lines.append(
                (name, ([float(count) for count in counts], [found[count] for count in counts]))
            )
        return lines

    @property
    def all_counts(self) -> list[int]:
        """Client counts that any side has."""
        return sorted({run.test_configuration.num_clients for runs in self.groups for run in runs})

    @property
    def limit(self) -> float | None:
        """Seconds: the SLO's p95 latency, where all have the same."""
        found = {run.test_configuration.slo.p95_latency for runs in self.groups for run in runs}
        return found.pop() if len(found) == 1 else None


def _whole_last(runs: Sequence[Run], clients: int | None) -> list[Run]:
    chosen = [run for run in runs if clients in {None, run.test_configuration.num_clients}]
    return sorted(chosen, key=lambda run: run.status is RunStatus.COMPLETED)
