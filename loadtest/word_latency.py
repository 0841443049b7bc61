"""Latency by word: when each word that was spoken was first shown, and first certain. Pure.

This is the delay that a person feels. The latency of updates is that of the newest sound in each:
a server that shows everything once a second looks no worse by it than one that shows each word at
once; by this it does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from loadtest.wer import normalise

SHIFT = 4
"""Words by which unfinished text may lie beside its place in the final text."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """One word of the reference, normalised."""

    word: str
    moment: float
    """When the message that holds its end was scheduled to be sent, monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a client saw after one message."""

    moment: float
    completed: int
    """How many segments were completed by then."""
    unfinished: str


def word_latencies(
    spoken: Sequence[Spoken],
    completed: Sequence[tuple[float, str]],
    shown: Sequence[Shown],
) -> tuple[list[float], list[float]]:
    """Give seconds from spoken to shown, and to completed, of the words that came out right.

    ``completed``: arrival and text of each completed segment, in order. Words are matched where
    reference and final text agree in their best alignment. A word that was shown before it was
    spoken was a guess and doesn't count; it counts when it is shown again.
    """
    starts, words = _lay_out(completed, shown)
    # By place in the final text, the place in the reference.
    of_place = {place: index for index, place in _equal([one.word for one in spoken], words)}
    first_shown: dict[int, float] = {}
    for update in shown:
        base = starts[min(update.completed, len(completed))]
        unfinished = normalise(update.unfinished).split()
        near = words[base : base + len(unfinished) + SHIFT]
        for _, place in _equal(unfinished, near):
            _note(first_shown, of_place.get(base + place), update.moment, spoken)
    certain: dict[int, float] = {}
    for number, (moment, _) in enumerate(completed):
        for place in range(starts[number], starts[number + 1]):
            _note(first_shown, of_place.get(place), moment, spoken)
            _note(certain, of_place.get(place), moment, spoken)
    return (
        [moment - spoken[index].moment for index, moment in sorted(first_shown.items())],
        [moment - spoken[index].moment for index, moment in sorted(certain.items())],
    )


def _lay_out(
    completed: Sequence[tuple[float, str]], shown: Sequence[Shown]
) -> tuple[list[int], list[str]]:
    """Give where each completed segment begins in the final text, and its words.

    What was still unfinished at the end is part of the final text.
    """
    starts = [0]
    words: list[str] = []
    for _, text in completed:
        words.extend(normalise(text).split())
        starts.append(len(words))
    if shown and shown[-1].unfinished:
        words.extend(normalise(shown[-1].unfinished).split())
    return starts, words


def _equal(one: Sequence[str], other: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Give the pairs of places at which two texts have the same word, best aligned."""
    for step in Levenshtein.opcodes(one, other):
        if step.tag == "equal":
            yield from zip(
                range(step.src_start, step.src_end),
                range(step.dest_start, step.dest_end),
                strict=True,
            )


def _note(
    found: dict[int, float], index: int | None, moment: float, spoken: Sequence[Spoken]
) -> None:
    if index is not None and moment >= spoken[index].moment:
        found[index] = min(moment, found.get(index, moment))
