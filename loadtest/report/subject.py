"""What a report is about: runs beside their analysis, and which need a closer look. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.analysis.model import Analysis, StepFigures
from loadtest.analysis.series import HEADROOM, analyse, by_clients, examined_step
from loadtest.analysis.words import verdict_word
from loadtest.plan import Slo
from loadtest.report.svg import Mark
from loadtest.runfile import Run, RunStatus
from loadtest.verdict import clients_text
from stack.status import by_number

NAMED: Final = 5
"""Lines of one plot that are told apart; more can't be."""
_SHORT: Final = 5
"""Seconds under which a step's course says little."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A series; ``runs``, ``names`` and the analysis' steps are in the same order."""

    runs: Sequence[Run]
    analysis: Analysis
    names: Sequence[str]
    """Of each step, such as ``20 clients``."""
    slo: Slo | None
    """None where the steps had different ones."""

    @property
    def steps(self) -> Sequence[StepFigures]:
        """The steps' figures."""
        return self.analysis.steps

    @property
    def latency_limit(self) -> Mark | None:
        """The largest p95 latency that is allowed, seconds; None where there is none."""
        limit = self.slo.p95_latency if self.slo is not None else None
        return None if limit is None else Mark(limit, f"SLO {limit:g} s", limit=True)

    @property
    def examined(self) -> int | None:
        """Which step the findings are about; None where none was judged."""
        found = examined_step(self.steps)
        return None if found is None else self.steps.index(found)

    @property
    def looked_into(self) -> list[int]:
        """Which steps are shown from within: that of the findings, or else the last.

        One that ended within seconds shows little: then the last that met the SLO, too.
        """
        place = self.examined if self.examined is not None else len(self.runs) - 1
        best = self.best
        if best is None or best == place or len(self.runs[place].timeline) >= _SHORT:
            return [place]
        return [place, best]

    @property
    def best(self) -> int | None:
        """Which step shows the capacity: the last run that met the SLO at that count."""
        found = [
            place
            for place, step in enumerate(self.steps)
            if step.met and step.clients == self.analysis.capacity
        ]
        return found[-1] if found else None

    @property
    def named(self) -> list[int]:
        """Which steps a plot of all tells apart: all, or those that decide."""
        count = len(self.runs)
        if count <= NAMED:
            return list(range(count))
        chosen = {0, count - 1}
        chosen |= {place for place in (self.best, self.examined) if place is not None}
        return sorted(chosen)

    def title(self, place: int) -> str:
        """Name a step with its verdict."""
        step = self.steps[place]
        sign = {True: "✓ ", False: "✗ ", None: ""}[step.met]
        return f"{self.names[place]} · {sign}{verdict_word(step)}"


def subject(runs: Sequence[Run], *, headroom: float = HEADROOM) -> Subject:
    """Look at the runs of a series; raises ValueError for none at all or for runs of two series."""
    analysis = analyse(runs, headroom=headroom)
    ordered = by_clients(runs)
    slos = {run.test_configuration.slo for run in ordered}
    return Subject(
        runs=ordered,
        analysis=analysis,
        names=_names(ordered),
        slo=slos.pop() if len(slos) == 1 else None,
    )


def _names(runs: Iterable[Run]) -> list[str]:
    """Name steps by their clients; a count that was played again has a number."""
    names = []
    seen: Counter[int] = Counter()
    for run in runs:
        clients = run.test_configuration.num_clients
        seen[clients] += 1
        again = f" ({seen[clients]})" if seen[clients] > 1 else ""
        names.append(f"{clients_text(clients)}{again}")
    return names


def whole(run: Run) -> bool:
    """Tell whether a run was played to its end."""
    return run.status is RunStatus.COMPLETED


def by_name(names: Iterable[str]) -> list[str]:
    """Return replicas' names in order: ``replica-2`` before ``replica-10``."""
    return by_number(names)
