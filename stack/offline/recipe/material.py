"""What a model is evaluated on: spoken sentences and streams that no training has heard.

Everything is drawn from held-out sentences (``sentences.is_held_out``); an earlier experiment's
training texts that fall among them are left out too (``earlier_texts.txt``), because the shipped
weights come from that experiment's.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from stack.offline.recipe.corpus import random_manner
from stack.offline.recipe.sentences import Grammar, Sentence, is_held_out
from stack.offline.recipe.speech import SAMPLE_RATE, Samples, Span, Synthesiser
from stack.offline.recipe.voices import VOICES

EARLIER_TEXTS: Final = frozenset(
    (Path(__file__).parent / "earlier_texts.txt").read_text(encoding="utf-8").splitlines()
)


@dataclass(frozen=True)
class Recording:
    """Samples at 16 kHz with what is said in them and when."""

    samples: Samples
    sentences: tuple[Sentence, ...]
    words: tuple[Span, ...]
    voice: str

    @property
    def text(self) -> str:
        """The reference text."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


class Material:
    """Draws recordings, the same ones for the same name (and draw)."""

    def __init__(self, draw: str = "") -> None:
        self.synthesiser = Synthesiser()
        self.draw = f"{draw} " if draw else ""

    def recordings(
        self,
        name: str,
        count: int,
        *,
        sentences: tuple[int, int] = (1, 1),
        voices: tuple[str, ...] = VOICES,
        repeating: bool = False,
    ) -> list[Recording]:
        """Draw recordings of so many sentences each, by one voice each."""
        source = random.Random(f"{self.draw}evaluation {name}")
        grammar = Grammar(source)
        drawn = []
        for number in range(count):
            voice = voices[number % len(voices)] if len(voices) < 10 else source.choice(voices)
            chosen = [
                _unheard(grammar, repeating=repeating) for _ in range(source.randint(*sentences))
            ]
            drawn.append(self.record(source, voice, chosen))
        return drawn

    def record(self, source: random.Random, voice: str, sentences: list[Sentence]) -> Recording:
        """Let a voice say sentences one after another, with pauses."""
        manner = random_manner(source)
        parts: list[Samples] = [_silence(source.uniform(0.05, 0.6))]
        words: list[Span] = []
        length = len(parts[0])
        for number, sentence in enumerate(sentences):
            said = self.synthesiser.speak(sentence, voice, manner)
            words += [span.moved(length / SAMPLE_RATE) for span in said.words]
            last = number == len(sentences) - 1
            pause = _silence(source.uniform(0.1, 0.5) if last else source.uniform(0.15, 1.2))
            parts += [said.samples, pause]
            length += len(said.samples) + len(pause)
        samples = np.concatenate(parts) * np.float32(10 ** source.uniform(-0.5, 0))
        return Recording(samples, tuple(sentences), tuple(words), voice)


def _unheard(grammar: Grammar, *, repeating: bool) -> Sentence:
    while True:
        sentence = grammar.repeating() if repeating else grammar.ordinary()
        if is_held_out(sentence) and sentence.text not in EARLIER_TEXTS:
            return sentence


def _silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * SAMPLE_RATE), np.float32)
