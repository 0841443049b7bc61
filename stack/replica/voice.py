"""Where in a stream is silence and where is speech, each sample looked at once.

Two views: levels, which cost next to nothing and are kept on the event loop, and the Silero voice
activity detector, which tells speech from noise and runs in the inference thread.
"""

import math
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from stack.protocol import SAMPLE_RATE

Samples = npt.NDArray[np.float32]

FRAME: Final = SAMPLE_RATE // 50
"""Samples of one level: 20 ms, about the shortest sound of speech."""

FRAME_SECONDS: Final = FRAME / SAMPLE_RATE

SILENCE: Final = 1e-3
"""Root mean square under which a frame is silent whatever comes around it: -60 dB of full scale,
below the noise of a quiet room in a usual microphone."""

RELATIVE_SILENCE: Final = 0.06
"""A frame is also silent below this share of the loud frames, about -24 dB: a pause in noise."""

SPEECH_FRAME: Final = 512
"""Samples of one frame of the detector: 32 ms."""

SPEECH_SECONDS: Final = SPEECH_FRAME / SAMPLE_RATE

CONTEXT: Final = 64
"""Samples before its frame that the detector sees, too."""

SPEECH_THRESHOLD: Final = 0.4
"""Probability from which a frame is speech. Measured with ``python -m benchmarks.voice``, see
docs/replica.md: lower, noise begins to count; higher, soft sounds of words stop to."""


def levels(samples: Samples) -> npt.NDArray[np.float32]:
    """Give the root mean square of each whole 20 ms frame."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    found: npt.NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", frames, frames) / FRAME)
    return found


class Levels:
    """The levels of one stream that are still wanted; positions in seconds from its start."""

    def __init__(self) -> None:
        self._levels = np.empty(256, np.float32)
        self._first = 0
        self._count = 0
        self._rest: Samples = np.empty(0, np.float32)

    def add(self, samples: Samples) -> None:
        """Take in the samples that follow those before."""
        joined = np.concatenate([self._rest, samples]) if len(self._rest) else samples
        found = levels(joined)
        needed = self._count + len(found)
        if needed > len(self._levels):
            grown = np.empty(max(needed, 2 * len(self._levels)), np.float32)
            grown[: self._count] = self._levels[: self._count]
            self._levels = grown
        self._levels[self._count : needed] = found
        self._count = needed
        self._rest = joined[len(found) * FRAME :].copy()

    def drop_before(self, moment: float) -> None:
        """Forget what comes before a moment."""
        gone = min(max(0, round(moment / FRAME_SECONDS) - self._first), self._count)
        self._levels[: self._count - gone] = self._levels[gone : self._count].copy()
        self._first += gone
        self._count -= gone

    def _between(self, start: float, end: float) -> npt.NDArray[np.float32]:
        first = max(0, round(start / FRAME_SECONDS) - self._first)
        return self._levels[first : max(first, min(self._count, self._index(end)))]

    def _index(self, moment: float) -> int:
        return math.ceil(moment / FRAME_SECONDS - 1e-6) - self._first

    def is_silent(self, start: float, end: float) -> bool:
        """Say whether nothing in it is louder than the noise floor; True for nothing at all."""
        found = self._between(start, end)
        return not len(found) or bool(found.max() < SILENCE)

    def edges(self, start: float, end: float) -> tuple[float, float]:
        """Give the seconds of silence at the beginning and at the end of a stretch.

        Silence is measured against its loud parts; without any sound, all of it is at both ends.
        """
        found = self._between(start, end)
        if not len(found):
            return 0.0, 0.0
        rank = int(0.95 * (len(found) - 1))
        loud_level = float(np.partition(found, rank)[rank])
        loud = np.flatnonzero(found >= max(SILENCE, RELATIVE_SILENCE * loud_level))
        if not len(loud):
            return end - start, end - start
        after = (len(found) - int(loud[-1]) - 1) * FRAME_SECONDS
        return int(loud[0]) * FRAME_SECONDS, after

    def quietest(self, low: float, high: float) -> float:
        """Give the time between low and high where a cut hurts least.

        That is the middle of the quietest 40 ms; low when there is less audio than that.
        """
        found = self._between(low, high)
        if len(found) < 2:
            return low
        pairs = found[:-1] + found[1:]
        first = max(self._first, round(low / FRAME_SECONDS))
        return (first + int(pairs.argmin()) + 1) * FRAME_SECONDS


class SpeechModel(Protocol):
    """Silero's network: rows of context and frame, and its state, to probabilities and state."""

    def run(self, names: None, inputs: dict[str, Any]) -> tuple[Any, Any, Any]:
        """Run it once; each row goes on from the one before."""


