"""What messages come to in figures."""

import pytest

from loadtest.measurement import SessionMeasurement
from stack.protocol import Segment


def measured(**values: object) -> SessionMeasurement:
    defaults = {"first_send": 100.0, "chunk": 0.1, "chunks": 50, "sent_chunks": 50}
    return SessionMeasurement(**(defaults | values))  # type: ignore[arg-type]


def segment(
    end: float, text: str = "word", *, completed: bool = False, start: float = 0.0
) -> Segment:
    return Segment(start=start, end=end, text=text, completed=completed)


def test_latency_counts_from_the_schedule_of_the_chunk_that_holds_the_end() -> None:
    session = measured()
    # 1.0 s is the end of chunk 9, which is scheduled 0.9 s after the first.
    assert session.update([segment(1.0)], received=101.4) == [pytest.approx(0.5)]
    # 1.05 s lies in chunk 10.
    assert session.update([segment(1.05)], received=101.4) == [pytest.approx(0.4)]


def test_a_repeat_that_moves_nothing_does_not_count() -> None:
    session = measured()
    session.update([segment(1.0)], received=101.4)
    assert session.update([segment(1.0)], received=109.0) == []
    assert session.update([segment(0.9)], received=109.0) == []
    assert len(session.latency) == 1


def test_a_late_generator_does_not_flatter_the_server() -> None:
    # The chunk scheduled at 100.9 was sent two seconds late; the server answered at once.
    session = measured(sent_chunks=10)
    assert session.update([segment(1.0)], received=102.95) == [pytest.approx(2.05)]


def test_an_end_beyond_the_audio_sent_is_not_believed() -> None:
    session = measured(sent_chunks=10)
    # Nobody can have heard 3 s when 1 s was sent: without the limit latency would be negative.
    assert session.update([segment(3.0)], received=101.0) == [pytest.approx(0.1)]
    session.sent_chunks = 20
    assert session.update([segment(3.0)], received=102.0) == [pytest.approx(0.1)]


def test_the_end_is_limited_to_the_last_chunk() -> None:
    session = measured(chunks=10, sent_chunks=10)
    assert session.update([segment(9.0)], received=101.0) == [pytest.approx(0.1)]


def test_empty_text_moves_nothing() -> None:
    session = measured()
    assert session.update([segment(1.0, "  ")], received=101.0) == []
    assert session.first_result is None
    assert session.finish is None


def test_completed_segments_count_once_when_they_first_arrive() -> None:
    session = measured()
    first = segment(1.0, "one", completed=True)
    session.update([first], received=101.5)
    session.update([first, segment(2.0, "two", start=1.0)], received=102.5)
    session.update([first, segment(2.0, "two", start=1.0, completed=True)], received=103.5)
    assert session.final_latency == [pytest.approx(0.6), pytest.approx(1.6)]
    assert session.transcript == "one two"


def test_unfinished_text_is_replaced_and_does_not_stay() -> None:
    session = measured()
    session.update([segment(1.0, "on")], received=101.0)
    session.update([segment(1.5, "one too")], received=101.5)
    assert session.transcript == "one too"
    session.update([segment(1.5, "one two", completed=True)], received=102.0)
    assert session.transcript == "one two"


def test_a_repeated_sentence_is_kept_twice() -> None:
    session = measured()
    session.update([segment(1.0, "yes", completed=True)], received=101.0)
    session.update([segment(2.0, "yes", completed=True, start=1.0)], received=102.0)
    assert session.transcript == "yes yes"


def test_completed_segments_that_left_the_repeated_window_stay() -> None:
    session = measured()
    for number in range(1, 5):
        last_two = [
            segment(float(index), f"w{index}", completed=True, start=index - 1.0)
            for index in range(max(1, number - 1), number + 1)
        ]
        session.update(last_two, received=100.0 + number)
    assert session.transcript == "w1 w2 w3 w4"


def test_first_result_and_finish() -> None:
    session = measured(chunks=20, sent_chunks=20)
    session.update([segment(1.0, "one")], received=101.2)
    session.update([segment(2.0, "one two")], received=102.5)
    session.update([segment(2.0, "one two")], received=109.0)  # a repeat is no new text
    assert session.first_result == pytest.approx(1.2)
    assert session.finish == pytest.approx(102.5 - 101.9)


def test_finish_is_not_negative_when_the_end_is_silent() -> None:
    session = measured(chunks=50)
    session.update([segment(1.0, "one")], received=101.2)
    assert session.finish == 0.0
