"""Which step comes next. Pure."""

from collections.abc import Generator
from typing import Final

from loadtest.capacity import Judged, Largest, Trial, by_majority, doubling, search
from loadtest.plan import LoadPlan

_RESOLUTION: Final = 0.05
"""Fraction of a capacity to which it is looked for: no two runs agree on more."""
RECOVERY: Final = 15
"""How many times longer the pause is after a step that missed the SLO."""
_CONFIRMATION: Final = 2.0
"""How much longer the run is that confirms a capacity."""


def confirming(plan: LoadPlan) -> LoadPlan:
    """Return the plan of a longer run; of one clip each it is only another run."""
    if plan.duration is None:
        return plan
    return plan.model_copy(update={"duration": plan.duration * _CONFIRMATION})


def chosen_steps(plan: LoadPlan) -> Generator[Trial, Judged, Largest | None]:
    """Yield each step's run; is sent what it came to."""
    if plan.find_capacity is not None:
        ladder = doubling(plan.clients[0], plan.find_capacity)
        searching = search(ladder, resolution=_RESOLUTION)
        return (yield from by_majority(searching, trials=plan.trials))
    for clients in plan.clients:
        yield Trial(clients)
    return None
