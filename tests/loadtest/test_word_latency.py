"""When each word was shown, and when it was certain."""

import pytest

from loadtest.assignment import assign
from loadtest.clips import Clip, ClipWord
from loadtest.measurement import SessionMeasurement
from loadtest.plan import LoadPlan
from loadtest.word_latency import Shown, Spoken, word_latencies
from stack.protocol import Segment


def said(text: str, step: float = 1.0) -> list[Spoken]:
    """A word a second, the first one ending at 1."""
    return [Spoken(word, (index + 1) * step) for index, word in enumerate(text.split())]


def test_a_word_counts_from_its_end_to_when_it_is_first_shown() -> None:
    shown, certain = word_latencies(
        said("one two three"),
        [(4.0, "One two three.")],
        [Shown(1.5, 0, "one"), Shown(2.7, 0, "one two"), Shown(4.0, 1, "")],
    )
    assert shown == pytest.approx([0.5, 0.7, 1.0])
    assert certain == pytest.approx([3.0, 2.0, 1.0])


def test_a_server_that_updates_rarely_is_seen_to() -> None:
    """By the latency of updates both would read zero."""
    words = said("a b c d", 0.25)
    rarely, _ = word_latencies(words, [(1.0, "a b c d")], [Shown(1.0, 1, "")])
    often, _ = word_latencies(
        words,
        [(1.0, "a b c d")],
        [Shown(0.25 * n, 0, " ".join("abcd"[:n])) for n in (1, 2, 3)] + [Shown(1.0, 1, "")],
    )
    assert max(often) == 0.0
    assert max(rarely) == pytest.approx(0.75)


def test_wrong_words_have_no_latency_and_move_no_other() -> None:
    shown, certain = word_latencies(
        said("one two three four"),
        [(5.0, "One too three four")],
        [Shown(2.5, 0, "won too"), Shown(3.5, 0, "one too three"), Shown(5.0, 1, "")],
    )
    assert shown == pytest.approx([2.5, 0.5, 1.0]), "two was never right"
    assert certain == pytest.approx([4.0, 2.0, 1.0])


def test_a_guess_counts_when_it_is_shown_again() -> None:
    shown, _ = word_latencies(
        said("one two"),
        [(2.9, "one two")],
        [Shown(1.2, 0, "one two"), Shown(2.4, 0, "one two"), Shown(2.9, 1, "")],
    )
    assert shown == pytest.approx([0.2, 0.4])


def test_unfinished_text_goes_on_after_what_is_completed() -> None:
    shown, certain = word_latencies(
        said("a b c d e f"),
        [(2.5, "a b"), (6.5, "c d e f")],
        [
            Shown(1.1, 0, "a"),
            Shown(2.5, 1, ""),
            Shown(3.4, 1, "c"),
            Shown(5.2, 1, "c x d e"),
            Shown(6.5, 2, ""),
        ],
    )
    assert shown == pytest.approx([0.1, 0.5, 0.4, 1.2, 0.2, 0.5]), "an extra word moves nothing"
    assert certain == pytest.approx([1.5, 0.5, 3.5, 2.5, 1.5, 0.5])


def test_text_that_was_never_completed_was_shown() -> None:
    shown, certain = word_latencies(said("a b"), [], [Shown(2.25, 0, "a b")])
    assert shown == pytest.approx([1.25, 0.25])
    assert certain == []
    assert word_latencies(said("a b"), [], []) == ([], [])
    assert word_latencies([], [(1.0, "a")], [Shown(1.0, 1, "")]) == ([], [])


def test_a_session_counts_from_the_schedule() -> None:
    measured = SessionMeasurement(first_send=100.0, chunk=0.1, chunks=30, sent_chunks=30)
    measured.update([Segment(start=0, end=1, text="Good")], 101.0)
    measured.update([Segment(start=0, end=2, text="Good day.", completed=True)], 102.0)
    shown, certain = measured.word_latencies(["good", "day"], [0.75, 1.55])
    # The message that holds second 0.75 is due at 100.7, that of 1.55 at 101.5.
    assert shown == pytest.approx([0.3, 0.5])
    assert certain == pytest.approx([1.3, 0.5])


def test_words_are_timed_where_times_and_reference_agree(tmp_path) -> None:
    words = (ClipWord("Twenty-five", 0.1, 0.6), ClipWord("gates.", 0.7, 1.0))
    plan = LoadPlan(clients=(1,), audio_directory=tmp_path, results_directory=tmp_path)

    def ends(reference: str | None, timed: tuple[ClipWord, ...] | None, seconds: float = 2.0):
        clip = Clip(tmp_path / "a.wav", 32_000, reference, timed)
        made = plan.model_copy(update={"duration": seconds})
        return assign(made, 1, [clip])[0].pieces[0].word_ends

    assert ends("Twenty-five gates.", words) == (0.6, 0.6, 1.0)
    assert ends("Twenty-five gates.", words, 0.65) == (0.6, 0.6)
    assert ends("Thirty gates.", words) is None
    assert ends("Twenty-five gates.", None) is None
