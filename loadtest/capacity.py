"""How the largest client count that meets its limits is found. Pure."""

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import cast


@dataclass(frozen=True, slots=True)
class Largest:
    """What a search came to."""

    clients: int | None
    """None: not even the smallest count was confirmed."""
    capped: bool = False
    """No count that was tried failed: the true one may be larger."""


def rungs(counts: Iterable[int], cap: int) -> list[int]:
    """Return the counts up to ``cap``, in order and each once."""
    return sorted({count for count in counts if count <= cap})


def doubling(first: int, cap: int) -> list[int]:
    """Return ``first``, twice that, and so on, and at last ``cap``."""
    counts = []
    while first < cap:
        counts.append(first)
        first *= 2
    return [*counts, cap]


def search(
    ladder: Sequence[int], *, resolution: float = 0.0, refinements: int | None = None
) -> Generator[int, bool, Largest]:
    """Look for the largest client count within limits; ``ladder`` rises.

    Yields the counts to measure and is sent whether that run met the limits. Above the last good
    rung it bisects until the largest is known to ``resolution`` of itself, 0 being exactly, in at
    most so many ``refinements``. A count that is asked for again wants a run of its own. The result
    is a count whose two runs both met them.
    """
    good: list[int] = []
    bad: int | None = None
    for count in ladder:
        if not (yield count):
            bad = count
            break
        good.append(count)
    while good:
        best = good[-1]
        while bad is not None and refinements != 0 and bad - best > max(1, int(best * resolution)):
            refinements = None if refinements is None else refinements - 1
            middle = (best + bad) // 2
            if (yield middle):
                best = middle
                good.append(middle)
            else:
                bad = middle
        if (yield best):
            return Largest(best, capped=bad is None)
        # Once good, once not: not good enough, and now there may be room below it.
        good.pop()
        bad = best
    return Largest(None)


@dataclass(frozen=True, slots=True)
class Trial:
    """One run that a search wants."""

    clients: int
    confirms: bool = False
    """The count has met its limits before: this run is to make sure of it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a trial's run came to."""

    met: bool
    close: bool = False
    """So close to a limit that another run may come out otherwise."""


def by_majority(
    searching: Generator[int, bool, Largest], *, trials: int
) -> Generator[Trial, Judged, Largest]:
    """Answer a search's questions; where a run comes close to a limit, by the majority of several.

    At ``trials`` of 3 the runs of one count go on until two agree. Near its capacity a server's
    latency differs several times over from one run to the next: one run there says little.
    """
    needed = trials // 2 + 1
    met_before: set[int] = set()
    clients = next(searching)
    while True:
        tally = {True: 0, False: 0}
        while max(tally.values()) < needed:
            judged = yield Trial(clients, confirms=clients in met_before)
            tally[judged.met] += 1
            if not judged.close:
                # As clear as that, the others would have to be luck.
                tally[judged.met] = needed
        met = tally[True] >= needed
        if met:
            met_before.add(clients)
        try:
            clients = searching.send(met)
        except StopIteration as end:
            return cast("Largest", end.value)
