"""The commit policy on its own: what settles, what stays open, which audio goes."""

import itertools

import numpy as np
import pytest

from stack.protocol import Segment, SessionOptions, Word
from stack.replica.hearing import Heard, HeardSegment
from stack.replica.inbox import Inbox
from stack.replica.session import Session
from stack.replica.transcript import Transcript

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
    (only,) = session.take_updates()[-1]
    assert (only.text, only.completed) == (" One.", True)
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
    # A model can fall silent over a word cut in half: only the beginning goes.
    assert 0.7 <= session.next_pass().start <= 3.0


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
    inbox = Inbox()
    for index in range(1000):
        inbox.add(LOUD[:16], index / 1000)
    assert len(inbox._arrivals) <= 11
    assert inbox.oldest_arrival == 0.0
    session = make()
    step(session, 0.1, heard(), 2.0)
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


def test_unfinished_text_is_never_left_standing():
    """Upstream's client keeps what it saw unfinished until it sees the same text completed."""
    session = make()
    step(session, 2.0, heard((0, 2, " One and two")))
    assert shown(session) == [(" One and two", False)]
    session.add(np.zeros(RATE, np.float32), 0)
    session.apply(session.next_pass(), heard((0, 1, " One."), (1, 2, " Two.")), 0)
    lists = [[(one.text, one.completed) for one in each] for each in session.take_updates()]
    assert lists == [[(" One.", True), (" Two.", False)], [(" One.", True), (" Two.", True)]]


def test_a_sentence_is_complete_after_a_short_pause():
    for text, expected in ((" One.", True), (" One", False), (" One!) ", True), (" 一。", True)):
        session = make()
        session.add(np.concatenate([LOUD[: 2 * RATE], np.zeros(RATE // 2, np.float32)]), 0)
        session.apply(session.next_pass(), heard((0, 2, text)), 0)
        assert session.take_updates()[-1][-1].completed is expected, text


def test_a_pause_completes_what_was_heard_without_another_pass():
    session = make()
    step(session, 2.0, heard((0.1, 1.9, " One.")))
    assert shown(session) == [(" One.", False)]
    for _ in range(5):
        session.add(np.zeros(RATE // 10, np.float32), 1.0)
    assert session.due_at(1.0) == 0.0
    assert session.settle(1.0)
    assert shown(session)[-1] == (" One.", True)
    assert session.due_at(1.0) > 1.0
    # No speech of what is completed is left to be heard again, and no audio after it is lost.
    assert session.next_pass().start == pytest.approx(2.0, abs=0.1)


def test_silence_needs_no_model():
    session = make()
    session.add(np.zeros(3 * RATE, np.float32), 0)
    assert session.settle(0.0)
    assert session.unheard == 0
    assert session.next_pass().start == pytest.approx(2.5)
    session = make()
    step(session, 2.0, heard((0, 2, " One")))
    session.add(np.zeros(RATE // 2, np.float32), 0)
    session.apply(session.next_pass(), heard((0, 2, " One")), 0)
    session.add(np.zeros(RATE, np.float32), 0)
    assert session.settle(0.0), "the model has heard that nothing follows"
    assert shown(session)[-1] == (" One", True)


def test_a_look_without_use_is_not_repeated():
    session = make()
    session.add(LOUD[: 2 * RATE], 0)
    assert not session.settle(0.0)
    assert session._unsettled is not None
    assert not session.settle(0.0)


def test_the_model_may_be_spared_and_text_is_still_completed():
    session = make()
    step(session, 2.0, heard((0, 1.9, " One")))
    session.add(LOUD[:RATE] * 0.05, 0)
    work = session.next_pass()
    assert work.request.asked
    session.apply(work, Heard(unchanged=True, quiet=1.1), 0)
    assert shown(session)[-1] == (" One", True)


def test_what_goes_together_in_a_call():
    one, other = make(), make()
    assert one.group == other.group
    assert make(language=None).group != one.group
    assert make(word_timestamps=True).group == make(word_timestamps=True).group != one.group
    assert make(word_timestamps=True, language=None).group != one.group
    one.add(LOUD[: 15 * RATE], 0)
    assert one.group != other.group, "a full window needs words for its cut"


def test_nothing_completed_can_be_overtaken():
    transcript = Transcript(repeated=3, words=False)
    transcript.complete([Segment(start=1, end=2, text=" One")])
    for start, end in ((1.5, 3), (3, 2.5)):
        with pytest.raises(ValueError, match="can't follow"):
            transcript.complete([Segment(start=start, end=end, text=" Two")])
