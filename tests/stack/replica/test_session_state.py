"""The commit policy on its own: what settles, what stays open, which audio goes."""

import itertools

import numpy as np
import pytest

from stack.protocol import Segment, SessionOptions, Word
from stack.replica.session import Session
from stack.replica.transcriber import Heard, HeardSegment

RATE = 16_000
LOUD = np.sin(np.arange(40 * RATE) * 0.3).astype(np.float32) * 0.3


def make(window: float = 10.0, language: str | None = "en", **options) -> Session:
    return Session(SessionOptions(uid="u", **options), window=window, language=language)


def heard(*segments: tuple[float, float, str], **values) -> Heard:
    return Heard(
        tuple(HeardSegment(*segment) for segment in segments), **{"no_speech": 0.0} | values
    )


def shown(session: Session) -> list[tuple[str, bool]]:
    lists = session.take_updates()
    return [(one.text, one.completed) for one in lists[-1]] if lists else []


def step(session: Session, seconds: float, result: Heard, now: float = 0.0) -> None:
    session.add(LOUD[: round(seconds * RATE)], now)
    session.apply(session.next_pass(), result, now)


def test_two_passes_that_agree_complete_all_but_the_last():
    session = make()
    step(session, 3.0, heard((0, 1.5, " One."), (1.6, 3, " Two")))
    assert shown(session) == [(" One. Two", False)]
    step(session, 1.0, heard((0, 1.6, " One."), (1.7, 4, " Two three")))
    assert shown(session) == [(" One.", True), (" Two three", False)]
    # The audio of what is still open stays, from about the end of what is completed.
    assert session.next_pass().start == pytest.approx(1.6, abs=0.15)
    assert session.next_pass().end == 4.0


def test_enough_audio_after_a_segment_completes_it_in_one_pass():
    session = make()
    step(session, 7.0, heard((0, 1.5, " One."), (1.6, 4.5, " Two."), (4.6, 7, " Three")))
    assert shown(session) == [(" One.", True), (" Two. Three", False)]


def test_two_passes_that_differ_complete_nothing():
    session = make()
    step(session, 3.0, heard((0, 1.5, " Won."), (1.6, 3, " Two")))
    step(session, 1.0, heard((0, 1.6, " One."), (1.7, 4, " Two three")))
    assert shown(session) == [(" One. Two three", False)]
    assert session.next_pass().start == 0.0


def test_a_gap_between_segments_completes_at_once():
    session = make()
    step(session, 4.0, heard((0, 1.5, " One."), (2.5, 4, " Two")))
    assert shown(session) == [(" One.", True), (" Two", False)]


def test_silence_at_the_end_completes_everything():
    session = make()
    session.add(np.concatenate([LOUD[: 2 * RATE], np.zeros(RATE, np.float32)]), 0)
    session.apply(session.next_pass(), heard((0, 3, " One.")), 0)
    assert shown(session) == [(" One.", True)]
    (only,) = session._completed
    assert only.end == pytest.approx(2.2, abs=0.05), "its end is not in the silence"


def test_text_invented_for_the_silence_is_dropped():
    session = make()
    session.add(np.concatenate([LOUD[: 2 * RATE], np.zeros(RATE, np.float32)]), 0)
    session.apply(session.next_pass(), heard((0, 2, " One."), (2.4, 3, " Thanks.")), 0)
    assert shown(session) == [(" One.", True)]


def test_noise_after_the_text_completes_it_when_two_passes_agree():
    session = make()
    step(session, 3.0, heard((0, 1.5, " One.")))
    assert shown(session) == [(" One.", False)]
    step(session, 1.0, heard((0, 1.5, " One.")))
    assert shown(session) == [(" One.", True)]
    # What follows may be speech that the model did not hear yet: it is kept.
    assert session.next_pass().start < 2.0


