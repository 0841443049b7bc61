"""Mel power, as faster-whisper's feature extractor computes it but before its logarithm.

Speech and noise add in this domain, so that training windows are composed of stored pieces
without going back to samples. Frame ``i`` is centred on sample ``160 i``.
"""

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from stack.offline.recipe.speech import SAMPLE_RATE, Samples

MELS: Final = 80
HOP: Final = 160
FRAMES_A_SECOND: Final = SAMPLE_RATE // HOP
WINDOW: Final = 400
FLOOR: Final = 1e-10
"""Least mel power, as in Whisper's own feature extraction."""

Power = npt.NDArray[np.float32]
"""Mel power, (frames, 80)."""


@lru_cache(maxsize=1)
def mel_filters() -> npt.NDArray[np.float32]:
    """Give faster-whisper's own filters, (80, 201)."""
    from faster_whisper.feature_extractor import FeatureExtractor  # noqa: PLC0415 (heavy)

    filters = FeatureExtractor.get_mel_filters(SAMPLE_RATE, WINDOW, MELS)
    return np.asarray(filters, dtype=np.float32)


def mel_power(samples: Samples) -> Power:
    """Compute the mel power of samples with silence around them, (frames, 80)."""
    frames = len(samples) // HOP + 3
    padded = np.zeros(WINDOW + frames * HOP, np.float32)
    padded[WINDOW // 2 : WINDOW // 2 + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: frames * HOP : HOP]
    taper = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    spectrum = np.abs(np.fft.rfft(windows * taper, axis=1).astype(np.complex64)) ** 2
    return (spectrum @ mel_filters().T).astype(np.float32)


def normalise(power: Power) -> Power:
    """Turn mel power into Whisper's input: decibels within 80 of the loudest, about -1 to 1.5."""
    logarithm = np.log10(np.maximum(power, FLOOR))
    return (np.maximum(logarithm, logarithm.max() - 8) + 4) / 4
