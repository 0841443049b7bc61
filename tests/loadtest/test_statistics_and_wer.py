"""Distributions and word error rates."""

import pytest

from loadtest.statistics import distribution, percentile
from loadtest.wer import normalise, word_errors


def test_distribution_of_nothing_is_unknown() -> None:
    nothing = distribution([])
    assert nothing.count == 0
    assert nothing.mean is None
    assert nothing.p95 is None


def test_p95_needs_twenty_samples_and_p99_a_hundred() -> None:
    assert distribution([1.0] * 19).p95 is None
    assert distribution([1.0] * 20).p95 == 1.0
    assert distribution([1.0] * 99).p99 is None
    assert distribution([1.0] * 100).p99 == 1.0


def test_percentiles_are_of_the_pooled_samples() -> None:
    samples = [float(value) for value in range(1, 101)]
    found = distribution(samples)
    assert found.median == pytest.approx(50.5)
    assert found.p95 == pytest.approx(95.05)
    assert found.p99 == pytest.approx(99.01)
    assert (found.min, found.max, found.mean) == (1.0, 100.0, pytest.approx(50.5))
    assert percentile(samples, 50) == pytest.approx(50.5)
    assert percentile([], 50) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Bus, stops!", "the bus stops"),
        ("it’s  O'Neil's", "it's o'neil's"),
        ("'quoted' words'", "quoted words"),
        ("twenty-one", "twenty one"),
        ("7 o'clock", "7 o'clock"),
        ("\uff21 \ufb01ne snake_case", "a fine snake case"),
        ("", ""),
    ],
)
def test_normalisation(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_word_errors_are_counted_and_pooled() -> None:
    found = word_errors([("one two three", "one too three four"), ("five six", "five")])
    assert found is not None
    assert (found.substitutions, found.deletions, found.insertions) == (1, 1, 1)
    assert found.reference_words == 5
    assert found.wer == pytest.approx(3 / 5)


def test_pooling_is_not_a_mean_of_rates() -> None:
    # 1 of 1 wrong and 0 of 9 wrong: 10 %, where a mean of rates would say 50 %.
    found = word_errors([("one", "two"), ("a b c d e f g h i", "a b c d e f g h i")])
    assert found is not None
    assert found.wer == pytest.approx(0.1)


def test_nothing_to_say_gives_insertions_but_no_rate_of_its_own() -> None:
    assert word_errors([("", "words from nowhere")]) is None
    found = word_errors([("", "ghost"), ("real", "real")])
    assert found is not None
    assert found.insertions == 1


def test_a_lost_transcript_is_all_deletions() -> None:
    found = word_errors([("one two", "")])
    assert found is not None
    assert found.deletions == 2
    assert found.wer == 1.0
