"""Cluster bootstrap: how far a figure would move had other sessions been drawn. Pure.

The samples of one session are correlated: a session on a busy replica is late from its first word
to its last. Resampling single samples would take 100 samples of one session for 100 witnesses and
call chance a difference. So whole sessions are drawn with replacement, each with all its samples
(C. A. Field and A. H. Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical
Society B 69 (2007) 369-390; A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their
Application", 1997, section 3.8).

A resample is a row of weights: how often each session was drawn. The pooled samples are sorted
once; a percentile of a resample is then a search in running sums of weights.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Weights = NDArray[np.float64]
"""One row a resample, one column a session: how often it was drawn."""

_BATCH: Final = 4_000_000
"""Weights held at once: 32 MB, whatever the number of sessions."""
_TABLE: Final = 8_000_000
"""Largest table of running counts: 64 MB."""


def weights(sessions: int, resamples: int, seed: Sequence[int]) -> Iterator[Weights]:
    """Yield resamples of so many sessions, in batches; the same seed yields the same ones."""
    generator = np.random.default_rng(list(seed))
    batch = max(1, min(resamples, _BATCH // max(1, sessions)))
    for first in range(0, resamples, batch):
        rows = min(batch, resamples - first)
        drawn = generator.integers(0, sessions, size=(rows, sessions))
        drawn += np.arange(rows)[:, None] * sessions
        counts = np.bincount(drawn.ravel(), minlength=rows * sessions)
        yield counts.reshape(rows, sessions).astype(np.float64)


class PooledSamples:
    """The samples of all sessions, in order, ready for the percentiles of many resamples."""

    def __init__(self, sessions: Sequence[Sequence[float] | NDArray[np.float64]]) -> None:
        sizes = np.array([len(samples) for samples in sessions], dtype=np.int64)
        values = np.concatenate([np.asarray(samples, dtype=np.float64) for samples in sessions])
        order = np.argsort(values, kind="stable")
        owners = np.repeat(np.arange(len(sessions)), sizes)[order]
        self.count = len(values)
        """Samples in all."""
        self.sessions = int(np.count_nonzero(sizes))
        """Sessions that have samples."""
        if not self.count:
            return
        blocks = int(np.clip(np.sqrt(self.count), 1, max(1, _TABLE // len(sessions))))
        self._size = -(-self.count // blocks)
        blocks = -(-self.count // self._size)
        # What fills the last block belongs to nobody: a column of weight zero.
        padding = blocks * self._size - self.count
        self._values = np.concatenate([values[order], np.full(padding, np.nan)])
        self._owners = np.concatenate([owners, np.full(padding, len(sessions))]).reshape(
            blocks, self._size
        )
        inside = np.zeros((len(sessions) + 1, blocks))
        np.add.at(inside, (self._owners.ravel(), np.repeat(np.arange(blocks), self._size)), 1)
        self._running = np.cumsum(inside[:-1], axis=1)
        """Samples of each session up to and with each block."""

    def percentiles(self, drawn: Weights, percents: Sequence[float]) -> NDArray[np.float64]:
        """Return one row a resample, one column a percentile; NaN of a resample with no samples.

        They are those that ``loadtest.statistics`` takes of the samples written out as often as
        their session was drawn: linear between order statistics.
        """
        result = np.full((len(drawn), len(percents)), np.nan)
        if not self.count:
            return result
        running = drawn @ self._running
        padded = np.concatenate([drawn, np.zeros((len(drawn), 1))], axis=1)
        totals = running[:, -1]
        some = totals > 0
        for column, percent in enumerate(percents):
            position = np.maximum(totals - 1, 0) * (percent / 100)
            below = np.floor(position)
            low = self._at_rank(padded, running, below)
            high = self._at_rank(padded, running, np.minimum(below + 1, np.maximum(totals - 1, 0)))
            value = low + (high - low) * (position - below)
            result[some, column] = value[some]
        return result

    def _at_rank(
        self, drawn: Weights, running: NDArray[np.float64], rank: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return each resample's sample of this rank, from 0."""
        rows = np.arange(len(drawn))
        block = np.sum(running <= rank[:, None], axis=1)
        # Only in a resample without samples; its result is thrown away.
        block = np.minimum(block, running.shape[1] - 1)
        before = np.where(block > 0, running[rows, block - 1], 0.0)
        inside = np.cumsum(drawn[rows[:, None], self._owners[block]], axis=1)
        inside += before[:, None]
        place = np.minimum(np.sum(inside <= rank[:, None], axis=1), self._size - 1)
        found: NDArray[np.float64] = self._values[block * self._size + place]
        return found


def ratios(
    drawn: Weights, numerators: NDArray[np.float64], denominators: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a pooled rate of each resample, such as edits over words; NaN over nothing."""
    below = drawn @ denominators
    result = np.full(len(drawn), np.nan)
    np.divide(drawn @ numerators, below, out=result, where=below > 0)
    return result
