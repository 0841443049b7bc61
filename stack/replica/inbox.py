"""Audio that came and was not looked at yet, and when it came."""

from collections import deque

import numpy as np

from stack.replica.voice import Samples


class Inbox:
    """A queue of samples, in blocks as they came; positions are samples from the stream's start."""

    def __init__(self) -> None:
        self._blocks: deque[Samples] = deque()
        self._arrivals: deque[tuple[int, float]] = deque()
        self.start = 0
        """Position of the first sample in it."""
        self._end = 0

    def add(self, samples: Samples, now: float) -> None:
        """Put samples at the end; ``now`` is the moment of their arrival."""
        self._blocks.append(samples)
        self._end += len(samples)
        # One entry for 100 ms at most, however small the client's messages are.
        if self._arrivals and now - self._arrivals[-1][1] < 0.1:
            self._arrivals[-1] = (self._end, self._arrivals[-1][1])
        else:
            self._arrivals.append((self._end, now))

    def take(self, end: int) -> Samples:
        """Take out what comes before a position."""
        taken: list[Samples] = []
        while self.start < end:
            block = self._blocks.popleft()
            wanted = end - self.start
            if len(block) > wanted:
                self._blocks.appendleft(block[wanted:])
                block = block[:wanted]
            taken.append(block)
            self.start += len(block)
        return np.concatenate(taken) if taken else np.empty(0, np.float32)

    def looked_at(self, end: int) -> None:
        """Forget when audio before a position came: it was looked at."""
        while self._arrivals and self._arrivals[0][0] <= end:
            self._arrivals.popleft()

    @property
    def oldest_arrival(self) -> float | None:
        """When the oldest audio came that was not looked at; None without any."""
        return self._arrivals[0][1] if self._arrivals else None
