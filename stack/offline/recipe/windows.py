"""Training windows, composed of stored sentences and noises in the domain of mel power.

A window is what a recogniser sees at some moment of a stream: it may begin in the middle of a
word, end anywhere, hold some sentences or only noise, and be padded or not. Composing them anew
for every step makes hours of speech out of every stored minute. Pure but for numpy.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from stack.offline.recipe import tokenizer
from stack.offline.recipe.corpus import Piece
from stack.offline.recipe.features import FRAMES_A_SECOND, MELS, Power, mel_filters, normalise
from stack.offline.recipe.sentences import VOCABULARY
from stack.offline.recipe.speech import SAMPLE_RATE, Span

Generator = np.random.Generator
Labels = npt.NDArray[np.int64]

IGNORED: Final = -100
"""A target that counts for nothing, as ``torch.nn.functional.cross_entropy`` has it."""

POSITIONS_A_SECOND: Final = FRAMES_A_SECOND // 2
FULL_FRAMES: Final = 3000
TOKEN_LIMIT: Final = 448
"""Positions of the decoder."""

HEARD: Final = 0.7
"""The share of a word that must lie within a window for the word to be written."""

EDGE: Final = 0.2
"""Seconds at a sentence's start or end where its timestamps and mark are to be found."""

FIRST_TIMESTAMP_LIMIT: Final = 1.0
"""faster-whisper allows no later first timestamp, in seconds (``max_initial_timestamp``)."""

WORD_CLASSES: Final = {word: number for number, word in enumerate(VOCABULARY, start=1)}
PLACES: Final = {"ordinal": 17, "previous": len(VOCABULARY) + 2, "run": 6}
"""What else is known of the word at a position, with the number of classes; 0 is silence.

``ordinal``: which word of its sentence it is, from 1; the last class stands for all later ones.
``previous``: the word before it; the last class where there is none. ``run``: which it is of equal
words in a row.
"""


@dataclass(frozen=True)
class Mixture:
    """How often what happens to a window, as probabilities."""

    full: float = 0.35
    silent: float = 0.08
    starts_cut: float = 0.3
    previous_text: float = 0.15
    timestamps: float = 0.85
    noisy: float = 0.5
    coloured: float = 0.45
    warped: float = 0.5
    offset: float = 0.1
    unpadded_floor: float = 0.12
    jumps: float = 0.35
    repeating: float = 0.6
    """Of the jumps to another sentence and voice, those to a sentence with repeated words."""


@dataclass
class Part:
    """What of one sentence lies within a window: its words with their times in the window."""

    words: list[Span]
    mark: str
    opens: bool


@dataclass
class Window:
    """One training example of F frames."""

    mels: npt.NDArray[np.float32]
    """(80, F)"""
    offset: int
    """Position in the encoder's table at which the window starts."""
    inputs: list[int]
    targets: list[int]
    spans: list[tuple[float, float] | None]
    """For each target that has a place in the sound, where that is, in seconds."""
    words: Labels
    """(F / 2,) class of the word at each encoder position."""
    phonemes: Labels
    """(F / 2,) class of the phoneme at each encoder position."""
    places: Labels
    """(F / 2, 3) where in its sentence the word at each encoder position is: see ``PLACES``."""


