"""Where in a piece of audio is silence: cheap energy measures, and the Silero model on request."""

import dataclasses
import functools
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stack.protocol import SAMPLE_RATE

Samples = npt.NDArray[np.float32]

FRAME: Final = SAMPLE_RATE // 50
"""Samples of one energy frame: 20 ms, about the shortest sound of speech."""

SILENCE: Final = 1e-3
"""Root mean square under which a frame is silent whatever comes around it: -60 dB of full scale,
below the noise of a quiet room in a usual microphone."""

RELATIVE_SILENCE: Final = 0.06
"""A frame is also silent below this share of the loud frames, about -24 dB: a pause in noise."""


def levels(samples: Samples) -> npt.NDArray[np.float32]:
    """Give the root mean square of each 20 ms frame; a last frame that is cut short counts."""
    whole = len(samples) // FRAME * FRAME
    frames = samples[:whole].reshape(-1, FRAME)
    found: npt.NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", frames, frames) / FRAME)
    if whole == len(samples):
        return found
    rest = samples[whole:]
    return np.append(found, np.float32(np.sqrt(np.mean(rest * rest))))


def is_silent(samples: Samples) -> bool:
    """Say whether nothing in it is louder than the noise floor; True for no samples at all."""
    return not len(samples) or bool(levels(samples).max() < SILENCE)


def silent_edges(samples: Samples) -> tuple[float, float]:
    """Give the seconds of silence at the beginning and at the end.

    Silence is measured against the loudest parts; without any sound, all of it is at both ends.
    """
    length = len(samples) / SAMPLE_RATE
    if not len(samples):
        return 0.0, 0.0
    found = levels(samples)
    threshold = max(SILENCE, RELATIVE_SILENCE * float(np.percentile(found, 95)))
    loud = np.flatnonzero(found >= threshold)
    if not len(loud):
        return length, length
    before = int(loud[0]) * FRAME / SAMPLE_RATE
    return before, max(0.0, length - (int(loud[-1]) + 1) * FRAME / SAMPLE_RATE)


def quietest(samples: Samples, low: float, high: float) -> float:
    """Give the time in seconds, between low and high, where a cut hurts least.

    That is the middle of the quietest 40 ms; low when there is less audio than that.
    """
    first = max(0, int(low * SAMPLE_RATE))
    found = levels(samples[first : max(first, int(high * SAMPLE_RATE))])
    if len(found) < 2:
        return low
    pairs = found[:-1] + found[1:]
    return (first + (int(pairs.argmin()) + 1) * FRAME) / SAMPLE_RATE


@functools.cache
def vad_parameter_names() -> frozenset[str]:
    """Give the names that a session's vad_parameters may hold."""
    from faster_whisper.vad import VadOptions  # noqa: PLC0415 - slow to import

    return frozenset(field.name for field in dataclasses.fields(VadOptions))


def check_vad_parameters(parameters: dict[str, Any] | None) -> tuple[dict[str, float], list[str]]:
    """Split into what the detector takes (numbers under known names) and names it can't use."""
    usable: dict[str, float] = {}
    unusable: list[str] = []
    for name, value in (parameters or {}).items():
        known = name in vad_parameter_names()
        if known and isinstance(value, int | float) and not isinstance(value, bool):
            usable[name] = value
        else:
            unusable.append(name[:64])
    return usable, unusable


def has_speech(samples: Samples, parameters: dict[str, float]) -> bool:
    """Ask the Silero detector whether there is speech anywhere in the samples."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps  # noqa: PLC0415 - as above

    if is_silent(samples):
        return False
    return bool(get_speech_timestamps(samples, VadOptions(**parameters)))
