"""One client's stream: its audio, what is settled and what is not. Pure state, no I/O.

A session keeps the audio that is not settled yet. A *pass* looks at that audio, at most one window
of it, and its result settles some text: *completed* segments, which never change again, and the
audio under them goes. Audio goes in two cases only: its text is completed, or it was looked at and
found silent.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from stack.protocol import SAMPLE_RATE, Segment, SessionOptions
from stack.replica.segments import agree, between, cut, words_in_stream
from stack.replica.transcriber import Heard, Request
from stack.replica.voice import Samples, is_silent, quietest, silent_edges

PAUSE: Final = 0.8
"""Seconds of silence after which what was said before is complete."""

CONTEXT: Final = 3.0
"""A segment with another one after it, and this many seconds of audio, won't change any more: one
pass is enough to complete it. This is what settles a file that is sent at once."""

KEPT_SILENCE: Final = 0.5
"""Seconds of silence kept before audio to come: a word's soft beginning may hide in it."""

NO_TEXT_SECONDS: Final = 8.0
"""Audio this long in which the model found no text is done with, but for its last part."""

NO_TEXT_KEPT: Final = 3.0
"""How much of that is kept: a word may have begun."""

LANGUAGE_SECONDS: Final = 2.0
LANGUAGE_SURE: Final = 0.5
LANGUAGE_SECONDS_AT_MOST: Final = 10.0
"""A language is settled once it is likelier than not over two seconds, or after ten seconds."""


@dataclass(frozen=True)
class Pass:
    """One look at the unsettled audio."""

    request: Request
    start: float
    """Where the audio begins, seconds from the start of the stream."""
    end: float
    final: bool
    """Nothing comes after this audio."""
    full: bool
    """The audio fills the window: something must be settled."""
    silent: bool
    """There is no sound in it at all, so the model need not be asked."""


