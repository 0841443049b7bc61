"""One client's stream: its audio, what is settled and what is not. Pure state, no I/O.

A session knows the audio that is not settled yet. A *pass* looks at that audio, at most one window
of it, and its result settles some text: *completed* segments, which never change again, and the
audio under them goes. Audio goes in two cases only: its text is completed, or it was looked at and
found silent.
"""

from typing import Final

from stack.protocol import SAMPLE_RATE, Segment, SessionOptions
from stack.replica import commit
from stack.replica.hearing import SETTLED_SILENCE, Heard, Pass, Request, Track
from stack.replica.inbox import Inbox
from stack.replica.language import LanguageChoice
from stack.replica.transcript import Transcript
from stack.replica.voice import FRAME, Levels, Samples

LAST_IDLE: Final = 5.0
"""Seconds without audio after which even the last segment is completed. Clients may send several
seconds at a time, and their pieces end within words."""

NEVER: Final = float("inf")


class Session:
    """State of one stream; times in seconds from its start. Not thread-safe.

    ``window`` is the longest audio of one pass in seconds, ``language`` the language that is known
    without detection, if any. ``eager``: the end of speech makes it due. ``accurate``: passes take
    the time for the best text. ``prompt_length``: tokens of its prompts, see ``group``.
    ``sentence_pause``: seconds of silence after which a sentence is complete.
    """

    def __init__(
        self,
        options: SessionOptions,
        *,
        window: float,
        language: str | None,
        track: Track | None = None,
        eager: bool = True,
        accurate: bool = False,
        prompt_length: int = 0,
        sentence_pause: float = commit.SENTENCE_PAUSE,
    ) -> None:
        self.options = options
        self._language = LanguageChoice(language)
        self.finishing = False
        """No audio comes any more; what is there has to be completed."""
        self.transcript = Transcript(
            repeated=options.send_last_n_segments, words=options.word_timestamps
        )
        self._window = int(window * SAMPLE_RATE)
        self._eager = eager
        self._accurate = accurate
        self._prompt_length = prompt_length
        self._sentence_pause = sentence_pause
        self._track = track
        self._levels = Levels()
        # Positions in samples: what is settled, what was looked at, all.
        self._offset = 0
        self._heard = 0
        self._received = 0
        self._inbox = Inbox()
        self._looked_at = 0.0
        self.in_flight = False
        """A pass is under way."""
        self._speech_over = False
        self._unsettled: tuple[object, ...] | None = None
        """The state in which a look without the model was of no use."""
        self._stability = commit.Stability(options.same_output_threshold)

    # What is there

    @property
    def language(self) -> str | None:
        """The language, once it is known."""
        return self._language.language

    @property
    def received(self) -> float:
        """Seconds of audio received."""
        return self._received / SAMPLE_RATE

    @property
    def heard(self) -> float:
        """Seconds of audio that passes have looked at."""
        return self._heard / SAMPLE_RATE

    @property
    def unheard(self) -> float:
        """Seconds of audio that no pass has looked at."""
        return (self._received - self._heard) / SAMPLE_RATE

    @property
    def unsettled(self) -> float:
        """Seconds of audio that the next pass looks at, heard or not."""
        return (self._received - self._offset) / SAMPLE_RATE

    @property
    def finished(self) -> bool:
        """Everything was heard and completed after the last audio."""
        return self.finishing and self._offset == self._received

    @property
    def open_segments(self) -> int:
        """How many segments are not completed."""
        return len(self.transcript.open)

    @property
    def ending(self) -> bool:
        """The next pass is the last one."""
        return self.finishing and self._received - self._offset <= self._window

    def waiting_since(self) -> float:
        """Give the moment from which the session waits: of its oldest unheard audio or last look.

        The last look counts so that a client that sends a file at once takes its turn.
        """
        return max(self._inbox.oldest_arrival or 0.0, self._looked_at)

    def due_at(self, min_chunk: float) -> float:
        """Give the moment from which the session is due; infinite when it waits for audio.

        That is with ``min_chunk`` seconds of new audio, at the end of speech, with any new audio
        or open text once that has waited longer, and always when it is finishing.
        """
        if self.finished or self.in_flight:
            return NEVER
        if self.finishing or self._speech_over or self.unheard >= min_chunk:
            return 0.0
        if self.unheard > 0 or self.open_segments > 1:
            return self.waiting_since() + 2 * min_chunk
        if self.open_segments == 1:
            return self.waiting_since() + max(LAST_IDLE, 2 * min_chunk)
        return NEVER

    @property
    def group(self) -> tuple[object, ...]:
        """What has to be equal for the next passes of two sessions to share a call of the model.

        Prompts may differ, but CTranslate2 wants the text to begin at the same token in all.
        """
        options, words = self.options, self._wants_words(self._look_ends())
        if not words:
            return self._prompt_length, self._accurate, self.language is None
        # Aligning words takes task and language once for all of a batch.
        return self._prompt_length, self._accurate, options.task, self.language or id(self)

    # Audio

    def add(self, samples: Samples, now: float) -> None:
        """Append audio; ``now`` is the moment of its arrival on a monotonic clock."""
        if self.finishing or not len(samples):
            return
        self._inbox.add(samples, now)
        self._received += len(samples)
        self._levels.add(samples)
        if self._eager:
            self._note_end_of_speech()

    def _note_end_of_speech(self) -> None:
        """See whether speech has just ended: then there is something to do at once."""
        _, silence = self._levels.edges(self._offset / SAMPLE_RATE, self.received)
        sound_ends = self.received - silence
        if silence < self._sentence_pause or sound_ends <= self._offset / SAMPLE_RATE:
            self._speech_over = False
        elif sound_ends > self.heard:
            self._speech_over = True
        else:
            self._speech_over = self._is_over(silence)

    def _is_over(self, silence: float) -> bool:
        known = self.language is not None
        return known and commit.is_over(self.transcript.open, silence, self._sentence_pause)

    def finish(self) -> None:
        """Declare the end of the audio: passes from now on complete what there is."""
        self.finishing = True
        self._finish_if_heard()

    def settle(self, now: float) -> bool:
        """Do what needs no model and say whether that is all there was to do.

        Silence is let go of, what was said before a pause is completed, and so is text after
        which no audio has come for a while: a client that stopped sending. Of that, first all but
        the last segment, so that the last one is shown by itself; later that one too. Upstream's
        client relies on it: when it ends, it keeps what was shown unfinished unless a completed
        segment has the same text.
        """
        state = (self._received, self._heard, self._offset, self._speech_over, self.finishing)
        if state == self._unsettled:
            return False
        done = self._settle(now)
        self._unsettled = None if done else state
        return done

    def _settle(self, now: float) -> bool:
        start, end = self._offset / SAMPLE_RATE, self._look_ends() / SAMPLE_RATE
        if end > start and not self.open_segments and self._levels.is_silent(start, end):
            self._note_look(round(end * SAMPLE_RATE), now)
            self._advance(end if self._is_last(self._look_ends()) else end - commit.KEPT_SILENCE)
            return True
        _, silence = self._levels.edges(start, end)
        if self._nothing_new(end):
            self._note_look(round(end * SAMPLE_RATE), now)
            if self._is_over(silence):
                self._complete_before(end, silence)
            self._finish_if_heard()
            return True
        if self.finishing:
            return False
        _, silence = self._levels.edges(start, self.received)
        if self._speech_over and self.received - silence <= self.heard and self._is_over(silence):
            self._speech_over = False
            # What came since the last look stays: no pass has looked at it.
            self._complete_before(self.heard, silence - self.unheard)
            return True
        if self.unheard > 0:
            return False
        self._looked_at = now
        if self.language is not None and self.open_segments:
            self.transcript.complete_open(max(1, self.open_segments - 1))
            self._advance(self.transcript.settled_to)
        return True

    def _nothing_new(self, end: float) -> bool:
        heard = self.heard
        known = self.language is not None and self.open_segments > 0
        return known and end > heard and self._levels.is_silent(heard - SETTLED_SILENCE, end)

    def _look_ends(self) -> int:
        return min(self._received, self._offset + self._window)

    def _is_last(self, position: int) -> bool:
        return self.finishing and position == self._received

    def _is_full(self, position: int) -> bool:
        return position - self._offset == self._window and not self._is_last(position)

    def _wants_words(self, position: int) -> bool:
        return self.options.word_timestamps or self._is_full(position)

    def next_pass(self) -> Pass:
        """Give the next look: the oldest unsettled audio, at most a window of it.

        Its result has to be given to ``apply`` before the next call.
        """
        end = self._look_ends()
        final, full = self._is_last(end), self._is_full(end)
        start = self._offset / SAMPLE_RATE
        lead, silence = self._levels.edges(start, end / SAMPLE_RATE)
        known = self.language is not None and bool(self.transcript.open)
        request = Request(
            track=self._track,
            fresh_from=self._inbox.start,
            fresh=self._inbox.take(end),
            start=self._offset,
            end=end,
            language=self.language,
            task=self.options.task,
            initial_prompt=self.options.initial_prompt,
            hotwords=self.options.hotwords,
            words=self._wants_words(end),
            asked=known and self._heard > self._offset and not full,
            accurate=self._accurate,
        )
        self.in_flight = True
        self._speech_over = False
        return Pass(request, start, end / SAMPLE_RATE, final, full, lead, silence)

    def apply(self, work: Pass, heard: Heard, now: float) -> None:
        """Take in what a pass heard; ``now`` is the moment on the clock of ``add``."""
        self.in_flight = False
        self._note_look(round(work.end * SAMPLE_RATE), now)
        if heard.unchanged:
            self._apply_unchanged(work, heard)
        else:
            self._take_in(work, heard)
        self._finish_if_heard()
        if self._eager and not self.finishing:
            self._note_end_of_speech()

    def _note_look(self, end: int, now: float) -> None:
        self._looked_at = now
        self._heard = max(self._heard, end)
        self._inbox.looked_at(self._heard)

    def _apply_unchanged(self, work: Pass, heard: Heard) -> None:
        silence = max(work.silence, heard.quiet)
        if self._is_over(silence):
            self._complete_before(work.end, silence)

    def _complete_before(self, end: float, silence: float) -> None:
        """Complete all text; of the silence before ``end`` some is kept, of the speech nothing."""
        self.transcript.complete_open()
        kept = end - min(commit.KEPT_SILENCE, silence)
        self._advance(min(end, max(kept, self.transcript.settled_to)))

    def _take_in(self, work: Pass, heard: Heard) -> None:
        silence = max(work.silence, heard.quiet)
        transcript = self.transcript
        segments = []
        if heard.no_speech <= self.options.no_speech_thresh:
            segments = commit.in_stream(
                heard.segments,
                start=work.start,
                end=work.end,
                lead=work.lead,
                silence=silence,
                settled_to=transcript.settled_to,
            )
        if not segments:
            self._apply_nothing(work, heard)
            return
        known = self._language.settle(
            heard.language,
            heard.language_probability,
            seconds=work.end - work.start,
            last=work.final or work.full,
        )
        if not known:
            transcript.open = segments
            return
        over = work.final or commit.is_over(segments, silence, self._sentence_pause)
        stable = self._stability.count(segments, work.end)
        count = len(segments) if over else stable
        completed, rest = segments[:count], segments[count:]
        if work.full and rest:
            completed, rest = commit.cut(segments, work.end)
        transcript.open = [] if work.final else rest
        if completed:
            self._stability.keep(rest, work.end)
            transcript.complete(completed)
            self._advance(self._cut_time(work, completed, rest, silence if over else 0.0))
        if work.final:
            self._advance(work.end)

    def _apply_nothing(self, work: Pass, heard: Heard) -> None:
        """There is no text in the whole pass: let go of what is surely silent."""
        self.transcript.open = []
        self._stability.forget()
        if work.final:
            self._advance(work.end)
        elif not heard.voice:
            self._advance(work.end - commit.KEPT_SILENCE)
        elif work.full or work.end - work.start >= commit.NO_TEXT_SECONDS:
            # A word cut in half at its beginning can make a model fall silent: go on later.
            first = work.start + commit.NO_TEXT_LOST / 4
            self._advance(self._levels.quietest(first, work.start + commit.NO_TEXT_LOST))

    def _finish_if_heard(self) -> None:
        """Complete what is open when all audio was heard: another pass would say the same."""
        unknown = self.language is None and bool(self.transcript.open)
        busy = self.in_flight or not self.finishing
        if busy or unknown or self._heard < self._received:
            return
        self.transcript.complete_open()
        self._advance(self.received)

    def _cut_time(
        self, work: Pass, completed: list[Segment], rest: list[Segment], pause: float
    ) -> float:
        """Choose where the audio of what is still open begins."""
        end = completed[-1].end
        if not rest and pause:
            return max(end, work.end - min(commit.KEPT_SILENCE, pause))
        # The model's times are rough: cut where it is quietest around the boundary.
        latest = min(max(rest[0].start, end + 0.12) if rest else end + 0.3, work.end)
        return self._levels.quietest(max(work.start, end - 0.12), latest)

    def _advance(self, moment: float) -> None:
        """Let go of the audio before a moment."""
        position = min(round(moment * SAMPLE_RATE), self._received)
        if not self._is_last(position):
            position = position // FRAME * FRAME
        if position <= self._offset:
            return
        if position > self._inbox.start:
            self._inbox.take(position)  # silence that no pass has looked at, nor will
        self._offset = position
        self._levels.drop_before(position / SAMPLE_RATE)
        if self._track is not None:
            self._track.drop_before(position)

    def close(self) -> None:
        """Let go of the audio at once, not when Python next looks for cycles."""
        self._inbox, self._levels, self._track = Inbox(), Levels(), None

    # What the client is told

    def take_language(self) -> tuple[str, float] | None:
        """Give a language that was settled since the last call and its probability."""
        return self._language.take()

    def take_updates(self) -> list[list[Segment]]:
        """Give the segment lists to send now; see ``Transcript.take_updates``."""
        return self.transcript.take_updates()
