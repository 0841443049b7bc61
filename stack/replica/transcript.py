"""The text of one session: what is completed, what is still open, and what the client was told.

Completed text never changes and never goes, and times never go back. That holds here and nowhere
else, so that no policy can break it.
"""

from collections import deque
from collections.abc import Sequence

from stack.protocol import Segment


class Transcript:
    """Completed and open segments in order of time; times in seconds from the stream's start.

    ``repeated`` is how many completed segments each update repeats, ``words`` whether segments
    carry their words.
    """

    def __init__(self, *, repeated: int, words: bool) -> None:
        self._repeated = repeated
        self._words = words
        self._completed: deque[Segment] = deque()
        self._count = 0
        self._sent = 0
        self._shown: tuple[int, Segment | None] = (0, None)
        self.settled_to = 0.0
        """End of the last completed segment: nothing begins before it."""
        self.open: list[Segment] = []
        """What may still change."""

    def complete(self, segments: Sequence[Segment]) -> None:
        """Complete segments that follow those before; raises ValueError when they do not."""
        for segment in segments:
            if not self.settled_to <= segment.start <= segment.end:
                raise ValueError(
                    f"a segment from {segment.start} to {segment.end} s can't follow "
                    f"{self.settled_to} s"
                )
            words = segment.words if self._words else None
            self._completed.append(segment.model_copy(update={"completed": True, "words": words}))
            self.settled_to = segment.end
        self._count += len(segments)

    def complete_open(self, count: int | None = None) -> None:
        """Complete the first ``count`` open segments, or all."""
        count = len(self.open) if count is None else count
        done, self.open = self.open[:count], self.open[count:]
        self.complete(done)

    @property
    def unfinished(self) -> Segment | None:
        """All that is open, as the one unfinished segment that the protocol knows."""
        if not self.open:
            return None
        words = [word for segment in self.open for word in segment.words or ()]
        return Segment(
            start=self.open[0].start,
            end=self.open[-1].end,
            text="".join(segment.text for segment in self.open),
            words=words if self._words else None,
        )

    def take_updates(self) -> list[list[Segment]]:
        """Give the segment lists to send now: none when nothing changed since the last call.

        Usually one; several when more segments were completed since the last one than a list
        holds, so that a client that was slow to read misses none.
        """
        unfinished = self.unfinished
        if (self._count, unfinished) == self._shown:
            return []
        size = self._repeated
        completed = list(self._completed)
        fresh = self._count - self._sent
        lists: list[list[Segment]] = []
        while fresh > size:
            first = len(completed) - fresh
            lists.append(completed[first : first + size])
            fresh -= size
        tail = completed[-size:]
        shown = self._shown[1]
        if unfinished is None and shown is not None and tail and shown.text != tail[-1].text:
            # Upstream's client keeps the unfinished text that it saw last until a completed one has
            # the same text, and puts it at the end of its transcript if none ever has.
            lists.append([*tail[:-1], tail[-1].model_copy(update={"completed": False})])
        lists.append([*tail, unfinished] if unfinished is not None else tail)
        while len(self._completed) > size:
            self._completed.popleft()
        self._sent = self._count
        self._shown = (self._count, unfinished)
        return [one for one in lists if one]

    def take_completed(self) -> list[Segment]:
        """Give what was completed since the last call, and keep it no longer."""
        fresh = list(self._completed)[len(self._completed) - (self._count - self._sent) :]
        self._completed.clear()
        self._sent = self._count
        return fresh
