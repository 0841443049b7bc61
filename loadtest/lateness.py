"""Lateness of messages, counted by tenths of a millisecond: an hour of them is no list. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from loadtest.runfile import Distribution
from loadtest.statistics import MIN_SAMPLES_P95, MIN_SAMPLES_P99

BIN: Final = 1e-4
"""Seconds; percentiles are true to half of it."""


class Lateness(BaseModel):
    """How late so many messages were; seconds."""

    model_config = ConfigDict(frozen=True)

    bins: dict[int, int] = {}
    """Messages by their lateness in whole bins, rounded down."""
    total: float = 0.0
    least: float | None = None
    most: float | None = None

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Lateness":
        """Count samples."""
        values = np.asarray(samples, dtype=np.float64)
        if not values.size:
            return cls()
        places, counts = np.unique(np.floor(values / BIN).astype(np.int64), return_counts=True)
        return cls(
            bins=dict(zip(places.tolist(), counts.tolist(), strict=True)),
            total=float(values.sum()),
            least=float(values.min()),
            most=float(values.max()),
        )


class PooledLateness:
    """The lateness of many clients' messages."""

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self._total = 0.0
        self._ends: list[float] = []

    def add(self, part: Lateness) -> None:
        """Take in one client's."""
        self._bins.update(part.bins)
        self._total += part.total
        self._ends = [end for end in (*self._ends, part.least, part.most) if end is not None]
        self._ends = [min(self._ends), max(self._ends)] if self._ends else []

    def distribution(self) -> Distribution:
        """Describe all messages; exact but for the percentiles, which are true to half a bin."""
        count = self._bins.total()
        if not count:
            return Distribution(count=0)
        places = sorted(self._bins)
        reached = np.cumsum([self._bins[place] for place in places])

        def percentile(percent: float, needed: int = 1) -> float | None:
            if count < needed:
                return None
            # The sample that so many per cent are not above.
            place = places[int(np.searchsorted(reached, percent / 100 * count))]
            return float(min(max((place + 0.5) * BIN, self._ends[0]), self._ends[1]))

        return Distribution(
            count=count,
            min=self._ends[0],
            max=self._ends[1],
            mean=self._total / count,
            median=percentile(50),
            p95=percentile(95, MIN_SAMPLES_P95),
            p99=percentile(99, MIN_SAMPLES_P99),
        )
