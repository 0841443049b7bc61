"""Lateness counted in bins says what the samples themselves would."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.lateness import BIN, Lateness, PooledLateness

samples = st.lists(st.floats(min_value=0.0, max_value=3.0, allow_nan=False), max_size=300)


@given(st.lists(samples, min_size=1, max_size=4))
def test_pooled_counts_are_the_pooled_samples(parts: list[list[float]]) -> None:
    pooled = PooledLateness()
    for part in parts:
        pooled.add(Lateness.of(part))
    found = pooled.distribution()
    together = np.array([sample for part in parts for sample in part])
    assert found.count == together.size
    if not together.size:
        assert found.max is None
        return
    assert found.min == together.min()
    assert found.max == together.max()
    assert found.mean == pytest.approx(float(together.mean()))
    for percent, value in ((50, found.median), (95, found.p95), (99, found.p99)):
        if value is not None:
            exact = np.percentile(together, percent, method="inverted_cdf")
            assert abs(value - exact) <= BIN
    assert (found.p95 is None) == (together.size < 20)
    assert (found.p99 is None) == (together.size < 100)


def test_counts_survive_the_pipe() -> None:
    one = Lateness.of([0.0001, 0.00015, 0.2])
    assert Lateness.model_validate_json(one.model_dump_json()) == one


def test_an_hour_of_messages_is_a_short_line() -> None:
    rng = np.random.default_rng(1)
    hour = rng.exponential(0.001, 36_000)
    assert len(Lateness.of(hour.tolist()).model_dump_json()) < 3_000
