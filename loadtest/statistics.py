"""Distributions over pooled samples. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from loadtest.runfile import Distribution

MIN_SAMPLES_P95: Final = 20
"""Under 20 samples the 95th percentile is just the largest one or two: it is not shown."""
MIN_SAMPLES_P99: Final = 100


def distribution(samples: Sequence[float]) -> Distribution:
    """Describe samples (seconds) that were pooled, never averaged, before.

    Percentiles interpolate linearly between order statistics (numpy's default, type 7 of Hyndman
    and Fan). They are None where there are too few samples to speak of one.
    """
    if not samples:
        return Distribution(count=0)
    values = np.asarray(samples, dtype=np.float64)
    count = len(samples)
    # One call for all: for a session's few samples each call costs more than its work.
    low, median, p95, p99, high = np.percentile(values, (0, 50, 95, 99, 100)).tolist()
    return Distribution(
        count=count,
        min=low,
        max=high,
        mean=float(values.mean()),
        median=median,
        p95=p95 if count >= MIN_SAMPLES_P95 else None,
        p99=p99 if count >= MIN_SAMPLES_P99 else None,
    )


def percentile(samples: Sequence[float], percent: float) -> float | None:
    """Return the percentile of pooled samples, or None where there are too few for it."""
    needed = 1
    if percent >= 99:
        needed = MIN_SAMPLES_P99
    elif percent >= 95:
        needed = MIN_SAMPLES_P95
    if len(samples) < needed:
        return None
    return float(np.percentile(np.asarray(samples, dtype=np.float64), percent))


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, None of nothing."""
    return sum(values) / len(values) if values else None
