"""How often the intervals of a comparison are wrong: ``python -m benchmarks.intervals``.

Runs are simulated whose truth is known, and compared as ``whisperctl compare`` does. An interval of
95 % should miss the true difference in 5 of 100 repetitions. A few minutes on one core.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from loadtest.comparison.bootstrap import PooledSamples, ratios, weights
from loadtest.comparison.intervals import bootstrap_interval

PERCENTS: Final = (50, 95, 99)
RESAMPLES: Final = 1000
SAMPLES: Final = 40
"""Mean number of samples of one session."""

Session = NDArray[np.float64]
Level = Callable[[np.random.Generator], float]


def even(generator: np.random.Generator) -> float:
    """Return a session's level where all differ a little."""
    return float(np.exp(generator.normal(0, 0.4)))


def rare(generator: np.random.Generator) -> float:
    """Return a session's level where one in ten is five times as slow."""
    return 5.0 if generator.random() < 0.1 else 1.0


def sessions(
    generator: np.random.Generator, levels: Sequence[float], factor: float
) -> list[Session]:
    """Return the samples of sessions of these levels."""
    counts = generator.poisson(SAMPLES, len(levels)) + 1
    return [
        factor * level * np.exp(generator.normal(0, 0.4, count))
        for level, count in zip(levels, counts, strict=True)
    ]


def draw(
    runs: tuple[list[Session], list[Session]], seed: int, *, paired: bool
) -> Iterator[NDArray[np.float64]]:
    """Yield the percentiles of each run over its resamples."""
    for stream, run in enumerate(runs):
        pooled = PooledSamples(run)
        drawn = weights(len(run), RESAMPLES, (seed, 0 if paired else stream))
        yield np.concatenate([pooled.percentiles(rows, PERCENTS) for rows in drawn])


def naive(
    generator: np.random.Generator, runs: tuple[list[Session], list[Session]]
) -> NDArray[np.float64]:
    """Return the ends of intervals that single samples give, one column a percentile."""
    found = []
    for run in runs:
        pooled = np.concatenate(run)
        chosen = generator.integers(0, len(pooled), (RESAMPLES // 4, len(pooled)))
        found.append(np.percentile(pooled[chosen], PERCENTS, axis=1))
    ends: NDArray[np.float64] = np.quantile(found[1] - found[0], (0.025, 0.975), axis=1)
    return ends


def latencies(count: int, level: Level, factor: float, repetitions: int, *, paired: bool) -> str:
    """Simulate latencies; return how often each percentile's interval missed the truth."""
    generator = np.random.default_rng([count, round(factor * 10), paired])
    truth = np.zeros(len(PERCENTS))
    if factor != 1:
        many = [level(generator) for _ in range(40_000)]
        at_one = np.percentile(np.concatenate(sessions(generator, many, 1.0)), PERCENTS)
        truth = at_one * (factor - 1)
    missed, missed_naively, judged_naively = np.zeros(3), np.zeros(3), 0
    for number in range(repetitions):
        levels = [level(generator) for _ in range(count)]
        others = levels if paired else [level(generator) for _ in range(count)]
        runs = sessions(generator, levels, 1.0), sessions(generator, others, factor)
        first, other = draw(runs, number, paired=paired)
        for column, true in enumerate(truth):
            low, high = bootstrap_interval(
                first[:, column], other[:, column], (count, count), paired=paired
            )
            missed[column] += not low <= true <= high
        if number < repetitions // 5 and not paired:
            judged_naively += 1
            ends = naive(generator, runs)
            missed_naively += (truth < ends[0]) | (truth > ends[1])
    text = _percent(missed / repetitions)
    return text + (f"   samples: {_percent(missed_naively / judged_naively)}" if not paired else "")


def words(count: int, repetitions: int, *, paired: bool) -> str:
    """Simulate word errors of clips that differ; return how often the truth was missed."""
    generator = np.random.default_rng([count, paired])
    missed = 0
    for number in range(repetitions):
        hard = generator.beta(1, 9, count)
        others = hard if paired else generator.beta(1, 9, count)
        replicates = []
        for stream, difficulty in enumerate((hard, others)):
            spoken = generator.integers(15, 60, count)
            errors = generator.binomial(spoken, difficulty).astype(np.float64)
            drawn = weights(count, RESAMPLES, (number, 0 if paired else stream))
            replicates.append(
                np.concatenate([ratios(rows, errors, spoken.astype(np.float64)) for rows in drawn])
            )
        low, high = bootstrap_interval(replicates[0], replicates[1], (count, count), paired=paired)
        missed += not low <= 0 <= high
    return _percent(np.array([missed / repetitions]))


def _percent(shares: NDArray[np.float64]) -> str:
    return "  ".join(f"{share * 100:5.1f}" for share in shares)


def main() -> None:
    """Print the table of docs/measurements.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--sessions", type=int, nargs="+", default=[5, 10, 20, 50])
    given = parser.parse_args()
    print("missed in percent: median, p95, p99")
    for count in given.sessions:
        for name, level in (("even", even), ("one in ten slow", rare)):
            for factor in (1.0, 1.5):
                found = latencies(count, level, factor, given.repetitions, paired=False)
                print(f"{count:4} {name:16} x{factor}  {found}", flush=True)
        found = latencies(count, even, 1.0, given.repetitions, paired=True)
        print(f"{count:4} {'even, pairs':16} x1.0  {found}", flush=True)
        for paired in (False, True):
            found = words(count, given.repetitions, paired=paired)
            print(f"{count:4} WER{', pairs' if paired else '':13} x1.0  {found}", flush=True)


if __name__ == "__main__":
    main()
