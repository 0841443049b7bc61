"""Segments compared, clamped to the stream's time, and parted."""

import re
from typing import Final

from stack.protocol import Segment, Word
from stack.replica.transcriber import HeardSegment

SAME_MOMENT: Final = 0.5
"""Ends of a segment in two passes may differ by this many seconds and still agree."""


def between(moment: float, low: float, high: float) -> float:
    """Clamp a moment and round it to milliseconds, as messages carry it."""
    return round(min(max(moment, low), max(low, high)), 3)


def words_in_stream(
    segment: HeardSegment, offset: float, start: float, end: float
) -> list[Word] | None:
    """Move a segment's words to the stream's time, in order, within its start and end."""
    if segment.words is None:
        return None
    found = []
    for word in segment.words:
        begins = between(word.start + offset, start, end)
        ends = between(word.end + offset, begins, end)
        found.append(word.model_copy(update={"start": begins, "end": ends}))
        start = ends
    return found


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()


def agree(one: Segment, other: Segment) -> bool:
    """Say whether two passes heard the same segment: the same words with about the same end."""
    return abs(one.end - other.end) <= SAME_MOMENT and _plain(one.text) == _plain(other.text)


def cut(segments: list[Segment], end: float) -> tuple[list[Segment], list[Segment]]:
    """Part a full window into what is completed and what stays open.

    The last segment stays open. If it is the only one, its last words do, since the window's end
    may cut them; without word times it is completed as a whole.
    """
    if len(segments) > 1:
        return segments[:-1], segments[-1:]
    only = segments[0]
    words = only.words or []
    count = sum(word.end <= end - 1.0 for word in words)
    if not 0 < count < len(words):
        return segments, []
    return [_from_words(only, words[:count])], [_from_words(only, words[count:])]


def _from_words(segment: Segment, words: list[Word]) -> Segment:
    return segment.model_copy(
        update={
            "start": words[0].start,
            "end": words[-1].end,
            "text": "".join(word.word for word in words),
            "words": words,
        }
    )