def test_the_same_text_often_enough_is_complete():
    session = make(window=20, same_output_threshold=3)
    step(session, 3.0, heard((0, 3, " One")))
    for count in range(1, 4):
        step(session, 0.2, heard((0, 3 + 0.2 * count, " One")))
    assert shown(session) == [(" One", True)]


def test_a_full_window_keeps_its_last_segment_open():
    session = make(window=10)
    session.add(LOUD[: 15 * RATE], 0)
    work = session.next_pass()
    assert work.full
    assert work.end == 10
    session.apply(work, heard((0, 4, " One."), (4, 8, " Two."), (8, 10, " Thr")), 0)
    assert shown(session) == [(" One.", True), (" Two.", True), (" Thr", False)]
    assert session.next_pass().start == pytest.approx(8.0, abs=0.15)
    assert session.next_pass().final is False


def test_a_full_window_with_one_segment_is_cut_at_a_word():
    session = make(window=10)
    session.add(LOUD[: 12 * RATE], 0)
    words = tuple(Word(word=f" w{i}", start=i, end=i + 0.9, probability=1) for i in range(10))
    segment = HeardSegment(0, 10, "".join(word.word for word in words), words)
    work = session.next_pass()
    assert work.request.words, "word times are asked for when a cut may be needed"
    session.apply(work, Heard((segment,), no_speech=0.0), 0)
    text = "".join(f" w{i}" for i in range(9))
    assert shown(session) == [(text, True), (" w9", False)]
    assert session.next_pass().start == pytest.approx(8.9, abs=0.15)


def test_a_full_window_without_word_times_is_completed():
    session = make(window=5)
    step(session, 6.0, heard((0, 5, " All")))
    assert shown(session) == [(" All", True)]
    assert session.next_pass().start == pytest.approx(5.0, abs=0.2)


def test_audio_without_text_is_kept_at_first_and_goes_later():
    session = make(window=15)
    step(session, 5.0, heard())
    assert session.next_pass().start == 0.0
    step(session, 4.0, heard())
    assert session.next_pass().start == pytest.approx(8.0)


def test_segments_above_the_no_speech_threshold_are_dropped():
    for threshold, expected in ((0.45, []), (0.9, [(" One", False)])):
        session = make(no_speech_thresh=threshold)
        step(session, 2.0, heard((0, 2, " One"), no_speech=0.6))
        assert shown(session) == expected


def test_no_audio_goes_and_nothing_is_complete_before_the_language_is_known():
    """Upstream skips the audio in which it can't tell the language."""
    session = make(language=None)
    unsure = {"language": "nl", "language_probability": 0.3}
    step(session, 3.0, heard((0, 1, " Een."), (2, 3, " Twee"), **unsure))
    assert session.take_language() is None
    assert shown(session) == [(" Een. Twee", False)]
    assert session.next_pass().start == 0.0
    assert session.next_pass().request.language is None
    sure = {"language": "de", "language_probability": 0.8}
    step(session, 1.0, heard((0, 1, " Eins."), (2, 4, " Zwei"), **sure))
    assert session.take_language() == ("de", 0.8)
    assert session.take_language() is None
    assert shown(session) == [(" Eins.", True), (" Zwei", False)]
    assert session.next_pass().request.language == "de"


def test_a_flush_settles_an_unsure_language():
    session = make(language=None)
    session.add(LOUD[:RATE], 0)
    session.finish()
    assert not session.finished
    work = session.next_pass()
    assert work.final
    session.apply(work, heard((0, 1, " Ja"), language="de", language_probability=0.2), 0)
    assert session.take_language() == ("de", 0.2)
    assert shown(session) == [(" Ja", True)]
    assert session.finished


def test_a_flush_of_heard_audio_needs_no_other_pass():
    session = make()
    step(session, 2.0, heard((0, 2, " One")))
    session.finish()
    assert session.finished
    assert shown(session) == [(" One", True)]
    session.add(LOUD[:RATE], 0)
    assert session.received == 2.0


