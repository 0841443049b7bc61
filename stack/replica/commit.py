"""The commit policy: which text of a pass is stable, moved to the stream's time. Pure functions.

Text is complete when a pause follows it, when two passes agree on it, when enough audio follows
it, or when the window is full.
"""

import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from stack.protocol import Segment, Word
from stack.replica.hearing import HeardSegment

PAUSE: Final = 0.8
"""Seconds of silence after which what was said before is complete."""

SENTENCE_PAUSE: Final = 0.4
"""The same after the end of a sentence, as the model's marks show it. People pause as long in the
middle of a sentence, too, but then a model seldom ends it there."""

CONTEXT: Final = 3.0
"""A segment with another one after it, and this many seconds of audio, won't change any more: one
pass is enough to complete it. This is what settles a file that is sent at once."""

KEPT_SILENCE: Final = 0.5
"""Seconds of silence kept before audio to come: a word's soft beginning may hide in it."""

NO_TEXT_SECONDS: Final = 8.0
"""Audio this long in which the model found no text is begun later."""

NO_TEXT_LOST: Final = 3.0
"""By how many seconds at most."""

AGREEMENT: Final = 0.5
"""Seconds of audio by which two passes have to differ for their agreement to mean something."""

SAME_MOMENT: Final = 0.5
"""Ends of a segment in two passes may differ by this many seconds and still agree."""

LAST_MOMENT: Final = 0.06
"""Seconds at the end of the sound in which no word can be said."""

_SENTENCE_END: Final = re.compile(r"[.!?。！？…][\"'”’)\]]*\s*$")  # noqa: RUF001 - other scripts


def is_over(
    segments: Sequence[Segment], silence: float, sentence_pause: float = SENTENCE_PAUSE
) -> bool:
    """Say whether the silence after text is a pause that completes it."""
    if not segments:
        return False
    ended = _SENTENCE_END.search(segments[-1].text) is not None
    return silence >= (min(PAUSE, sentence_pause) if ended else PAUSE)


def in_stream(
    heard: Sequence[HeardSegment],
    *,
    start: float,
    end: float,
    lead: float,
    silence: float,
    settled_to: float,
) -> list[Segment]:
    """Move segments to the stream's time, in order, after what is settled.

    The pass lasted from ``start`` to ``end``, with ``lead`` and ``silence`` seconds of silence at
    its ends. Segments without text, and text invented for the silence at the end, are dropped.
    """
    found: list[Segment] = []
    # Nothing is spoken in the silence at both ends, whatever the model says of its times.
    earliest = max(settled_to, start + max(0.0, lead - 0.1))
    latest = round(max(earliest, end - max(0.0, silence - 0.2)), 3)
    sound_ends = end - silence
    for segment in heard:
        # Nothing can be said in the last moment: what a model puts there it made up.
        if start + segment.start >= sound_ends - LAST_MOMENT or not segment.text.strip():
            continue
        begins = between(start + segment.start, earliest, latest)
        ends = between(start + segment.end, begins, latest)
        words = words_in_stream(segment, start, begins, ends)
        found.append(Segment(start=begins, end=ends, text=segment.text, words=words))
        earliest = ends
    return found


class Stability:
    """Compares what passes heard; ``threshold`` is how often the same text makes it complete."""

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self._repeats = 0
        self._heard: deque[tuple[float, Sequence[Segment]]] = deque(maxlen=16)
        """Ends of the last passes and what they heard that is still open."""

    def forget(self) -> None:
        """Begin anew: what comes is other text."""
        self._repeats = 0
        self._heard.clear()

    def keep(self, rest: Sequence[Segment], end: float) -> None:
        """Go on with what a pass that ended at ``end`` left open, after something was completed."""
        self.forget()
        self._heard.append((end, rest))

    def count(self, segments: Sequence[Segment], end: float) -> int:
        """Count the segments at the front that may be completed.

        ``end`` is where the audio of the pass that heard them ends.
        """
        before = self._heard[-1][1] if self._heard else ()
        earlier_end, earlier = self._some_time_before(end)
        self._heard.append((end, segments))
        for index, segment in enumerate(segments[:-1]):
            pause = segments[index + 1].start - segment.end >= PAUSE
            agreed = index < len(earlier) and agree(earlier[index], segment)
            if not pause and not agreed and end - segment.end < CONTEXT:
                return index
        last = segments[-1]
        repeated = len(before) == len(segments) and agree(before[-1], last)
        self._repeats = self._repeats + 1 if repeated else 0
        # Noise may hide the pause from the levels: then two passes that agree on the same text,
        # both with enough audio after it, show it as well. What follows the segment is kept.
        same = len(earlier) == len(segments) and agree(earlier[-1], last)
        over = same and min(end - last.end, earlier_end - earlier[-1].end) >= PAUSE
        if over or self._repeats >= self._threshold:
            return len(segments)
        return len(segments) - 1

    def _some_time_before(self, end: float) -> tuple[float, Sequence[Segment]]:
        """Give the last pass that had less audio by enough: with almost the same, all agree."""
        for ended, segments in reversed(self._heard):
            if ended <= end - AGREEMENT + 1e-6:
                return ended, segments
        return 0.0, ()


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
