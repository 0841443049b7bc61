"""At which probability a sound is speech: what a threshold of the detector misses and takes in.

For the clips, clean and in noise: how many words lie below a threshold throughout, how many of
their frames do, and how many frames of the pauses between sentences lie above it. For sounds that
are no speech: how many frames lie above it.

    python -m benchmarks.voice
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from loadtest.clips import read_samples, usable_clips
from stack.protocol import SAMPLE_RATE
from stack.replica.voice import SPEECH_SECONDS, SPEECH_THRESHOLD, Samples, SpeechDetector
from test_audio import CLIPS_DIRECTORY

THRESHOLDS = (0.2, 0.3, 0.35, 0.4, 0.5, 0.6)
NOISES = (0.0, 0.003, 0.02)
"""Root mean square of white noise added to the clips; their speech has about 0.1."""
SECONDS = 30
Values = npt.NDArray[np.float32]


def probabilities(samples: Samples) -> Values:
    """Give the detector's probability of each frame."""
    detector = SpeechDetector()
    detector.add(samples)
    return detector.probabilities


def words(path: Path) -> list[dict[str, float]]:
    """Read a clip's words with their times."""
    found: list[dict[str, float]] = json.loads(path.with_suffix(".words.json").read_text())["words"]
    return found


def speech(noise: float) -> tuple[list[Values], Values]:
    """Give the frames of every word, and all frames of the pauses, with noise over them."""
    source = np.random.default_rng(0)
    in_words: list[Values] = []
    in_pauses: list[Values] = []
    for clip in usable_clips(CLIPS_DIRECTORY)[0]:
        samples = read_samples(clip.path, clip.samples)
        samples = samples + source.normal(0, noise, len(samples)).astype(np.float32)
        found = probabilities(samples)
        spoken = words(clip.path)
        for word in spoken:
            first, last = (int(word[key] / SPEECH_SECONDS) for key in ("start", "end"))
            in_words.append(found[first : max(first + 1, last)])
        for word, following in itertools.pairwise(spoken):
            # The edges of a pause are speech that dies away and begins.
            start, end = word["end"] + 0.15, following["start"] - 0.1
            if end - start > 0.15:
                in_pauses.append(found[int(start / SPEECH_SECONDS) : int(end / SPEECH_SECONDS)])
    return in_words, np.concatenate(in_pauses)


def sounds() -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Give sounds that are no speech."""
    source = np.random.default_rng(1)
    count = SECONDS * SAMPLE_RATE
    time = np.arange(count) / SAMPLE_RATE
    yield "white noise", source.normal(0, 0.02, count)
    yield "loud white noise", source.normal(0, 0.2, count)
    yield "brown noise", np.cumsum(source.normal(0, 0.002, count))
    yield "mains hum", 0.1 * np.sin(2 * np.pi * 50 * time) + source.normal(0, 0.003, count)
    yield "clicks", np.where(source.random(count) < 0.0003, 0.8, 0.0)
    pitch = np.repeat(source.uniform(200, 1500, SECONDS * 10), SAMPLE_RATE // 10)
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    yield "tones", np.asarray(0.2 * np.sin(phase), np.float64)


def main() -> None:
    """Measure and print."""
    table = Table(title=f"threshold of the speech detector (default {SPEECH_THRESHOLD:g})")
    for heading in ("sound", "of", *(f"{one:g}" for one in THRESHOLDS)):
        table.add_column(heading, justify="left" if heading in ("sound", "of") else "right")
    for noise in NOISES:
        name = f"clips, noise {noise:g}" if noise else "clips"
        in_words, in_pauses = speech(noise)
        frames = np.concatenate(in_words)
        loudest = np.array([found.max() for found in in_words])
        rows = {
            f"{len(loudest)} words missed": [(loudest < one).mean() for one in THRESHOLDS],
            "frames of words missed": [(frames < one).mean() for one in THRESHOLDS],
            "frames of pauses taken": [(in_pauses >= one).mean() for one in THRESHOLDS],
        }
        for what, shares in rows.items():
            table.add_row(name, what, *(f"{share:.1%}" for share in shares))
    for name, samples in sounds():
        found = probabilities(np.clip(samples, -1, 1).astype(np.float32))
        shares = [(found >= one).mean() for one in THRESHOLDS]
        table.add_row(name, "frames taken", *(f"{share:.1%}" for share in shares))
    Console().print(table)


if __name__ == "__main__":
    main()