class Session:
    """State of one stream; times in seconds from its start. Not thread-safe.

    ``window`` is the longest audio of one pass in seconds, ``language`` the language that is known
    without detection, if any.
    """

    def __init__(
        self,
        options: SessionOptions,
        *,
        window: float,
        language: str | None,
        vad_parameters: dict[str, float] | None = None,
    ) -> None:
        self.options = options
        self.language = language
        self.language_probability = 1.0
        self.finishing = False
        """No audio comes any more; what is there has to be completed."""
        self._window = int(window * SAMPLE_RATE)
        self._vad_parameters = vad_parameters or {}
        self._audio: Samples = np.empty(2 * SAMPLE_RATE, np.float32)
        self._length = 0
        self._offset = 0
        self._heard = 0
        self._arrivals: deque[tuple[int, float]] = deque()
        self._looked_at = 0.0
        self._spoken = False
        self._completed: deque[Segment] = deque()
        self._completed_count = 0
        self._sent_count = 0
        self._settled_to = 0.0
        self._open: list[Segment] = []
        self._repeats = 0
        self._language_due = False
        self._shown: tuple[int, Segment | None] = (0, None)

    @property
    def received(self) -> float:
        """Seconds of audio received."""
        return (self._offset + self._length) / SAMPLE_RATE

    @property
    def heard(self) -> float:
        """Seconds of audio that passes have looked at."""
        return self._heard / SAMPLE_RATE

    @property
    def unheard(self) -> float:
        """Seconds of audio that no pass has looked at."""
        return (self._offset + self._length - self._heard) / SAMPLE_RATE

    @property
    def finished(self) -> bool:
        """Everything was heard and completed after the last audio."""
        return self.finishing and self._length == 0

    @property
    def open_segments(self) -> int:
        """How many segments are not completed."""
        return len(self._open)

    @property
    def ending(self) -> bool:
        """The next pass is the last one."""
        return self.finishing and self._length <= self._window

    def waiting_since(self) -> float:
        """Give the moment from which the session waits: of its oldest unheard audio or last look.

        The last look counts so that a client that sends a file at once takes its turn.
        """
        oldest = self._arrivals[0][1] if self._arrivals else self._looked_at
        return max(oldest, self._looked_at)

    def add(self, samples: Samples, now: float) -> None:
        """Append audio; ``now`` is the moment of its arrival on a monotonic clock."""
        if self.finishing or not len(samples):
            return
        needed = self._length + len(samples)
        if needed > len(self._audio):
            grown = np.empty(max(needed, 2 * len(self._audio)), np.float32)
            grown[: self._length] = self._audio[: self._length]
            self._audio = grown
        self._audio[self._length : needed] = samples
        self._length = needed
        end = self._offset + self._length
        # One entry for 100 ms at most, however small the client's messages are.
        if self._arrivals and now - self._arrivals[-1][1] < 0.1:
            self._arrivals[-1] = (end, self._arrivals[-1][1])
        else:
            self._arrivals.append((end, now))

    def finish(self) -> None:
        """Declare the end of the audio: passes from now on complete what there is."""
        self.finishing = True
        self._finish_if_heard()

    def next_pass(self) -> Pass:
        """Give the next look: the oldest unsettled audio, at most a window of it."""
        length = min(self._length, self._window)
        samples = self._audio[:length].copy()
        final = self.finishing and length == self._length
        full = length == self._window and not final
        check_voice = None
        if self.options.use_vad and not self._spoken:
            check_voice = samples
        request = Request(
            samples=samples,
            language=self.language,
            task=self.options.task,
            initial_prompt=self.options.initial_prompt,
            hotwords=self.options.hotwords,
            words=self.options.word_timestamps or full,
            check_voice=check_voice,
            vad_parameters=self._vad_parameters,
        )
        start = self._offset / SAMPLE_RATE
        silent = is_silent(samples)
        return Pass(request, start, start + length / SAMPLE_RATE, final, full, silent)

    def apply(self, work: Pass, heard: Heard, now: float) -> None:
        """Take in what a pass heard; ``now`` is the moment on the clock of ``add``."""
        self._looked_at = now
        self._heard = max(self._heard, round(work.end * SAMPLE_RATE))
        while self._arrivals and self._arrivals[0][0] <= self._heard:
            self._arrivals.popleft()
        self._take_in(work, heard)
        if self.finishing:
            self._finish_if_heard()

    def _take_in(self, work: Pass, heard: Heard) -> None:
        self._spoken = self._spoken or (heard.voice and not work.silent)
        lead, silence = silent_edges(work.request.samples)
        segments = self._in_stream(work, heard, lead, silence)
        if not segments:
            self._apply_nothing(work, heard, silence)
            return
        if not self._settle_language(work, heard):
            self._open = segments
            return
        over = work.final or silence >= PAUSE
        count = len(segments) if over else self._stable(segments, work)
        completed, rest = segments[:count], segments[count:]
        if work.full and rest:
            completed, rest = cut(segments, work.end)
        if completed:
            self._repeats = 0
        self._open = [] if work.final else rest
        if completed:
            self._complete(completed)
            self._advance(self._cut_time(work, completed, rest, silence))
            self._spoken = bool(rest)
        if work.final:
            self._advance(work.end)

    def _finish_if_heard(self) -> None:
        """Complete what is open when all audio was heard: another pass would say the same."""
        end = self._offset + self._length
        if self._heard < end or (self.language is None and self._open):
            return
        if self._open:
            self._complete(self._open)
            self._open = []
        self._advance(end / SAMPLE_RATE)

    def settle(self, now: float) -> None:
        """Complete text although no audio has come for a while: a client that stopped sending.

        First all but the last segment, so that the last one is shown by itself; called again, that
        one too. Upstream's client relies on it: when it ends, it keeps what was shown unfinished
        unless a completed segment has the same text.
        """
        self._looked_at = now
        if self.language is None or not self._open:
            return
        count = max(1, len(self._open) - 1)
        completed, self._open = self._open[:count], self._open[count:]
        self._complete(completed)
        self._advance(completed[-1].end)

    def take_language(self) -> tuple[str, float] | None:
        """Give a language that was settled since the last call and its probability."""
        if not self._language_due or self.language is None:
            return None
        self._language_due = False
        return self.language, self.language_probability

    def take_updates(self) -> list[list[Segment]]:
        """Give the segment lists to send now: none when nothing changed since the last call.

        Usually one; several when more segments were completed since the last one than a list
        holds, so that a client that was slow to read misses none.
        """
        unfinished = self._unfinished()
        if (self._completed_count, unfinished) == self._shown:
            return []
        size = self.options.send_last_n_segments
        completed = list(self._completed)
        fresh = self._completed_count - self._sent_count
        lists: list[list[Segment]] = []
        while fresh > size:
            first = len(completed) - fresh
            lists.append(completed[first : first + size])
            fresh -= size
        tail = completed[-size:]
        lists.append([*tail, unfinished] if unfinished is not None else tail)
        while len(self._completed) > size:
            self._completed.popleft()
        self._sent_count = self._completed_count
        self._shown = (self._completed_count, unfinished)
        return [one for one in lists if one]

    def _unfinished(self) -> Segment | None:
        if not self._open:
            return None
        words = [word for segment in self._open for word in segment.words or ()]
        return Segment(
            start=self._open[0].start,
            end=self._open[-1].end,
            text="".join(segment.text for segment in self._open),
            words=words if self.options.word_timestamps else None,
        )

    def _in_stream(self, work: Pass, heard: Heard, lead: float, silence: float) -> list[Segment]:
        """Move segments to the stream's time, in order, after what is settled.

        Segments without text, and text invented for the silence at the end, are dropped.
        """
        if heard.no_speech > self.options.no_speech_thresh:
            return []
        found: list[Segment] = []
        # Nothing is spoken in the silence at both ends, whatever the model says of its times.
        earliest = max(self._settled_to, work.start + max(0.0, lead - 0.1))
        latest = round(max(earliest, work.end - max(0.0, silence - 0.2)), 3)
        sound_ends = work.end - silence
        for segment in heard.segments:
            in_silence = work.start + segment.start >= sound_ends + 0.1
            if in_silence or not segment.text.strip():
                continue
            start = between(work.start + segment.start, earliest, latest)
            end = between(work.start + segment.end, start, latest)
            words = words_in_stream(segment, work.start, start, end)
            found.append(Segment(start=start, end=end, text=segment.text, words=words))
            earliest = end
        return found

    def _apply_nothing(self, work: Pass, heard: Heard, silence: float) -> None:
        """There is no text in the whole pass: let go of what is surely silent."""
        self._open = []
        self._repeats = 0
        if work.final:
            self._advance(work.end)
        elif work.silent or not heard.voice:
            self._advance(work.end - KEPT_SILENCE)
            self._spoken = False
        elif work.full or work.end - work.start >= NO_TEXT_SECONDS:
            self._advance(work.end - min(NO_TEXT_KEPT, max(silence, 1.0)))
            self._spoken = False

    def _settle_language(self, work: Pass, heard: Heard) -> bool:
        """Say whether the language is known, settling it when it has become sure enough.

        Until then all text is unfinished and no audio goes.
        """
        if self.language is not None:
            return True
        length = work.end - work.start
        sure = heard.language_probability >= LANGUAGE_SURE and length >= LANGUAGE_SECONDS
        if not (sure or work.final or work.full or length >= LANGUAGE_SECONDS_AT_MOST):
            return False
        self.language = heard.language
        self.language_probability = heard.language_probability
        self._language_due = True
        return True

    def _stable(self, segments: list[Segment], work: Pass) -> int:
        """Count the segments at the front that may be completed."""
        for index, segment in enumerate(segments[:-1]):
            before = self._open[index] if index < len(self._open) else None
            pause = segments[index + 1].start - segment.end >= PAUSE
            agreed = before is not None and agree(before, segment)
            if not pause and not agreed and work.end - segment.end < CONTEXT:
                return index
        last = segments[-1]
        before = self._open[len(segments) - 1] if len(self._open) == len(segments) else None
        same = before is not None and agree(before, last)
        self._repeats = self._repeats + 1 if same else 0
        # Noise may hide the pause from the levels: then two passes that agree on the same text,
        # with enough audio after it, show it as well. What follows the segment is kept.
        over = same and work.end - last.end >= PAUSE
        if over or self._repeats >= self.options.same_output_threshold:
            return len(segments)
        return len(segments) - 1

    def _cut_time(
        self, work: Pass, completed: list[Segment], rest: list[Segment], silence: float
    ) -> float:
        """Choose where the audio of what is still open begins."""
        end = completed[-1].end
        if not rest and silence >= PAUSE:
            return max(end, work.end - KEPT_SILENCE)
        # The model's times are rough: cut where it is quietest around the boundary.
        latest = min(max(rest[0].start, end + 0.12) if rest else end + 0.3, work.end)
        samples = work.request.samples
        return work.start + quietest(samples, end - work.start - 0.12, latest - work.start)

    def _complete(self, segments: list[Segment]) -> None:
        for segment in segments:
            words = segment.words if self.options.word_timestamps else None
            self._completed.append(segment.model_copy(update={"completed": True, "words": words}))
        self._completed_count += len(segments)
        self._settled_to = segments[-1].end

    def _advance(self, moment: float) -> None:
        """Let go of the audio before a moment."""
        gone = min(max(0, round(moment * SAMPLE_RATE) - self._offset), self._length)
        self._audio[: self._length - gone] = self._audio[gone : self._length].copy()
        self._length -= gone
        self._offset += gone
