"""The training corpus: spoken sentences and noises as mel power, in shards of one file each."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stack.offline.recipe import noises
from stack.offline.recipe.features import FLOOR, mel_power
from stack.offline.recipe.sentences import Grammar, Sentence, draw_for_training
from stack.offline.recipe.speech import SAMPLE_RATE, Manner, Span, Synthesiser
from stack.offline.recipe.voices import VOICES

RUN: Final = 12
"""Sentences that one voice says in a row, so that a window mostly has one speaker."""

NOISE_SECONDS: Final = 31


@dataclass(frozen=True)
class Piece:
    """One spoken sentence: log10 of its mel power, (frames, 80), with word and phoneme times."""

    logarithm: npt.NDArray[np.float16]
    words: tuple[Span, ...]
    phonemes: tuple[Span, ...]
    mark: str
    voice: str


def random_manner(source: random.Random) -> Manner:
    """Draw how a sentence is said, within what is easily understood."""
    return Manner(source.randint(120, 200), source.randint(20, 80), source.randint(20, 80))


def synthesise_shard(number: int, sentences: int, directory: Path) -> int:
    """Write one shard; return the number of frames in it. The number is the random seed."""
    source = random.Random(f"corpus {number}")
    grammar, synthesiser = Grammar(source), Synthesiser()
    logarithms: list[npt.NDArray[np.float16]] = []
    index: list[dict[str, Any]] = []
    voice = source.choice(VOICES)
    while len(index) < sentences:
        if len(index) % RUN == 0:
            voice = source.choice(VOICES)
        said = synthesiser.speak(draw_for_training(grammar), voice, random_manner(source))
        power = mel_power(said.samples)
        logarithms.append(np.log10(np.maximum(power, FLOOR)).astype(np.float16))
        index.append(
            {
                "voice": voice,
                "mark": said.sentence.mark,
                "frames": len(power),
                "words": [(span.text, span.start, span.end) for span in said.words],
                "phonemes": [(span.text, span.start, span.end) for span in said.phonemes],
            }
        )
    np.save(directory / f"speech-{number:03}.npy", np.concatenate(logarithms))
    (directory / f"speech-{number:03}.json").write_text(json.dumps(index))
    return sum(len(logarithm) for logarithm in logarithms)


def synthesise_noises(directory: Path, count: int) -> None:
    """Write a bank of sounds that are not speech, (count, frames, 80)."""
    source = np.random.default_rng(20)
    kinds = list(noises.KINDS)
    bank = []
    for number in range(count):
        kind = kinds[number % len(kinds)]
        sound = noises.draw(source, NOISE_SECONDS * SAMPLE_RATE, kind)
        if source.random() < 0.3:
            sound = noises.fade(source, sound)
        power = mel_power(sound)[: NOISE_SECONDS * 100]
        bank.append(np.log10(np.maximum(power, FLOOR)).astype(np.float16))
    np.save(directory / "noises.npy", np.stack(bank))


def synthesise(directory: Path, sentences: int, processes: int, shard: int = 480) -> None:
    """Write the whole corpus, some processes at a time."""
    directory.mkdir(parents=True, exist_ok=True)
    synthesise_noises(directory, 120)
    shards = -(-sentences // shard)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = [
            pool.submit(synthesise_shard, number, shard, directory) for number in range(shards)
        ]
        for done, future in enumerate(waiting, start=1):
            print(f"shard {done} of {shards}: {future.result() / 6000:.1f} minutes", flush=True)


def load_pieces(directory: Path) -> Iterator[Piece]:
    """Give every spoken sentence of the corpus, in the order in which the voices said them."""
    for path in sorted(directory.glob("speech-*.json")):
        logarithms = np.load(path.with_suffix(".npy"))
        start = 0
        for entry in json.loads(path.read_text()):
            stop = start + entry["frames"]
            yield Piece(
                logarithm=logarithms[start:stop],
                words=tuple(Span(*span) for span in entry["words"]),
                phonemes=tuple(Span(*span) for span in entry["phonemes"]),
                mark=entry["mark"],
                voice=entry["voice"],
            )
            start = stop


def load_noises(directory: Path) -> npt.NDArray[np.float16]:
    """Give the bank of noises: log10 of mel power, (count, frames, 80)."""
    return np.load(directory / "noises.npy")


def sentences_of(pieces: list[Piece]) -> set[Sentence]:
    """Give the texts of a corpus."""
    return {Sentence(tuple(span.text for span in piece.words), piece.mark) for piece in pieces}