@dataclass
class Composer:
    """Composes windows from a corpus."""

    pieces: Sequence[Piece]
    noises: npt.NDArray[np.float16]
    phoneme_classes: Mapping[str, int]
    mixture: Mixture = field(default_factory=Mixture)

    def __post_init__(self) -> None:
        filters = mel_filters()
        frequencies = np.linspace(0, SAMPLE_RATE / 2, filters.shape[1])
        self._repeating = [
            number
            for number, piece in enumerate(self.pieces)
            if any(one.text == other.text for one, other in itertools.pairwise(piece.words))
        ]
        self._centres = (filters * frequencies).sum(1) / filters.sum(1)

    def compose(self, source: Generator, frames: int) -> Window:
        """Compose one window of the given (even) number of frames."""
        mixture = self.mixture
        chance = source.random
        heard = frames if chance() < mixture.full else int(source.uniform(50, frames))
        words = np.zeros(frames // 2, np.int64)
        phonemes = np.zeros(frames // 2, np.int64)
        places = np.zeros((frames // 2, len(PLACES)), np.int64)
        first = self._jump(source)
        parts: list[Part] = []
        if chance() < mixture.silent:
            power = self._silence(source, heard)
            fragment = False
        else:
            power = np.zeros((heard, MELS), np.float32)
            parts = self._fill(source, first, power, words, phonemes)
            fragment = bool(power.any())
            places[words == IGNORED] = IGNORED
            for part in parts:
                _place_words(part, places)
            power = self._disturb(source, power)
        mels = self._finish(source, power, frames)
        offset = 0
        if chance() < mixture.offset:
            offset = int(source.integers(0, 1500 - frames // 2 + 1))
        inputs, targets, spans = self._tokens(source, parts, heard, frames, offset)
        if not parts and fragment:
            targets[0] = IGNORED  # sounds of a cut word: neither speech nor silence
        previous = self._previous(source, first) if chance() < mixture.previous_text else []
        inputs = (previous + inputs)[:TOKEN_LIMIT]
        targets = ([IGNORED] * len(previous) + targets)[:TOKEN_LIMIT]
        spans = ([None] * len(previous) + spans)[:TOKEN_LIMIT]
        return Window(mels, offset, inputs, targets, spans, words, phonemes, places)

    def _jump(self, source: Generator) -> int:
        """Choose any sentence, often one with repeated words: they are the hardest to get right."""
        if self._repeating and source.random() < self.mixture.repeating:
            return self._repeating[int(source.integers(len(self._repeating)))]
        return int(source.integers(len(self.pieces)))

    def _fill(
        self, source: Generator, first: int, power: Power, words: Labels, phonemes: Labels
    ) -> list[Part]:
        """Lay sentences into the window one after another; give what can be heard of each."""
        heard, parts, number = len(power), [], first
        if source.random() < self.mixture.starts_cut:
            start = -int(source.uniform(0, 12) if source.random() < 0.3 else source.uniform(5, 200))
        else:
            gaps = (source.uniform(0, 15), source.uniform(0, 60), source.uniform(50, 300))
            start = int(source.choice(gaps, p=(0.5, 0.35, 0.15)))
        stopping = source.choice((0, 0.15, 0.5))
        while start < heard:
            piece = self.pieces[number % len(self.pieces)]
            self._lay(source, piece, start, power)
            _label(
                piece,
                start,
                heard,
                words=words,
                phonemes=phonemes,
                classes=self.phoneme_classes,
            )
            part = part_heard(piece, start / FRAMES_A_SECOND, heard / FRAMES_A_SECOND)
            if part.words:
                parts.append(part)
            gaps = (source.uniform(0, 30), source.uniform(20, 120), source.uniform(100, 400))
            start += len(piece.logarithm) + int(source.choice(gaps, p=(0.4, 0.45, 0.15)))
            jumps = source.random() < self.mixture.jumps
            number = self._jump(source) if jumps else number + 1
            if source.random() < stopping:
                break
        return parts

    def _lay(self, source: Generator, piece: Piece, start: int, power: Power) -> None:
        low, high = max(0, start), min(len(power), start + len(piece.logarithm))
        if high > low:
            part = piece.logarithm[low - start : high - start].astype(np.float32)
            power[low:high] += 10.0 ** (part + np.float32(source.uniform(-0.25, 0.25)))

    def _silence(self, source: Generator, heard: int) -> Power:
        """Compose a window without speech."""
        power = np.zeros((heard, MELS), np.float32)
        for _ in range(int(source.choice((0, 1, 2), p=(0.12, 0.68, 0.2)))):
            level = np.float32(10 ** source.uniform(-10, 0))
            power += self._bank(source, heard) * level
        if source.random() < 0.3:
            power = power * self._colour(source)
        return power

    def _bank(self, source: Generator, heard: int) -> Power:
        """Cut a piece out of the bank of noises, for the most part as loud as it was drawn."""
        row = self.noises[int(source.integers(len(self.noises)))]
        start = int(source.integers(0, len(row) - heard + 1))
        return (10.0 ** row[start : start + heard].astype(np.float32)).astype(np.float32)

    def _disturb(self, source: Generator, power: Power) -> Power:
        """Warp, colour and lay noise over speech, and choose its level."""
        if source.random() < self.mixture.warped:
            power = power @ self._warp(float(source.uniform(0.86, 1.16)))
        power = power * np.float32(10 ** source.uniform(-2.4, 0.6))
        if source.random() < self.mixture.coloured:
            power = power * self._colour(source)
        if source.random() < self.mixture.noisy and power.any():
            loudness = power.mean(1)
            reference = loudness[loudness > loudness.max() * 1e-3].mean()
            if source.random() < 0.5:
                noise = self._bank(source, len(power))
            else:
                noise = _drawn_noise(source, len(power))
            mean = noise.mean()
            if mean > 0:
                noise = noise * (reference / mean * 10 ** -source.uniform(0.4, 4))
                # Two sounds add as waves: their phases decide on a part of the sum.
                phases = source.uniform(-0.6, 0.6, power.shape).astype(np.float32)
                power = power + noise + 2 * np.sqrt(power * noise) * phases
        return power.astype(np.float32)

    def _colour(self, source: Generator) -> npt.NDArray[np.float32]:
        """Draw the frequency response of some microphone and room, (80,)."""
        start, slope = source.uniform(25, 80), source.uniform(0, 0.12)
        low_pass = np.minimum(0, (start - np.arange(MELS)) * slope)
        return (10 ** (_smooth(source, 0.35) + low_pass)).astype(np.float32)

    def _warp(self, factor: float) -> npt.NDArray[np.float32]:
        """Give the matrix that scales frequencies, as another length of throat does, (80, 80)."""
        wanted = np.interp(self._centres * factor, self._centres, np.arange(MELS))
        low = np.minimum(wanted.astype(int), MELS - 2)
        matrix = np.zeros((MELS, MELS), np.float32)
        columns = np.arange(MELS)
        matrix[low, columns] += 1 - (wanted - low)
        matrix[low + 1, columns] += wanted - low
        return matrix

    def _finish(self, source: Generator, power: Power, frames: int) -> npt.NDArray[np.float32]:
        """Normalise and pad to the window's frames, (80, frames)."""
        if source.random() < 0.2 and power.any():  # a louder sound elsewhere sets the floor
            louder = power.copy()
            louder[0, 0] = max(louder[0, 0], power.max() * 10 ** source.uniform(0, 1))
            mels = normalise(louder)
            mels[0, 0] = mels[0, 1]
        else:
            mels = normalise(power)
        # faster-whisper pads with zeros after normalising; others pad with silence before it.
        floor = source.random() < self.mixture.unpadded_floor
        window = np.full((MELS, frames), mels.min() if floor else 0.0, np.float32)
        window[:, : len(mels)] = mels.T
        return window

    def _tokens(
        self, source: Generator, parts: list[Part], heard: int, frames: int, offset: int
    ) -> tuple[list[int], list[int], list[tuple[float, float] | None]]:
        """Give the decoder's inputs, its targets, and when each target is said."""
        timed = source.random() < self.mixture.timestamps
        shift = offset / POSITIONS_A_SECOND
        if not parts:
            opening = tokenizer.timestamp(shift) if timed else tokenizer.NO_TIMESTAMPS
            return [tokenizer.START, opening], [tokenizer.NO_SPEECH, tokenizer.END], [None, None]
        body: list[int] = [] if timed else [tokenizer.NO_TIMESTAMPS]
        spans: list[tuple[float, float] | None] = [None] * len(body)
        for number, part in enumerate(parts):
            start, end = part.words[0].start, part.words[-1].end
            if timed:
                if number == 0 and offset == 0:
                    start = min(start, FIRST_TIMESTAMP_LIMIT)
                body.append(tokenizer.timestamp(start + shift))
                spans.append((part.words[0].start, part.words[0].start + EDGE))
                unfinished = number == len(parts) - 1 and not part.mark
                if unfinished and number > 0 and heard == frames == FULL_FRAMES:
                    break  # left to the next window, as Whisper's long-form decoding expects
            numbers = tokenizer.sentence_numbers(
                [span.text for span in part.words], part.mark, opens=part.opens
            )
            body += numbers
            spans += [(span.start, span.end) for span in part.words]
            closing = (max(0.0, end - EDGE), end)
            spans += [closing] * (len(numbers) - len(part.words))
            if timed:
                stamp = tokenizer.timestamp(end + shift)
                body.append(max(stamp, tokenizer.timestamp(start + shift) + 5))
                spans.append(closing)
        return [tokenizer.START, *body], [*body, tokenizer.END], [*spans, None]

    def _previous(self, source: Generator, first: int) -> list[int]:
        """Give what was said before, as faster-whisper hands it to the decoder."""
        stamped = source.random() < 0.7
        numbers: list[int] = []
        for number in range(first - int(source.integers(1, 12)), first):
            piece = self.pieces[number % len(self.pieces)]
            said = tokenizer.sentence_numbers([span.text for span in piece.words], piece.mark)
            if stamped:
                start = float(source.uniform(0, 27))
                end = start + piece.words[-1].end
                said = [tokenizer.timestamp(start), *said, tokenizer.timestamp(end)]
            numbers += said
        return [tokenizer.PREVIOUS, *numbers[-223:]]


def part_heard(piece: Piece, start: float, heard: float) -> Part:
    """Give what can be heard of a sentence that starts at ``start`` in a window ``heard`` long."""
    words, last = [], -1
    for number, span in enumerate(piece.words):
        moved = span.moved(start)
        low, high = max(0.0, moved.start), min(heard, moved.end)
        if (high - low) / max(moved.end - moved.start, 1e-3) > HEARD:
            words.append(Span(span.text, low, high))
            last = number
    complete = last == len(piece.words) - 1
    opens = bool(words) and len(words) == last + 1
    return Part(words, piece.mark if complete else "", opens)


def word_places(part: Part) -> list[tuple[int, int, int]]:
    """Give for every word of a part the classes of ``PLACES``."""
    places, run = [], 0
    for number, span in enumerate(part.words):
        before = part.words[number - 1].text if number else None
        run = run + 1 if span.text == before else 1
        previous = WORD_CLASSES[before] if before else PLACES["previous"] - 1
        places.append(
            (min(number + 1, PLACES["ordinal"] - 1), previous, min(run, PLACES["run"] - 1))
        )
    return places


def _place_words(part: Part, places: Labels) -> None:
    """Write where in its sentence the word at each encoder position is."""
    for span, place in zip(part.words, word_places(part), strict=True):
        low, high = round(span.start * POSITIONS_A_SECOND), round(span.end * POSITIONS_A_SECOND)
        places[low:high] = place


def _label(
    piece: Piece,
    start: int,
    heard: int,
    *,
    words: Labels,
    phonemes: Labels,
    classes: Mapping[str, int],
) -> None:
    """Write the classes of a sentence's words and phonemes at their encoder positions."""
    begin, limit = start / FRAMES_A_SECOND, heard / FRAMES_A_SECOND
    for span in piece.words:
        low, high = max(0.0, span.start + begin), min(limit, span.end + begin)
        share = (high - low) / max(span.end - span.start, 1e-3)
        if share > 0.05:
            known = WORD_CLASSES[span.text] if share > HEARD else IGNORED
            words[round(low * POSITIONS_A_SECOND) : round(high * POSITIONS_A_SECOND)] = known
    for span in piece.phonemes:
        low, high = max(0.0, span.start + begin), min(limit, span.end + begin)
        if high > low:
            known = classes.get(span.text, 0)
            phonemes[round(low * POSITIONS_A_SECOND) : round(high * POSITIONS_A_SECOND)] = known


def _smooth(source: Generator, amplitude: float) -> npt.NDArray[np.float64]:
    """Draw a smooth curve over the mel bands, (80,)."""
    knots = source.normal(0, amplitude, 5)
    return np.interp(np.linspace(0, 1, MELS), np.linspace(0, 1, 5), knots)


def _drawn_noise(source: Generator, heard: int) -> Power:
    """Draw noise right in the mel domain, of more shapes than the bank has, (heard, 80)."""
    tilt = source.uniform(-2, 0.5) if source.random() < 0.7 else source.uniform(-5, 0)
    shape = 10 ** (_smooth(source, 0.6) + np.linspace(0, tilt, MELS))
    noise = source.chisquare(4, (heard, MELS)) / 4 * shape
    if source.random() < 0.3:
        points = max(2, heard // 80)
        gains = source.normal(0, 0.4, points)
        wavering = np.interp(np.arange(heard), np.linspace(0, heard, points), gains)
        noise *= 10 ** wavering[:, None]
    return noise.astype(np.float32)
