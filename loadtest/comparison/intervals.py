"""Intervals of the differences between two runs' figures. Pure.

Latencies and word error rate: percentile intervals of a cluster bootstrap (see
``loadtest.comparison.bootstrap``). With few sessions a plain percentile interval is too narrow: it
lacks what Student's t adds to the normal distribution, and a resample of n spreads by (n - 1) / n
too little. Both are made up for by going further into the tails, as T. C. Hesterberg does in "What
Teachers Should Know About the Bootstrap", The American Statistician 69 (2015) 371-386, section 5.3
("expanded percentile interval"), with Welch's degrees of freedom where the two runs were drawn
apart. Simulated: docs/measurements.md.

Success rate: a session is one yes or no, so there is nothing within it to keep together, and a run
without failures would give a bootstrap nothing to vary. Its interval is that of R. G. Newcombe,
"Interval estimation for the difference between independent proportions", Statistics in Medicine 17
(1998) 873-890, method 10, from Wilson's score intervals.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loadtest.comparison.bootstrap import PooledSamples, ratios, weights
from loadtest.comparison.model import CONFIDENCE, RESAMPLES, SEED, Estimate
from loadtest.runfile import ClientResult, Outcome, Run

MIN_SESSIONS: Final = 5
"""Sessions a side under which no interval is claimed. Four sessions can be drawn in 35 different
ways, five in 126: with fewer there is no 2.5 % tail worth the name."""
MAX_UNDEFINED: Final = 0.01
"""Fraction of resamples in which a figure may be undefined before its interval is not trusted."""

PERCENTS: Final[Mapping[str, tuple[float, ...]]] = {
    "latency_samples": (50, 95, 99),
    "final_latency_samples": (50, 95, 99),
    "word_latency_samples": (50, 95, 99),
    "word_final_latency_samples": (50, 95, 99),
    "first_result": (50,),
    "finish": (50,),
    "connection_time": (50,),
}
"""Which percentiles are taken of which figures of a client."""

_WORDS: Final = "wer"
_NORMAL: Final = NormalDist()

Key = tuple[str, float]
"""A client's figure and the percentile of it."""


@dataclass(frozen=True, slots=True)
class Replicates:
    """A run's figures over all resamples of its sessions."""

    sessions: dict[str, int]
    """Sessions that a figure has anything of."""
    values: dict[Key, NDArray[np.float64]]


def replicates(run: Run, *, stream: int) -> Replicates:
    """Resample a run's sessions; the same ``stream`` draws the same client numbers."""
    clients = sorted(run.clients, key=lambda client: client.client_id)
    if not clients:
        return Replicates({}, {})
    pooled = {
        name: PooledSamples([_samples(client, name) for client in clients]) for name in PERCENTS
    }
    counted = [client.wer for client in clients]
    edits = np.array(
        [e.substitutions + e.deletions + e.insertions if e else 0 for e in counted], np.float64
    )
    words = np.array([e.reference_words if e else 0 for e in counted], np.float64)
    parts: dict[Key, list[NDArray[np.float64]]] = {}
    for drawn in weights(len(clients), RESAMPLES, (SEED, stream)):
        for name, samples in pooled.items():
            if samples.sessions >= MIN_SESSIONS:
                found = samples.percentiles(drawn, PERCENTS[name])
                for column, percent in enumerate(PERCENTS[name]):
                    parts.setdefault((name, percent), []).append(found[:, column])
        parts.setdefault((_WORDS, 0), []).append(ratios(drawn, edits, words))
    sessions = {name: samples.sessions for name, samples in pooled.items()}
    sessions[_WORDS] = int(np.count_nonzero(words))
    return Replicates(sessions, {key: np.concatenate(arrays) for key, arrays in parts.items()})


def _samples(client: ClientResult, name: str) -> list[float]:
    value: list[float] | float | None = getattr(client, name)
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def percentile_estimate(
    first: Replicates, other: Replicates, name: str, percent: float, *, paired: bool
) -> Estimate:
    """Return the interval of the difference of a percentile, ``other`` minus ``first``."""
    return _estimate(first, other, (name, percent), paired=paired)


