"""What one session's messages mean in figures. Pure: times come in, samples come out.

All times are seconds on one monotonic clock. Chunk ``k`` holds the audio from ``k * chunk`` to
``(k + 1) * chunk`` and is scheduled at ``first_send + k * chunk``. Latencies count from the
scheduled time, so a late generator can't flatter the server.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtest.word_latency import Shown, Spoken, word_latencies
from stack.segments import HeardSegment

_SAME_TIME = 1e-3
"""Servers send times with three decimals."""


@dataclass(slots=True)
class SessionMeasurement:
    """Follows one session from its first scheduled chunk to its last message."""

    first_send: float
    chunk: float
    chunks: int
    sent_chunks: int = 0
    """Chunks of the stream that the server can have heard: up to here on this connection."""
    message_count: int = 0
    latency: list[float] = field(default_factory=list)
    final_latency: list[float] = field(default_factory=list)
    first_text_at: float | None = None
    last_text_at: float | None = None
    completed: list[tuple[float, str]] = field(default_factory=list)
    """Arrival and text of every completed segment, in order."""
    shown: list[Shown] = field(default_factory=list)
    """What was to be seen after each message that changed it."""
    _seen: set[tuple[float, float, str]] = field(default_factory=set)
    _unfinished: HeardSegment | None = None
    _final: str | None = None
    _furthest_before: int = 0
    """The most chunks that earlier connections sent."""
    _connection_starts: int = 0
    """Chunk that the present connection began with: the server counts its seconds from there."""
    _completed_before: int = 0
    """Segments that earlier connections completed."""
    _reached: float = 0.0
    _reached_final: float = 0.0

    def scheduled(self, index: int) -> float:
        """Return when chunk ``index`` is scheduled."""
        return self.first_send + index * self.chunk

    @property
    def furthest(self) -> int:
        """The most chunks that were ever sent; a client that comes back sends some again."""
        return max(self._furthest_before, self.sent_chunks)

    @property
    def backlog(self) -> float:
        """Seconds of audio sent that no text has come for yet; silence has none."""
        return max(0.0, self.sent_chunks * self.chunk - self._reached)

    def resume(self) -> int:
        """Begin again on a new connection: return the chunk that the client goes on with.

        That is the one in which the last completed text ended. What was not completed is
        forgotten by the server, so it is sent once more.
        """
        # A chunk's beginning that is heard twice does less harm than a word's end that is not.
        start = math.floor(self._reached_final / self.chunk + 1e-9)
        self._furthest_before = self.furthest
        self.sent_chunks = self._connection_starts = start
        self._completed_before = len(self.completed)
        self._seen.clear()
        self._unfinished = None
        # A second hearing replaces text of its own connection only.
        self._final = None
        return start

    @property
    def progress(self) -> float:
        """Seconds of the stream up to which text has come."""
        return self._reached

    def update(self, segments: Sequence[HeardSegment], received: float) -> list[float]:
        """Take in one segments message; return its new latency samples (none or one)."""
        self.message_count += 1
        # Only the end of the text can change: all of it would be compared with each message.
        known = len(self.completed)
        before = self._unfinished.text.strip() if self._unfinished is not None else ""
        end, at_work = 0.0, False
        for segment in segments:
            if not segment.completed:
                at_work = True
            if not segment.text.strip():
                continue
            end = max(end, segment.end)
            if segment.completed:
                # Every message repeats the last ones: they count when they first arrive.
                if (key := (segment.start, segment.end, segment.text)) not in self._seen:
                    self._seen.add(key)
                    self._complete(segment, received)
            else:
                self._unfinished = segment
        if not at_work:
            self._unfinished = None
        unfinished = self._unfinished.text if self._unfinished is not None else ""
        after = [text.strip() for _, text in self.completed[known:]]
        if " ".join([*after, unfinished.strip()]).strip() != before:
            self.shown.append(Shown(received, len(self.completed), unfinished))
            self.last_text_at = received
            if self.first_text_at is None:
                self.first_text_at = received
        reached = self._heard(end)
        if reached <= self._reached + _SAME_TIME:
            return []
        self._reached = reached
        sample = received - self._scheduled_for(reached)
        self.latency.append(sample)
        return [sample]

    def replace(self, segments: Sequence[HeardSegment], received: float) -> None:
        """Take in the text of a second hearing, which replaces all text before.

        It says when the session's text was whole, and what it is; it is no update.
        """
        self.message_count += 1
        before = self.transcript
        self._final = " ".join(segment.text.strip() for segment in segments)
        if self.transcript != before:
            self.last_text_at = received

    def _complete(self, segment: HeardSegment, received: float) -> None:
        self.completed.append((received, segment.text))
        reached = self._heard(segment.end)
        if reached > self._reached_final + _SAME_TIME:
            self._reached_final = reached
            self.final_latency.append(received - self._scheduled_for(reached))

    def _heard(self, end: float) -> float:
        """Limit a segment's end to the audio sent: no server can have heard what comes later.

        Models round ends up; without the limit that would make latencies too small.
        """
        begins = self._connection_starts * self.chunk
        return min(begins + end, self.sent_chunks * self.chunk)

    def word_latencies(
        self, words: Sequence[str], ends: Sequence[float]
    ) -> tuple[list[float], list[float]]:
        """Give seconds from spoken to shown and to completed, of the words that came out right.

        ``words``: the normalised reference; ``ends``: where each ends, seconds from the start.
        """
        spoken = [
            Spoken(word, self._scheduled_for(end)) for word, end in zip(words, ends, strict=True)
        ]
        return word_latencies(spoken, self.completed, self.shown)

    def _scheduled_for(self, position: float) -> float:
        """Return the scheduled time of the chunk that holds the audio just before ``position``."""
        index = math.ceil(position / self.chunk - 1e-9) - 1
        return self.scheduled(min(max(index, 0), self.chunks - 1))

    @property
    def transcript(self) -> str:
        """Completed text in the order of arrival and the unfinished text at the end.

        After a second hearing, what that heard.
        """
        if self._final is not None:
            # It heard what came on its own connection.
            earlier = [text.strip() for _, text in self.completed[: self._completed_before]]
            return " ".join([*earlier, self._final])
        parts = [text.strip() for _, text in self.completed]
        if self._unfinished is not None:
            parts.append(self._unfinished.text.strip())
        return " ".join(parts)

    @property
    def first_result(self) -> float | None:
        """Seconds from the first chunk's scheduled time to the first text."""
        return None if self.first_text_at is None else self.first_text_at - self.first_send

    @property
    def finish(self) -> float | None:
        """Seconds from the last chunk's scheduled time to the last text, at least 0.

        Text that was complete before the last chunk (silence at the end) leaves no wait.
        """
        if self.last_text_at is None:
            return None
        return max(0.0, self.last_text_at - self.scheduled(self.chunks - 1))
