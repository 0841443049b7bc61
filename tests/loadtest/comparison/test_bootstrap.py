"""The statistics of a comparison, on simulated sessions whose truth is known."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from loadtest.comparison.bootstrap import PooledSamples, ratios, weights
from loadtest.comparison.intervals import (
    MIN_SESSIONS,
    bootstrap_interval,
    student_quantile,
)

RESAMPLES = 500
PERCENTS = (50, 95, 99)

Sessions = list[NDArray[np.float64]]


def sessions(generator: np.random.Generator, count: int, *, factor: float = 1.0) -> Sessions:
    """Draw sessions whose samples are correlated: each has a level of its own."""
    return [
        factor
        * math.exp(generator.normal(0, 0.4))
        * np.exp(generator.normal(0, 0.4, generator.integers(15, 26)))
        for _ in range(count)
    ]


def interval(
    first: Sessions, other: Sessions, *, seed: int, percent: float = 50, paired: bool = False
) -> tuple[float, float]:
    sides = [
        np.concatenate(
            [
                PooledSamples(side).percentiles(drawn, [percent])[:, 0]
                for drawn in weights(len(side), RESAMPLES, (seed, 0 if paired else stream))
            ]
        )
        for stream, side in enumerate((first, other))
    ]
    return bootstrap_interval(sides[0], sides[1], (len(first), len(other)), paired=paired)


def each_sample_alone(side: Sessions) -> Sessions:
    """Take each sample for a session: the naive bootstrap."""
    return [np.array([sample]) for session in side for sample in session]


@pytest.mark.parametrize("sizes", [(1, 1), (3, 0, 5), (40, 1, 7, 0, 30), (300, 200, 100)])
def test_percentiles_are_those_of_the_samples_written_out(sizes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(1)
    # Rounded, so that there are ties.
    held = [np.round(generator.exponential(1.0, size), 1) for size in sizes]
    (drawn,) = weights(len(sizes), 50, (3,))
    found = PooledSamples(held).percentiles(drawn, PERCENTS)
    for row, counts in zip(found, drawn, strict=True):
        written_out = np.concatenate(
            [np.tile(samples, int(count)) for samples, count in zip(held, counts, strict=True)]
        )
        if written_out.size:
            assert row == pytest.approx(np.percentile(written_out, PERCENTS))
        else:
            assert np.isnan(row).all()


def test_no_samples_have_no_percentiles() -> None:
    (drawn,) = weights(2, 3, (1,))
    assert np.isnan(PooledSamples([[], []]).percentiles(drawn, [50])).all()


def test_rates_are_pooled_never_means_of_rates() -> None:
    drawn = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    found = ratios(drawn, np.array([1.0, 10.0]), np.array([2.0, 100.0]))
    assert found[:2] == pytest.approx([11 / 102, 0.5])
    assert np.isnan(found[2])


def test_the_same_seed_draws_the_same_sessions_and_as_many_as_there_are() -> None:
    one, two, other = (next(weights(7, 20, seed)) for seed in ((1, 0), (1, 0), (1, 1)))
    assert (one == two).all()
    assert not (one == other).all()
    assert (one.sum(axis=1) == 7).all()


def test_drawing_in_batches_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(weights(5, 30, (1,))))
    monkeypatch.setattr("loadtest.comparison.bootstrap._BATCH", 35)
    batches = list(weights(5, 30, (1,)))
    assert len(batches) == 5
    assert (np.concatenate(batches) == whole).all()


@pytest.mark.parametrize(
    ("freedom", "expected"), [(4, 2.7764), (8, 2.3060), (20, 2.0860), (1000, 1.9623)]
)
def test_quantiles_of_student(freedom: int, expected: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("count", [MIN_SESSIONS, 12, 30])
@pytest.mark.parametrize("paired", [False, True])
def test_without_a_difference_about_one_interval_in_twenty_leaves_out_zero(
    count: int, paired: bool
) -> None:
    generator = np.random.default_rng(count)
    repetitions = 400
    alarms = naive_alarms = 0
    for number in range(repetitions):
        first, other = sessions(generator, count), sessions(generator, count)
        low, high = interval(first, other, seed=number, paired=paired)
        alarms += not low <= 0 <= high
        if number < repetitions // 4 and not paired:
            low, high = interval(each_sample_alone(first), each_sample_alone(other), seed=number)
            naive_alarms += not low <= 0 <= high
    # Three standard deviations of a binomial with p = 0.05. The fewest sessions have wider
    # intervals than they need, because they can be drawn in few ways: that errs on the safe side.
    expected = 0.05 * repetitions
    tolerance = 3 * math.sqrt(repetitions * 0.05 * 0.95)
    assert alarms < expected + tolerance
    if count > MIN_SESSIONS:
        assert alarms > expected - tolerance
    if not paired:
        assert naive_alarms / (repetitions // 4) > 0.3


def test_a_true_shift_is_found_and_lies_in_the_interval() -> None:
    generator = np.random.default_rng(5)
    repetitions, found, covered = 200, 0, 0
    # The median of these sessions is 1, so half as much again shifts it by 0.5.
    for number in range(repetitions):
        low, high = interval(
            sessions(generator, 40), sessions(generator, 40, factor=1.5), seed=number
        )
        found += low > 0
        covered += low <= 0.5 <= high
    assert found > 0.9 * repetitions
    tolerance = 3 * math.sqrt(repetitions * 0.05 * 0.95)
    assert abs(covered - 0.95 * repetitions) < tolerance


def test_pairs_show_a_difference_that_the_sessions_own_levels_hide() -> None:
    generator = np.random.default_rng(6)
    first = sessions(generator, 20)
    other = [session * 1.1 for session in first]
    apart = interval(first, other, seed=1)
    together = interval(first, other, seed=1, paired=True)
    assert apart[0] < 0 < apart[1]
    assert together[0] > 0
    assert together[1] - together[0] < (apart[1] - apart[0]) / 3
