"""Make the test audio with espeak-ng: ``python -m test_audio.make``.

Every sentence is one that the offline model's training refuses by its text
(``stack.offline.recipe.sentences.is_held_out``), so that no clip can be part of it. The same
espeak-ng gives the same files.
"""

import argparse
import json
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from stack.offline.recipe import noises
from stack.offline.recipe.sentences import Sentence, is_held_out, parse
from stack.offline.recipe.speech import SAMPLE_RATE, Manner, Samples, Span, Synthesiser
from test_audio import CLIPS_DIRECTORY

LOUDNESS: Final = 0.5
"""The greatest amplitude of a clip, of 1."""

LEAD: Final = (0.2, 0.6)
PAUSE: Final = (0.3, 0.9)
TAIL: Final = (0.3, 0.6)
"""Least and greatest seconds of silence before, between and after sentences."""


ORDINARY: Final = Manner()


@dataclass(frozen=True)
class Clip:
    """What is said in one clip, by whom and how."""

    name: str
    voice: str
    text: str
    manner: Manner = ORDINARY
    room: float = 0.0
    """Root mean square of the pink noise under the speech."""

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences of the text."""
        marked = self.text.replace("?", "?|").replace(".", ".|")
        return tuple(parse(one.strip()) for one in marked.split("|") if one.strip())


CLIPS: Final = (
    Clip(
        "bus-and-weather",
        "en-us",
        "The yellow bus arrives at seven in the evening. "
        "The weather in the market is very warm tomorrow. "
        "The fast bus from the school to the station arrives now.",
    ),
    Clip(
        "repeated-digits",
        "en-us+f3",
        "Your number is five eight zero zero zero zero. My number is six seven two two. "
        "Your number is three three four nine nine four.",
        Manner(150, 50, 50),
    ),
    Clip(
        "repeated-letters",
        "en-gb-x-rp+m3",
        "Your code is sierra hotel hotel sierra. Call foxtrot foxtrot nine four three. "
        "Send the message to whiskey whiskey at two.",
        Manner(155, 45, 55),
    ),
    Clip(
        "doctors-and-farmers",
        "en-029+f2",
        "The doctor and the black teacher are waiting in the house. "
        "The farmer will move the warm window. "
        "The new farmer will bring the book on Saturday.",
        Manner(160, 55, 45),
    ),
    Clip(
        "where-and-when",
        "en-us+Annie",
        "Where is the new horse? When will the white plane call? Where is the fast cat at two? "
        "The horse is near the garden. The cat is under the door.",
        Manner(165, 50, 60),
        room=0.0005,
    ),
    Clip(
        "evening-plane",
        "en-gb-scotland+m7",
        "The warm plane from the city to the station arrives in the evening. "
        "The boat arrives at six.",
        Manner(140, 40, 50),
    ),
    Clip(
        "rooms-and-gates",
        "en-us-nyc+linda",
        "Room twenty five is open in the evening. Gate ten closes at two twenty. "
        "Platform nine opens at nine forty. Room one hundred is near the market. "
        "Room thirty three is near the house.",
        Manner(160, 50, 50),
    ),
    Clip(
        "please",
        "en+f5",
        "Please move the red door today. Please find the slow letter on Sunday. "
        "Please bring the letter at five. Please close the blue window today.",
        Manner(155, 60, 50),
    ),
    Clip(
        "minutes",
        "en-us+Michael",
        "We have twenty more minutes today. We have five hundred more minutes in the evening. "
        "We need thirty one more minutes in the evening. "
        "We have forty seven more minutes in the morning.",
        Manner(150, 50, 40),
        room=0.001,
    ),
    Clip(
        "messages",
        "en-gb-x-gbcwmd+m1",
        "Send the message to alpha alpha at eight. "
        "Send your message to delta quebec in the evening. "
        "My code is juliet foxtrot foxtrot bravo uniform. "
        "Send my message to november victor in the evening.",
        Manner(160, 50, 50),
    ),
    Clip(
        "long-journey",
        "en-us+steph",
        "The red train from the market to the garden arrives at ten. "
        "The bus leaves at eleven now. "
        "The slow boat from the market to the city stops on Tuesday. "
        "It is very warm in the city on Wednesday. "
        "The big plane from the river to the city leaves in the evening. "
        "The train leaves at three on Saturday.",
        Manner(165, 50, 50),
    ),
    Clip(
        "red-and-white",
        "en-us+Mike",
        "Take a new door with the white lamp. The white cat is in the market. "
        "Bring a red letter with the bird. The red farmer will find the warm lamp at nine.",
        Manner(155, 50, 50),
    ),
    Clip(
        "numbers-to-call",
        "en-029+Andrea",
        "Call mike sierra eight. Your number is one one two two. Call golf golf four seven seven. "
        "My number is nine five zero.",
        Manner(150, 50, 50),
    ),
    Clip(
        "at-the-bridge",
        "en-gb-x-rp+Gene",
        "The bird is behind the bridge. Please check the small table. "
        "The new doctor and the cold farmer are waiting at the bridge. "
        "The dog is under the box.",
        Manner(150, 50, 50),
    ),
    Clip(
        "other-accent",
        "en-gb-x-gbclan",
        "The teacher will bring the cold book on Thursday. The small cat is near the yellow city. "
        "It is not warm under the river in the evening.",
        Manner(150, 50, 50),
    ),
)
"""The last four are in voices that training never hears."""


def compose(clip: Clip, synthesiser: Synthesiser) -> tuple[Samples, list[Span]]:
    """Speak a clip; give its samples and the times of its words."""
    source = np.random.default_rng(list(clip.name.encode()))
    parts: list[Samples] = []
    words: list[Span] = []
    length = 0

    def add(part: Samples) -> None:
        nonlocal length
        parts.append(part)
        length += len(part)

    def pause(bounds: tuple[float, float]) -> None:
        add(np.zeros(int(source.uniform(*bounds) * SAMPLE_RATE), np.float32))

    pause(LEAD)
    for number, sentence in enumerate(clip.sentences):
        if not is_held_out(sentence):
            raise ValueError(f"training may have heard {sentence.text!r}")
        if number:
            pause(PAUSE)
        said = synthesiser.speak(sentence, clip.voice, clip.manner)
        words += [span.moved(length / SAMPLE_RATE) for span in said.words]
        add(said.samples)
    pause(TAIL)
    samples = np.concatenate(parts)
    samples *= LOUDNESS / float(np.abs(samples).max())
    if clip.room:
        samples += clip.room * noises.coloured(source, len(samples), noises.COLOURS["pink"])
    return samples, words


def write(clip: Clip, samples: Samples, words: list[Span], directory: Path) -> None:
    """Write a clip's three files."""
    with wave.open(str(directory / f"{clip.name}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32767).round().astype("<i2").tobytes())
    (directory / f"{clip.name}.txt").write_text(clip.text + "\n", encoding="utf-8")
    spans = [
        {"word": span.text, "start": round(span.start, 3), "end": round(span.end, 3)}
        for span in words
    ]
    lines = ",\n".join("  " + json.dumps(span) for span in spans)
    (directory / f"{clip.name}.words.json").write_text(
        f'{{"words": [\n{lines}\n]}}\n', encoding="utf-8"
    )


def main(arguments: list[str] | None = None) -> None:
    """Make every clip."""
    parser = argparse.ArgumentParser(prog="python -m test_audio.make", description=__doc__)
    parser.add_argument("--directory", type=Path, default=CLIPS_DIRECTORY)
    directory: Path = parser.parse_args(arguments).directory
    directory.mkdir(parents=True, exist_ok=True)
    synthesiser = Synthesiser()
    for clip in CLIPS:
        samples, words = compose(clip, synthesiser)
        write(clip, samples, words, directory)
        print(f"{clip.name}: {len(samples) / SAMPLE_RATE:.1f} s, {len(words)} words")


if __name__ == "__main__":
    main()
