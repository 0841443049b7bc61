"""Whisper's input: log-mel spectrograms, computed once per sample of a stream.

A frame is 10 ms. It looks at 25 ms of audio around its beginning, so all but the newest frame of
growing audio are final as soon as they are there, and a pass computes only what is new. The values
are those that faster-whisper's extractor gives for the same audio at once; a test holds them to it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from stack.replica.voice import Samples

HOP: Final = 160
"""Samples from frame to frame: 10 ms."""

TRANSFORM: Final = 400
"""Samples that one frame looks at, the middle of them being the frame's beginning."""

HALF: Final = TRANSFORM // 2

FLOOR: Final = 1e-10
DYNAMIC_RANGE: Final = 8.0
"""Decades below the loudest value that are kept; both as Whisper was trained."""

Frames = npt.NDArray[np.float32]
"""Shape (frames, mels): powers of ten, not scaled yet."""


class LogMel:
    """The transform of one model; ``filters`` has the shape (mels, 201)."""

    def __init__(self, filters: npt.NDArray[np.float32]) -> None:
        self._filters = np.ascontiguousarray(filters.T, dtype=np.float32)
        self._window = np.hanning(TRANSFORM + 1)[:-1].astype(np.float32)
        self.mels: int = filters.shape[0]

    def frames(self, samples: Samples, count: int) -> Frames:
        """Give ``count`` frames; frame i looks at ``samples[i * HOP : i * HOP + TRANSFORM]``."""
        views = np.lib.stride_tricks.sliding_window_view(samples, TRANSFORM)[: count * HOP : HOP]
        spectrum = np.fft.rfft(views[:count] * self._window, axis=1)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        found: Frames = np.log10(np.maximum(power.astype(np.float32) @ self._filters, FLOOR))
        return found


class Features:
    """The frames of one stream that are still wanted. Not thread-safe.

    Positions are frames from the start of the stream.
    """

    def __init__(self, mel: LogMel) -> None:
        self._mel = mel
        self._frames: Frames = np.empty((256, mel.mels), np.float32)
        self._first = 0
        self._count = 0
        self._rest: Samples = np.empty(0, np.float32)
        """From what the next frame looks at first; in the very beginning, the stream's start."""
        self._begun = False

    @property
    def end(self) -> int:
        """One past the last frame that is final."""
        return self._first + self._count

    def append(self, samples: Samples) -> None:
        """Take in the samples that follow those before."""
        self._rest = np.concatenate([self._rest, samples])
        if not self._begun:
            if len(self._rest) <= HALF:
                return
            self._rest = self._mirrored(self._rest)
            self._begun = True
        count = (len(self._rest) - TRANSFORM) // HOP + 1
        if count <= 0:
            return
        self._reserve(count)
        self._frames[self._count : self._count + count] = self._mel.frames(self._rest, count)
        self._count += count
        self._rest = self._rest[count * HOP :].copy()

    def restart(self, frame: int) -> None:
        """Go on at a later frame; what lies between is silence and not wanted."""
        self._first, self._count = frame, 0
        self._rest = np.zeros(HALF, np.float32)
        self._begun = True

    def drop_before(self, frame: int) -> None:
        """Forget what comes before a frame."""
        gone = min(max(0, frame - self._first), self._count)
        self._frames[: self._count - gone] = self._frames[gone : self._count].copy()
        self._first += gone
        self._count -= gone

    def window(self, first: int, last: int) -> npt.NDArray[np.float32]:
        """Give the frames from ``first`` up to ``last`` as the encoder takes them.

        Shape (mels, frames), scaled. Frames whose audio has not all come yet see silence after it.
        """
        found = self._frames[max(0, first - self._first) : max(0, last - self._first)]
        found = found[: max(0, self._first + self._count - max(first, self._first))]
        missing = last - max(first, self.end)
        if missing > 0:
            rest = self._rest if self._begun else self._mirrored(self._rest)
            needed = missing * HOP + TRANSFORM
            padded = np.pad(rest, (0, max(0, needed - len(rest))))
            found = np.concatenate([found, self._mel.frames(padded, missing)])
        loudest = float(found.max()) if len(found) else 0.0
        scaled = (np.maximum(found, loudest - DYNAMIC_RANGE) + 4.0) / 4.0
        return np.ascontiguousarray(scaled.T, dtype=np.float32)

    @staticmethod
    def _mirrored(samples: Samples) -> Samples:
        """Put the mirror image of the stream's first 200 samples before it, as Whisper does."""
        if len(samples) <= HALF:
            samples = np.pad(samples, (0, HALF + 1 - len(samples)))
        return np.concatenate([samples[HALF:0:-1], samples])

    def _reserve(self, count: int) -> None:
        needed = self._count + count
        if needed > len(self._frames):
            grown = np.empty((max(needed, 2 * len(self._frames)), self._mel.mels), np.float32)
            grown[: self._count] = self._frames[: self._count]
            self._frames = grown