class SpeechDetector:
    """The detector's view of one stream; positions in seconds from its start. Not thread-safe."""

    def __init__(
        self, *, threshold: float = SPEECH_THRESHOLD, shortest: float = 0.0, model: Any = None
    ) -> None:
        self._model: SpeechModel = model if model is not None else _speech_model()
        self._threshold = threshold
        self._run = max(1, math.ceil(shortest / SPEECH_SECONDS))
        """Frames in a row that make speech."""
        self._memory = np.zeros((1, 1, 128), np.float32)
        self._cell = np.zeros((1, 1, 128), np.float32)
        self._rest: Samples = np.zeros(CONTEXT, np.float32)
        """The context of the next frame and what there is of that frame."""
        self.probabilities: npt.NDArray[np.float32] = np.empty(0, np.float32)
        """Of speech, one for each whole frame that is still wanted."""
        self._origin = 0.0
        """Where the first of them begins, seconds from the stream's start."""

    def add(self, samples: Samples) -> None:
        """Take in the samples that follow those before."""
        self._rest = np.concatenate([self._rest, samples])
        count = (len(self._rest) - CONTEXT) // SPEECH_FRAME
        if count <= 0:
            return
        views = np.lib.stride_tricks.sliding_window_view(self._rest, CONTEXT + SPEECH_FRAME)
        rows = np.ascontiguousarray(views[: count * SPEECH_FRAME : SPEECH_FRAME])
        found, self._memory, self._cell = self._model.run(
            None, {"input": rows, "h": self._memory, "c": self._cell}
        )
        self.probabilities = np.concatenate([self.probabilities, np.ravel(found)])
        self._rest = self._rest[count * SPEECH_FRAME :].copy()

    def drop_before(self, moment: float) -> None:
        """Forget what comes before a moment."""
        gone = min(max(0, int(self._place(moment))), len(self.probabilities))
        self.probabilities = self.probabilities[gone:].copy()
        self._origin += gone * SPEECH_SECONDS

    def restart(self, moment: float) -> None:
        """Go on at a later moment; what lies between is silence."""
        self._memory = np.zeros_like(self._memory)
        self._cell = np.zeros_like(self._cell)
        self._rest = np.zeros(CONTEXT, np.float32)
        self.probabilities = np.empty(0, np.float32)
        self._origin = moment

    def _place(self, moment: float) -> float:
        return (moment - self._origin) / SPEECH_SECONDS

    def speech(self, start: float, end: float) -> tuple[float, float] | None:
        """Give where speech begins and where it ends within a stretch; None without any."""
        first = max(0, math.floor(self._place(start)))
        last = max(first, math.ceil(self._place(end)))
        is_speech = self.probabilities[first:last] >= self._threshold
        if self._run > 1 and len(is_speech):
            kept = np.convolve(is_speech, np.ones(self._run), "full")[: len(is_speech)] >= self._run
            # A run counts from its first frame on, not from where it became long enough.
            is_speech = np.convolve(kept[::-1], np.ones(self._run), "full")[: len(kept)][::-1] > 0
        found = np.flatnonzero(is_speech)
        if not len(found):
            return None
        begins = self._origin + (first + int(found[0])) * SPEECH_SECONDS
        ends = self._origin + (first + int(found[-1]) + 1) * SPEECH_SECONDS
        return max(start, begins), min(end, ends)


def _speech_model() -> Any:
    from faster_whisper.vad import get_vad_model  # noqa: PLC0415 - slow to import

    return get_vad_model().session


USED_PARAMETERS: Final = frozenset({"threshold", "min_speech_duration_ms"})
"""The others cut a finished recording into pieces; here there is nothing to cut."""


def check_vad_parameters(parameters: dict[str, Any] | None) -> tuple[dict[str, float], list[str]]:
    """Split into what the detector takes (numbers under known names) and names it can't use."""
    usable: dict[str, float] = {}
    unusable: list[str] = []
    for name, value in (parameters or {}).items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in USED_PARAMETERS and is_number and 0 <= value <= 10_000:
            usable[name] = value
        elif value is not None:
            unusable.append(name[:64])
    return usable, unusable
