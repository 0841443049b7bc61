"""Transcripts beside their references: the errors shown are the errors counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.alignment import AlignedWord, Fate, align, align_so_far, errors
from loadtest.wer import word_errors


def test_words_are_shown_as_written_and_compared_as_measured() -> None:
    aligned = align("The bus, stops here.", "the Bus shops here over")
    assert aligned == [
        AlignedWord(Fate.RIGHT, "The", "the"),
        AlignedWord(Fate.RIGHT, "bus,", "Bus"),
        AlignedWord(Fate.SUBSTITUTED, "stops", "shops"),
        AlignedWord(Fate.RIGHT, "here.", "here"),
        AlignedWord(Fate.INSERTED, "", "over"),
    ]
    (missing,) = [word for word in align("one two three", "one three") if word.fate != Fate.RIGHT]
    assert missing == AlignedWord(Fate.DELETED, "two", "")


def test_without_a_reference_every_word_is_inserted() -> None:
    assert errors(align("", "two words"))[Fate.INSERTED] == 2
    assert align("", "") == []
    assert errors(align("said words", ""))[Fate.DELETED] == 2


WORDS = st.lists(
    st.sampled_from(
        ["alpha", "Bravo,", "it’s", "twenty-five", "—", "'x'", "7", "ΣΑΣ", "ﬁn", "a\u00b4b"]
    )
)


@given(WORDS, WORDS)
def test_the_errors_are_those_of_the_word_error_rate(said: list[str], heard: list[str]) -> None:
    counted = word_errors([(" ".join(said), " ".join(heard))])
    found = errors(align(" ".join(said), " ".join(heard)))
    if counted is None:
        assert found[Fate.RIGHT] == found[Fate.DELETED] == found[Fate.SUBSTITUTED] == 0
        return
    assert found[Fate.SUBSTITUTED] == counted.substitutions
    assert found[Fate.DELETED] == counted.deletions
    assert found[Fate.INSERTED] == counted.insertions


@pytest.mark.parametrize("ends", [(1.0, 2.0, 3.0, 4.0, 5.0), None, (1.0, 2.0)])
def test_what_is_still_to_come_is_no_error(ends: tuple[float, ...] | None) -> None:
    reference = "alpha bravo charlie delta echo"
    so_far = align_so_far(reference, "alpha brave", ends=ends, heard=2.0)
    assert [word.fate for word in so_far] == [Fate.RIGHT, Fate.SUBSTITUTED]
    assert align_so_far(reference, "", ends=ends, heard=0.0) == []


def test_a_word_missing_in_the_middle_is_an_error_at_once() -> None:
    so_far = align_so_far("alpha bravo charlie delta", "alpha charlie", ends=None, heard=2.0)
    assert [word.fate for word in so_far] == [Fate.RIGHT, Fate.DELETED, Fate.RIGHT]
