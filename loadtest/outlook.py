"""What a plan will do and about how long that takes, before it is begun. Pure."""

from dataclasses import dataclass
from typing import Final

from loadtest.assignment import ramp_seconds
from loadtest.capacity import Judged, doubling
from loadtest.plan import LoadPlan
from loadtest.stepping import RECOVERY, chosen_steps, confirming
from loadtest.verdict import clients_text, counts_text

_AROUND: Final = 2.0
"""Seconds that a step takes besides its audio: starting the generator, the last texts."""
_MOST_STEPS: Final = 200
_COUNTS_NAMED: Final = 8
_NEAR: Final = 0.1
"""Fraction of a capacity within which a count is taken to come close to the limit."""


@dataclass(frozen=True, slots=True)
class StepOutlook:
    """One step that is to come."""

    clients: int
    begins: float
    """Seconds after the series' start."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan comes to."""

    steps: tuple[StepOutlook, ...]
    """Of a search: if it goes on as long as it can."""
    shortest: float
    """Seconds, about; the same as ``longest`` but for a search."""
    longest: float


def outlook(plan: LoadPlan, longest_clip: float | None = None) -> Outlook:
    """Say what a plan comes to; ``longest_clip`` is in seconds, for plans of one clip each."""
    if plan.find_capacity is None:
        steps = _played(plan, longest_clip, capacity=None)
        return Outlook(steps, _end(steps), _end(steps))
    rungs = doubling(plan.clients[0], plan.find_capacity)
    # A search is longest where the truth lies just below a count that it tries.
    tried = {0, *rungs, *(rung - 1 for rung in rungs), *(rung * 3 // 2 for rung in rungs)}
    series = [
        _played(plan, longest_clip, capacity=truth, near=near)
        for truth in sorted(tried)
        for near in (0.0, _NEAR)
    ]
    ends = [_end(steps) for steps in series]
    return Outlook(series[ends.index(max(ends))], min(ends), max(ends))


def _played(
    plan: LoadPlan, longest_clip: float | None, *, capacity: int | None, near: float = 0.0
) -> tuple[StepOutlook, ...]:
    """Play a plan on paper: steps of more clients than ``capacity`` miss the SLO.

    Counts within the fraction ``near`` of it come close to the limit, and are repeated.
    """
    choosing = chosen_steps(plan)
    trial, at = next(choosing), 0.0
    steps: list[StepOutlook] = []
    while len(steps) < _MOST_STEPS:
        clients = trial.clients
        step = confirming(plan) if trial.confirms else plan
        audio = step.duration if step.duration is not None else longest_clip or 0.0
        ramp = ramp_seconds(plan, clients) * (clients - 1) / clients
        steps.append(StepOutlook(clients, at, ramp + audio + _AROUND))
        met = capacity is None or clients <= capacity
        close = capacity is not None and abs(clients - capacity) <= near * capacity
        at += steps[-1].seconds + plan.cool_down * (1 if met else RECOVERY)
        try:
            trial = choosing.send(Judged(met, close))
        except StopIteration:
            break
    return tuple(steps)


def _end(steps: tuple[StepOutlook, ...]) -> float:
    return steps[-1].begins + steps[-1].seconds


def outlook_text(plan: LoadPlan, outlook: Outlook, *, clip_known: bool = True) -> str:
    """Say it in a sentence."""
    each = "one clip each" if plan.duration is None else f"{duration_text(plan.duration)} each"
    about = f"about {duration_text(outlook.longest)}" if clip_known else "as long as the clips last"
    if plan.find_capacity is not None:
        if clip_known and outlook.shortest < outlook.longest:
            about = (
                f"{duration_text(outlook.shortest)} to {duration_text(outlook.longest)}, "
                "by what is found"
            )
        return (
            f"A search for the capacity from {clients_text(plan.clients[0])} up to "
            f"{plan.find_capacity}, {each}: {about}."
        )
    count = len(plan.clients)
    if count > _COUNTS_NAMED:
        counts = f"from {min(plan.clients)} to {clients_text(max(plan.clients))}"
    else:
        counts = counts_text(plan.clients)
    steps = "1 step" if count == 1 else f"{count} steps"
    return f"{steps}: {counts}, {each}, {about}."


def duration_text(seconds: float) -> str:
    """Write a duration: ``12 s``, ``1 min 12 s``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