def test_a_flush_during_a_pass():
    session = make()
    session.add(LOUD[: 2 * RATE], 0)
    work = session.next_pass()
    session.add(LOUD[: RATE // 10], 0)
    session.finish()
    assert not session.finished
    session.apply(work, heard((0, 2, " One")), 0)
    assert not session.finished
    session.apply(session.next_pass(), heard((0, 2.1, " One.")), 0)
    assert session.finished
    assert shown(session) == [(" One.", True)]


def test_a_client_that_stops_sending_gets_its_text_completed():
    session = make()
    step(session, 2.0, heard((0, 0.9, " One."), (1, 1.5, " Two."), (1.6, 2, " Three")))
    assert shown(session) == [(" One. Two. Three", False)]
    session.settle(5.0)
    assert shown(session) == [(" One.", True), (" Two.", True), (" Three", False)]
    session.settle(7.0)
    assert shown(session)[2:] == [(" Three", True)]
    assert session.open_segments == 0
    session.settle(9.0)
    assert shown(session) == []
    assert session.waiting_since() == 9.0


def test_a_slow_reader_gets_every_segment_in_lists_of_its_size():
    session = make(window=30, send_last_n_segments=2)
    parts = [(index * 2, index * 2 + 1, f" {index}.") for index in range(6)]
    step(session, 12.0, heard(*parts))
    lists = session.take_updates()
    texts = [[segment.text for segment in one if segment.completed] for one in lists]
    assert list(dict.fromkeys(itertools.chain(*texts))) == [" 0.", " 1.", " 2.", " 3.", " 4."]
    assert max(map(len, texts)) == 2
    assert lists[-1][-1].completed is False
    assert session.take_updates() == []


def test_arrivals_are_bounded_however_small_the_messages():
    session = make()
    for index in range(1000):
        session.add(LOUD[:16], index / 1000)
    assert len(session._arrivals) <= 11
    assert session.waiting_since() == 0.0
    session.apply(session.next_pass(), heard(), 2.0)
    assert session.waiting_since() == 2.0


def test_words_stay_within_their_segment_and_in_order():
    session = make(word_timestamps=True)
    words = tuple(
        Word(word=word, start=start, end=end, probability=0.9)
        for word, start, end in ((" a", 0.5, 0.2), (" b", 0.1, 9.0))
    )
    session.add(LOUD[: 2 * RATE], 0)
    session.apply(session.next_pass(), Heard((HeardSegment(0.3, 2, " a b", words),), 0.0), 0)
    session.finish()
    (only,) = session.take_updates()[0]
    assert isinstance(only, Segment)
    times = [moment for word in only.words for moment in (word.start, word.end)]
    assert times == sorted(times)
    assert only.start <= times[0]
    assert times[-1] <= only.end


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_model_says_times_are_in_order_and_audio_is_used_up(seed):
    source = np.random.default_rng(seed)
    session = make(window=6)
    settled: list[Segment] = []
    position = 0.0
    while not session.finished:
        if session.received < 30:
            noise = LOUD if source.random() < 0.7 else np.zeros_like(LOUD)
            session.add(noise[: int(source.uniform(0.1, 2.5) * RATE)], 0)
        else:
            session.finish()
            if session.finished:
                break
        work = session.next_pass()
        assert work.start >= position - 1e-9, "audio never comes back"
        position = work.start
        length = work.end - work.start
        count = int(source.integers(0, 4))
        times = sorted(source.uniform(-1, length + 2, 2 * count))
        result = heard(
            *((times[2 * i], times[2 * i + 1], f" {source.integers(3)}") for i in range(count))
        )
        session.apply(work, result, 0)
        for segments in session.take_updates():
            for segment in segments:
                assert segment.start <= segment.end <= session.received + 0.0006
                if segment.completed and segment not in settled:
                    assert not settled or segment.start >= settled[-1].end
                    settled.append(segment)
    assert session.unheard == 0
