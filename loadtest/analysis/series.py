"""From the runs of a series to what they say. Pure."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from loadtest.analysis.advice import advice_for
from loadtest.analysis.bottleneck import findings, percent
from loadtest.analysis.figures import step_figures
from loadtest.analysis.model import Analysis, Bottleneck, Finding, StepFigures
from loadtest.figures import Unit, format_figure
from loadtest.runfile import Run
from loadtest.series import SeriesCapacity, series_capacity
from loadtest.verdict import clients_text, run_notes

HEADROOM: Final = 0.2
"""Fraction of the capacity to leave free: people don't come as evenly as load clients do."""
_FEW: Final = 20
"""Sessions under which a step's success rate and tail are mostly chance."""
_GROWN: Final = 2.0
"""How many times the first step's p95 latency has been left behind at an inflection."""


def analyse(runs: Sequence[Run], *, headroom: float = HEADROOM) -> Analysis:
    """Say what a series found; raises ValueError for none at all or for runs of two series."""
    if len({run.series_id for run in runs}) != 1:
        raise ValueError("an analysis is of the runs of one series")
    ordered = by_clients(runs)
    steps = [step_figures(run) for run in ordered]
    failing = next((step for step in steps if step.met is False), None)
    found_capacity = series_capacity(runs)
    capacity = found_capacity.clients
    judged = examined_step(steps)
    found: list[Finding] = []
    if judged is not None:
        run = ordered[steps.index(judged)]
        found = findings(judged, run.test_configuration.stack)
    bottleneck, others = _first(failing, found)
    inflection, sentence = _inflection(steps)
    recommended = max(1, int(capacity * (1 - headroom))) if capacity else None
    return Analysis(
        series_id=ordered[0].series_id,
        label=ordered[0].label,
        steps=steps,
        capacity=capacity,
        confirmations=found_capacity.runs,
        limit_found=failing is not None,
        headroom=headroom,
        recommended=recommended,
        inflection=inflection,
        inflection_sentence=sentence,
        headline=_headline(capacity, recommended, failing, headroom, steps),
        bottleneck=bottleneck,
        others=others,
        failures=dict(sum((Counter(step.failures) for step in steps), Counter[str]())),
        advice=advice_for(
            bottleneck, failing, ordered[steps.index(judged)] if judged is not None else None
        ),
        warnings=_warnings(ordered, steps, found_capacity),
    )


def by_clients(runs: Sequence[Run]) -> list[Run]:
    """Return runs in the order of an analysis' steps: by client count, then by time."""
    return sorted(runs, key=lambda run: (run.test_configuration.num_clients, run.created_at))


def examined_step(steps: Sequence[StepFigures]) -> StepFigures | None:
    """Return the step that findings are about: the first that missed the SLO, else the last judged.

    None where none was judged.
    """
    failing = next((step for step in steps if step.met is False), None)
    return failing or next((step for step in reversed(steps) if step.met is not None), None)


def _first(
    failing: StepFigures | None, found: list[Finding]
) -> tuple[Finding | None, list[Finding]]:
    """Tell what broke from what was merely near its limit."""
    if failing is None:
        return None, found
    if found:
        return found[0], found[1:]
    return (
        Finding(
            Bottleneck.UNKNOWN,
            "Nothing that was measured was at its limit. "
            + (
                "What the replicas used is not known: the server is none of our stacks."
                if not any(one.cpu is not None for one in failing.replicas)
                else "The model itself, the disk or the network may be it."
            ),
        ),
        [],
    )


def _inflection(steps: Sequence[StepFigures]) -> tuple[int | None, str]:
    """Find where latency begins to grow faster than load.

    That is the first step whose p95 latency is over twice the first step's, and grew by a larger
    factor since the step before it than the clients did. Steps without a p95 say nothing: beside
    others' p95 their median would look like a latency that falls.
    """
    known = [(step.clients, step.p95) for step in steps if step.p95]
    if len({clients for clients, _ in known}) < 3:
        return None, (
            "Too few steps with a p95 latency to see where it begins to grow faster than load."
        )
    first = known[0][1]
    for (fewer, before), (clients, after) in pairwise(known):
        grown = after / before
        if clients > fewer and after > _GROWN * first and grown > clients / fewer:
            return fewer, (
                f"Up to {clients_text(fewer)} latency grows no faster than load; from "
                f"{fewer} to {clients} p95 latency grows {grown:.1f} times "
                f"({format_figure(before, Unit.SECONDS)} to {format_figure(after, Unit.SECONDS)})."
            )
    return None, (
        f"No inflection up to {clients_text(known[-1][0])}: latency never grew faster than "
        "load beyond twice its first value."
    )


def _headline(
    capacity: int | None,
    recommended: int | None,
    failing: StepFigures | None,
    headroom: float,
    steps: Sequence[StepFigures],
) -> str:
    audio = f"{steps[-1].audio:.0f} s of audio each"
    if capacity is None:
        if failing is None:
            return "No step was played to its end, so there is nothing to judge."
        return (
            f"Not even {clients_text(failing.clients)} met the SLO ({audio}): "
            f"{'; '.join(failing.reasons)}."
        )
    use = (
        f"Use it for at most {recommended} at once, which leaves {headroom * 100:.0f} % head-room."
    )
    if failing is None:
        return (
            f"All steps up to {clients_text(capacity)} met the SLO ({audio}); the limit was not "
            f"reached. {use}"
        )
    return (
        f"{clients_text(capacity)} met the SLO ({audio}), {failing.clients} did not: "
        f"{'; '.join(failing.reasons)}. {use}"
    )


def _warnings(
    runs: Sequence[Run], steps: Sequence[StepFigures], capacity: SeriesCapacity
) -> list[str]:
    warnings = [
        f"{clients_text(run.test_configuration.num_clients)}: {note}"
        for run in runs
        for note in run_notes(run)
    ]
    warnings += [
        f"{clients_text(step.clients)}: GPU {card.index} ({card.name}) gave no figures in "
        f"{percent(card.silent)} of the seconds: {card.problem}."
        for step in steps
        for card in step.cards
        if card.silent
    ]
    cut = [step.clients for step in steps if step.met is None]
    if cut:
        warnings.append(
            "Not judged, because cut off before their end: "
            f"{', '.join(clients_text(count) for count in cut)}."
        )
    if capacity.clients is not None:
        sessions = sum(step.sessions for step in steps if step.clients == capacity.clients)
        if sessions < _FEW:
            warnings.append(
                f"The capacity rests on {sessions} sessions; play that step longer or again before "
                "you rely on it."
            )
    if capacity.met_above:
        warnings.append(
            f"{clients_text(max(capacity.met_above))} met the SLO although {capacity.missed} did "
            "not: the limit moves from run to run, so the smaller count is taken."
        )
    return warnings