def words_estimate(first: Replicates, other: Replicates, *, paired: bool) -> Estimate:
    """Return the interval of the difference of word error rates."""
    return _estimate(first, other, (_WORDS, 0), paired=paired)


def _estimate(first: Replicates, other: Replicates, key: Key, *, paired: bool) -> Estimate:
    sizes = first.sessions.get(key[0], 0), other.sessions.get(key[0], 0)
    if min(sizes) < MIN_SESSIONS:
        return too_few(sizes)
    one, two = first.values[key], other.values[key]
    known = ~(np.isnan(one) | np.isnan(two))
    if np.mean(~known) > MAX_UNDEFINED:
        return Estimate(reason="too few of the sessions have it.")
    interval = bootstrap_interval(one[known], two[known], sizes, paired=paired)
    if interval[0] == interval[1]:
        return Estimate(
            reason="it is the same whichever sessions are drawn, so it has no spread.", alike=True
        )
    return Estimate(interval)


def too_few(sizes: tuple[int, int]) -> Estimate:
    """Say that there are too few sessions for an interval."""
    return Estimate(
        reason=f"from {sizes[0]} and {sizes[1]} sessions; it takes {MIN_SESSIONS} each."
    )


def bootstrap_interval(
    first: NDArray[np.float64],
    other: NDArray[np.float64],
    sessions: tuple[int, int],
    *,
    paired: bool,
) -> tuple[float, float]:
    """Return the expanded percentile interval of ``other - first``, given both sides' replicates.

    ``paired``: the replicates of one row come from one drawing of the same clients.
    """
    differences = other - first
    if paired:
        fewest = min(sessions)
        freedom, widening = fewest - 1.0, math.sqrt(fewest / (fewest - 1))
    else:
        spread = [float(np.var(side)) for side in (first, other)]
        total = sum(spread)
        if total == 0:
            return float(differences[0]), float(differences[0])
        freedom = total**2 / sum(v**2 / (n - 1) for v, n in zip(spread, sessions, strict=True))
        unbiased = sum(v * n / (n - 1) for v, n in zip(spread, sessions, strict=True))
        widening = math.sqrt(unbiased / total)
    tail = _NORMAL.cdf(-student_quantile((1 + CONFIDENCE) / 2, freedom) * widening)
    low, high = np.quantile(differences, (tail, 1 - tail))
    return float(low), float(high)


def student_quantile(probability: float, freedom: float) -> float:
    """Return a quantile of Student's t, right to 0.001 from 4 degrees of freedom on at 97.5 %.

    Expansion around the normal quantile: M. Abramowitz and I. A. Stegun, "Handbook of Mathematical
    Functions", 26.7.5.
    """
    x = _NORMAL.inv_cdf(probability)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + sum(term / freedom**power for power, term in enumerate(terms, 1))


def success_estimate(first: Run, other: Run) -> Estimate:
    """Return the interval of the difference of success rates; sessions cut off don't count."""
    counts = [_successes(run) for run in (first, other)]
    sizes = counts[0][1], counts[1][1]
    if min(sizes) < MIN_SESSIONS:
        return too_few(sizes)
    (low_1, rate_1, high_1), (low_2, rate_2, high_2) = (_wilson(*count) for count in counts)
    difference = rate_2 - rate_1
    return Estimate(
        (
            difference - math.hypot(rate_2 - low_2, high_1 - rate_1),
            difference + math.hypot(high_2 - rate_2, rate_1 - low_1),
        )
    )


def _successes(run: Run) -> tuple[int, int]:
    ended = [client for client in run.clients if client.outcome is not Outcome.INCOMPLETE]
    return sum(client.outcome is Outcome.SUCCESS for client in ended), len(ended)


def _wilson(successes: int, trials: int) -> tuple[float, float, float]:
    """Return lower end, rate and upper end of Wilson's score interval."""
    z = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2)
    rate = successes / trials
    middle = rate + z**2 / (2 * trials)
    reach = z * math.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return max(0.0, (middle - reach) / scale), rate, min(1.0, (middle + reach) / scale)
