"""The capacity that the runs of a series show. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from loadtest.runfile import Run
from loadtest.verdict import clients_text, counts_text, meets_slo


@dataclass(frozen=True, slots=True)
class SeriesCapacity:
    """The largest client count that met the SLO, with none below it that missed it."""

    clients: int | None
    """None when there is no such count."""
    runs: int = 0
    """How many runs met the SLO at that count."""
    missed: int | None = None
    """Smallest count that missed it; None when none did: then the capacity may be larger."""
    met_above: tuple[int, ...] = ()
    """Larger counts that met it all the same: the limit moves from run to run."""

    @property
    def sentence(self) -> str:
        """Say it, as the end of a sentence."""
        if self.clients is None:
            text = "no client count met the SLO"
            if self.missed is not None and self.met_above:
                text = f"none, as {clients_text(self.missed)} missed the SLO"
        else:
            text = clients_text(self.clients)
            if self.missed is None:
                text = f"{text} or more, nothing larger was tried"
        if self.met_above:
            text += f", though {counts_text(self.met_above)} met it"
        return text


def series_capacity(runs: Iterable[Run]) -> SeriesCapacity:
    """Return what a series shows; runs that were cut off before they could be judged say nothing.

    The majority of a count's runs decides: one that met the SLO once and missed it once is not good
    enough.
    """
    return judged_capacity(
        (run.test_configuration.num_clients, meets_slo(run))
        for run in runs
        if run.summary.slo is not None
    )


def judged_capacity(judged: Iterable[tuple[int, bool]]) -> SeriesCapacity:
    """Return what client counts show of which each met its SLO, or missed it."""
    met: Counter[int] = Counter()
    misses: Counter[int] = Counter()
    for clients, good_enough in judged:
        (met if good_enough else misses)[clients] += 1
    missed = {clients for clients, count in misses.items() if count >= met[clients]}
    met = Counter({clients: count for clients, count in met.items() if clients not in missed})
    least = min(missed, default=None)
    good = sorted(clients for clients in met if least is None or clients < least)
    above = tuple(sorted(clients for clients in met if least is not None and clients > least))
    if not good:
        return SeriesCapacity(None, missed=least, met_above=above)
    return SeriesCapacity(good[-1], met[good[-1]], least, above)
