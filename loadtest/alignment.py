"""A transcript laid beside its reference, word for word, as the word error rate counts it. Pure.

The words are compared after the normalisation of ``loadtest.wer`` and with jiwer's alignment, so
the errors shown are the errors counted. They are shown as they were written.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import jiwer

from loadtest.wer import normalise

_MARGIN: Final = 0.5
"""Seconds: servers round the ends of segments, so the word at the end may count or not."""
_PARTS: Final = re.compile(r"[\w'’]+")
_MORE_WORDS, _MORE_SHARE = 5, 1.25
"""Without word times: how many more words than have come may have been said."""


class Fate(StrEnum):
    """What became of a word."""

    RIGHT = "right"
    SUBSTITUTED = "substituted"
    DELETED = "deleted"
    """Said, and not heard."""
    INSERTED = "inserted"
    """Heard, and not said."""


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """One place of the two texts; "" where one of them has no word there."""

    fate: Fate
    said: str
    heard: str


def align(reference: str, transcript: str) -> list[AlignedWord]:
    """Lay a whole transcript beside its whole reference."""
    return _align(_words(reference), _words(transcript))


def align_so_far(
    reference: str, transcript: str, *, ends: Sequence[float] | None, heard: float
) -> list[AlignedWord]:
    """Lay what has come of a transcript beside what of its reference has been heard.

    ``ends``: where each word of the normalised reference ends, seconds, if that is known;
    ``heard``: up to where text has come. Words at the end that are missing are still to come.
    """
    said, got = _words(reference), _words(transcript)
    if ends is not None and len(ends) == len(said):
        said = [word for word, end in zip(said, ends, strict=True) if end <= heard + _MARGIN]
    else:
        said = said[: int(len(got) * _MORE_SHARE) + _MORE_WORDS]
    aligned = _align(said, got)
    while aligned and aligned[-1].fate is Fate.DELETED:
        aligned.pop()
    return aligned


def errors(words: Sequence[AlignedWord]) -> dict[Fate, int]:
    """Count the words of each fate."""
    return {fate: sum(word.fate is fate for word in words) for fate in Fate}


def shown_words(text: str) -> list[str]:
    """Return the words of a text as they are shown in an alignment."""
    return [written for _, written in _words(text)]


def _words(text: str) -> list[tuple[str, str]]:
    """Return each word normalised and as it was written.

    What normalises to several words ("twenty-five") is shown as those.
    """
    words: list[tuple[str, str]] = []
    for token in text.split():
        parts = normalise(token).split()
        written = [token] if len(parts) == 1 else _PARTS.findall(token)
        if [normalise(part) for part in written] != parts:
            written = parts
        words += zip(parts, written, strict=True)
    return words


def _align(said: list[tuple[str, str]], got: list[tuple[str, str]]) -> list[AlignedWord]:
    if not said:
        # jiwer refuses an empty reference; every word heard in it is an insertion.
        return [AlignedWord(Fate.INSERTED, "", written) for _, written in got]
    output = jiwer.process_words(
        " ".join(word for word, _ in said), " ".join(word for word, _ in got)
    )
    aligned = []
    for chunk in output.alignments[0]:
        left = [written for _, written in said[chunk.ref_start_idx : chunk.ref_end_idx]]
        right = [written for _, written in got[chunk.hyp_start_idx : chunk.hyp_end_idx]]
        match chunk.type:
            case "delete":
                aligned += [AlignedWord(Fate.DELETED, word, "") for word in left]
            case "insert":
                aligned += [AlignedWord(Fate.INSERTED, "", word) for word in right]
            case kind:
                fate = Fate.RIGHT if kind == "equal" else Fate.SUBSTITUTED
                aligned += [
                    AlignedWord(fate, one, other) for one, other in zip(left, right, strict=True)
                ]
    return aligned
