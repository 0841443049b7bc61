"""What holds for any model and any order of events: no text is taken back, no time goes back."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stack.protocol import Segment, SessionOptions
from stack.replica.hearing import Heard, HeardSegment, Pass
from stack.replica.session import Session

RATE = 16_000
SOURCE = np.random.default_rng(0)
SOUNDS = {
    "loud": np.sin(np.arange(12 * RATE) * 0.3).astype(np.float32) * 0.3,
    "noise": SOURCE.normal(0, 0.01, 12 * RATE).astype(np.float32),
    "silence": np.zeros(12 * RATE, np.float32),
}

moments = st.floats(-2, 20, allow_nan=False)
texts = st.sampled_from([" a", " b.", " c?", "  ", " a b", ""])
heards = st.builds(
    Heard,
    segments=st.lists(st.builds(HeardSegment, moments, moments, texts), max_size=4).map(tuple),
    no_speech=st.sampled_from([0.0, 0.3, 0.9]),
    language=st.sampled_from(["en", "de"]),
    language_probability=st.floats(0, 1),
    quiet=st.sampled_from([0.0, 0.0, 0.4, 2.0]),
)
answers = st.one_of(
    heards,
    st.builds(Heard, voice=st.just(False), quiet=st.just(5.0)),
    st.builds(Heard, unchanged=st.just(True), quiet=st.sampled_from([0.2, 1.0])),
)
events = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(sorted(SOUNDS)), st.floats(0.01, 8)),
    st.tuples(st.just("look"), answers, st.booleans()),
    st.tuples(st.just("settle"), st.none(), st.none()),
    st.tuples(st.just("updates"), st.none(), st.none()),
)


@dataclass
class Reader:
    """A client that believes nothing: it checks every list against those before."""

    session: Session
    completed: list[Segment] = field(default_factory=list)
    looked_to: float = 0.0

    def read(self) -> None:
        for segments in self.session.take_updates():
            ends = 0.0
            for index, segment in enumerate(segments):
                assert ends <= segment.start <= segment.end <= self.session.received + 0.001
                ends = segment.end
                if segment.completed:
                    self._take(segment)
                else:
                    assert index == len(segments) - 1, "the unfinished one comes last"
                    assert not self.completed or segment.start >= self._last_before(segment)

    def _last_before(self, segment: Segment) -> float:
        same = self.completed[-1].model_copy(update={"completed": False}) == segment
        return segment.start if same else self.completed[-1].end

    def _take(self, segment: Segment) -> None:
        if segment in self.completed:
            return
        if self.completed:
            assert segment.start >= self.completed[-1].end, "completed text was changed"
        self.completed.append(segment)

    def look(self, heard: Heard) -> None:
        work = self.session.next_pass()
        assert work.end - work.start <= 6.0 + 1e-6
        assert work.start <= self.looked_to + 1e-6 or self._is_silent_before(work)
        self.looked_to = max(self.looked_to, work.end)
        self.session.apply(work, heard, 0.0)

    def _is_silent_before(self, work: Pass) -> bool:
        return self.session.heard >= work.start


@given(
    script=st.lists(events, max_size=40),
    language=st.sampled_from(["en", None]),
    eager=st.booleans(),
    options=st.fixed_dictionaries(
        {
            "send_last_n_segments": st.integers(1, 5),
            "same_output_threshold": st.integers(1, 4),
            "word_timestamps": st.booleans(),
        }
    ),
    last=st.lists(heards, min_size=1, max_size=5),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_order_of_passes(script, language, eager, options, last):
    session = Session(
        SessionOptions(uid="u", **options), window=6.0, language=language, eager=eager
    )
    reader = Reader(session)
    now = 0.0
    for kind, what, how in script:
        now += 0.5
        if kind == "add":
            session.add(SOUNDS[what][: round(how * RATE)], now)
        elif kind == "look" and session.unheard > 0:
            reader.look(what)
        elif kind == "settle" and session.due_at(0.5) <= now:
            session.settle(now)
            reader.looked_to = max(reader.looked_to, session.heard)
        if kind == "updates" or how is True:
            reader.read()
    session.finish()
    for index in range(200):
        if session.finished:
            break
        if not session.settle(now) and not session.finished:
            reader.look(last[index % len(last)])
        reader.looked_to = max(reader.looked_to, session.heard)
    reader.read()
    assert session.finished, "every look gets further"
    assert session.heard == session.received, "all audio ends covered"
    assert session.transcript.unfinished is None


@given(seconds=st.floats(0.1, 60), piece=st.floats(0.05, 3), window=st.sampled_from([3.0, 15.0]))
@settings(max_examples=60, deadline=None)
def test_a_model_that_hears_each_second_says_each_once(seconds, piece, window):
    """With a model that names the seconds it hears, every second comes out once, in order."""
    samples = np.resize(SOUNDS["loud"], round(seconds * RATE))
    session = Session(SessionOptions(uid="u"), window=window, language="en")
    step, said, position = round(piece * RATE), [], 0
    while not session.finished:
        if position < len(samples):
            session.add(samples[position : position + step], 0.0)
            position += step
        else:
            session.finish()
        while session.due_at(1.0) <= 0.0 and not session.finished:
            if session.settle(0.0):
                continue
            session.apply(work := session.next_pass(), name_seconds(work), 0.0)
        said.extend(session.transcript.take_completed())
    names = [word for segment in said for word in segment.text.split()]
    expected = int(np.floor(len(samples) / RATE - 0.5 + 1e-9)) + 1
    assert names == [str(second) for second in range(expected)]


def name_seconds(work: Pass) -> Heard:
    """Hear a word in the middle of every second of the stream that the pass holds to its end."""
    first, last = int(np.ceil(work.start - 0.25)), int(np.floor(work.end - 0.5 + 1e-9))
    return Heard(
        tuple(
            HeardSegment(second + 0.25 - work.start, second + 0.5 - work.start, f" {second}")
            for second in range(max(0, first), last + 1)
        ),
        no_speech=0.0,
    )
