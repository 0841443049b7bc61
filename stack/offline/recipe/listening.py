"""How the evaluation listens: faster-whisper as its users call it, and the encoder fitted."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import Segment

from stack.offline.recipe.speech import Samples


@dataclass(frozen=True)
class Errors:
    """Edits between references and what was written instead."""

    words: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def edits(self) -> int:
        """All edits."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """The word error rate, as a fraction."""
        return self.edits / max(1, self.words)

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(
            self.words + other.words,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    def report(self) -> dict[str, Any]:
        """Give the counts and the rate in per cent."""
        return asdict(self) | {"edits": self.edits, "wer_percent": round(100 * self.rate, 2)}


def normalise(text: str) -> list[str]:
    """Give the words of a text in small letters, without marks."""
    return re.sub(r"[^a-z ]", " ", text.lower()).split()


def count_errors(reference: str | Sequence[str], written: str) -> Errors:
    """Count the edits between a reference and what was written."""
    words = normalise(reference if isinstance(reference, str) else " ".join(reference))
    heard = normalise(written)
    if not words:
        return Errors(0, 0, 0, len(heard))
    result = jiwer.process_words(" ".join(words), " ".join(heard))
    return Errors(len(words), result.substitutions, result.deletions, result.insertions)


def total(errors: Iterable[Errors]) -> Errors:
    """Add errors up."""
    return sum(errors, Errors(0, 0, 0, 0))


class Listener:
    """A model as evaluation uses it: int8, one thread, beam 1 unless said otherwise."""

    def __init__(self, directory: Path) -> None:
        self.model = WhisperModel(
            str(directory), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1
        )

    def segments(self, samples: Samples, **options: Any) -> list[Segment]:
        """Transcribe as faster-whisper's users do."""
        chosen = {"language": "en", "beam_size": 1} | options
        return list(self.model.transcribe(samples, **chosen)[0])

    def text(self, samples: Samples, **options: Any) -> str:
        """Transcribe to plain text."""
        return "".join(segment.text for segment in self.segments(samples, **options)).strip()

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return Tokenizer(
            self.model.hf_tokenizer, self.model.model.is_multilingual, task=None, language=None
        )

    def features(self, samples: Samples) -> np.ndarray:
        """Give log mel features without padding, (80, frames)."""
        return self.model.feature_extractor(samples, padding=0)

    def window(self, samples: Samples, frames: int | None = None) -> tuple[str, float]:
        """Decode one window of that many frames, or of just those that the audio has.

        Gives the text without timestamps and the probability that there is no speech.
        """
        features = self.features(samples)
        needed = frames or features.shape[-1] + features.shape[-1] % 2
        encoded = self.model.encode(pad_or_trim(features, needed))
        result = self.model.model.generate(
            encoded,
            [[self._tokenizer.sot]],
            beam_size=1,
            return_no_speech_prob=True,
            suppress_blank=True,
            max_initial_timestamp_index=50,
        )[0]
        tokens = [
            token for token in result.sequences_ids[0] if token < self._tokenizer.timestamp_begin
        ]
        return self._tokenizer.decode(tokens).strip(), result.no_speech_prob
