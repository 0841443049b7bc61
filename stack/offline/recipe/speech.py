"""Speech from espeak-ng, in process, with the times of every word and phoneme.

The library is called through ctypes, because only its events tell when a word is spoken. The
structures and numbers are those of espeak-ng 1.51's public header ``speak_lib.h``.
"""

import ctypes
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stack.offline.recipe.sentences import Sentence

LIBRARY: Final = "libespeak-ng.so.1"
SAMPLE_RATE: Final = 16_000
"""Samples a second of everything outside this module."""

Samples = npt.NDArray[np.float32]

_SYNCHRONOUS_OUTPUT = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback
_PHONEME_EVENTS = 1  # espeakINITIALIZE_PHONEME_EVENTS
_CHARACTERS_UTF8 = 1  # espeakCHARS_UTF8
_POSITION_CHARACTER = 1  # POS_CHARACTER
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeakRATE, espeakPITCH, espeakRANGE
_END_OF_LIST, _WORD_EVENT, _PHONEME_EVENT = 0, 1, 7
_AUDIBLE = 5e-4
"""Amplitude below which the ends of a synthesised sentence are cut away."""


class EspeakUnavailableError(RuntimeError):
    """espeak-ng's library is not on this machine."""


class _EventIdentity(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("identity", _EventIdentity),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Span:
    """A word or a phoneme with its start and end, in seconds."""

    text: str
    start: float
    end: float

    def moved(self, seconds: float) -> "Span":
        """Give the same span later by some seconds."""
        return Span(self.text, self.start + seconds, self.end + seconds)


@dataclass(frozen=True)
class Manner:
    """How something is said: words a minute, and pitch and its range from 0 to 100."""

    rate: int = 160
    pitch: int = 50
    pitch_range: int = 50


@dataclass(frozen=True)
class Utterance:
    """One spoken sentence, at 16 kHz, without silence at its ends."""

    sentence: Sentence
    samples: Samples
    words: tuple[Span, ...]
    phonemes: tuple[Span, ...]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


class Synthesiser:
    """One instance of espeak-ng; a process may have only one."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise EspeakUnavailableError(f"{LIBRARY} cannot be loaded: {error}") from error
        self._rate = self._library.espeak_Initialize(
            _SYNCHRONOUS_OUTPUT, 200, None, _PHONEME_EVENTS
        )
        if self._rate <= 0:
            raise EspeakUnavailableError("espeak-ng did not start: are its data installed?")
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._words: list[tuple[int, float]] = []  # position in the text, seconds
        self._phonemes: list[tuple[str, float]] = []  # name, seconds
        self._callback = _Callback(self._receive)  # kept: C holds only its address
        self._library.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != _END_OF_LIST:
            event = events[index]
            seconds = event.audio_position / 1000
            if event.type == _WORD_EVENT:
                self._words.append((event.text_position, seconds))
            elif event.type == _PHONEME_EVENT:
                name = bytes(event.identity.string).split(b"\0")[0].decode("utf8", "replace")
                self._phonemes.append((name, seconds))
            index += 1
        return 0

    def speak(self, sentence: Sentence, voice: str, manner: Manner) -> Utterance:
        """Synthesise a sentence; a voice that does not exist raises ``ValueError``."""
        if voice != self._voice:
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise ValueError(f"espeak-ng has no voice {voice!r}")
            self._voice = voice
        for parameter, value in (
            (_RATE, manner.rate),
            (_PITCH, manner.pitch),
            (_RANGE, manner.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._blocks.clear()
        self._words.clear()
        self._phonemes.clear()
        text = sentence.text.encode()
        self._library.espeak_Synth(
            text, len(text) + 1, 0, _POSITION_CHARACTER, 0, _CHARACTERS_UTF8, None, None
        )
        sound = np.concatenate(self._blocks).astype(np.float32) / 32768
        audible = np.flatnonzero(np.abs(sound) > _AUDIBLE)
        if not len(audible):
            raise ValueError(f"{voice!r} says nothing for {sentence.text!r}")
        first = max(0, int(audible[0]) - 200)
        last = min(len(sound), int(audible[-1]) + 400)
        end = (int(audible[-1]) + 1) / self._rate
        cut = first / self._rate
        bounds = word_bounds(sentence.words, self._words, cut, end)
        words = tuple(
            Span(word, max(0.0, start - cut), max(0.0, stop - cut))
            for word, start, stop in zip(sentence.words, bounds[:-1], bounds[1:], strict=True)
        )
        stops = [*(seconds for _, seconds in self._phonemes[1:]), end]
        phonemes = tuple(
            Span(name, start - cut, stop - cut)
            for (name, start), stop in zip(self._phonemes, stops, strict=True)
            if stop > start
        )
        samples = resample(sound[first:last], self._rate)
        return Utterance(sentence, samples, words, phonemes)


def word_bounds(
    words: Sequence[str], events: Sequence[tuple[int, float]], start: float, end: float
) -> list[float]:
    """Give the time at which each word starts, and the end of the last one.

    ``events`` are (position in the text counted from 1, seconds). espeak-ng reports function words
    that it says in one go ("in the") as one event: their time is shared by their letters.
    """
    positions, position = [], 1
    for word in words:
        positions.append(position)
        position += len(word) + 1
    known: dict[int, float] = {}
    for text_position, seconds in events:
        index = max(n for n, at in enumerate(positions) if at <= max(1, text_position))
        known.setdefault(index, seconds)
    known.setdefault(0, start)
    known[len(words)] = end
    bounds: list[float] = []
    indices = sorted(known)
    for low, high in itertools.pairwise(indices):
        letters = [len(word) + 1 for word in words[low:high]]
        span, spoken = known[high] - known[low], 0
        for count in letters:
            bounds.append(known[low] + span * spoken / sum(letters))
            spoken += count
    return [*bounds, end]


def resample(samples: Samples, rate: int) -> Samples:
    """Bring samples to 16 kHz by cutting their spectrum, exact for the whole sentence."""
    if rate == SAMPLE_RATE:
        return samples
    common = np.gcd(rate, SAMPLE_RATE)
    blocks = -(-len(samples) // (rate // common)) + 2
    blocks += blocks % 2
    source, target = blocks * (rate // common), blocks * (SAMPLE_RATE // common)
    padded = np.zeros(source)
    padded[: len(samples)] = samples
    spectrum = np.fft.rfft(padded)[: target // 2 + 1]
    spectrum[-1] = 0
    resampled = np.fft.irfft(spectrum, target) * (target / source)
    return resampled[: round(len(samples) * SAMPLE_RATE / rate)].astype(np.float32)
