"""The search for the largest client count, and what is within limits."""

import pytest
from support.runs import client_result, example_run

from benchmarks.capacity import LIMITS, REFINEMENTS, RESOLUTION, judge
from loadtest.capacity import Largest, doubling, rungs, search
from loadtest.runfile import Failure, Outcome, RunStatus

LADDER = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128]


def hunt(meets, ladder=LADDER, **precision):
    """Play a search against ``meets(clients, time)``; returns its result and what it measured."""
    asked = []
    steps = search(ladder, **({"resolution": RESOLUTION, "refinements": REFINEMENTS} | precision))
    try:
        clients = next(steps)
        while True:
            asked.append(clients)
            clients = steps.send(meets(clients, asked.count(clients)))
    except StopIteration as end:
        return end.value, asked


@pytest.mark.parametrize("limit", range(1, 128))
def test_the_largest_is_found_to_an_eighth_and_has_two_good_runs(limit):
    found, asked = hunt(lambda clients, time: clients <= limit)
    assert not found.capped
    assert found.clients <= limit <= found.clients + max(1, found.clients // 8)
    assert asked.count(found.clients) == 2
    assert asked[-1] == found.clients


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 100, 127, 128, 500, 999, 1000])
def test_without_a_resolution_the_largest_is_found_exactly(limit):
    ladder = doubling(1, 1000)
    found, asked = hunt(lambda n, time: n <= limit, ladder, resolution=0, refinements=None)
    assert found == Largest(limit, capped=limit == 1000)
    assert len(asked) <= 2 * len(ladder) + 1


def test_doubling_ends_at_its_cap():
    assert doubling(1, 10) == [1, 2, 4, 8, 10]
    assert doubling(3, 3) == [3]
    assert doubling(9, 4) == [4]


def test_nothing_above_the_first_failure_is_measured_on_the_way_up():
    _, asked = hunt(lambda clients, time: clients <= 5)
    assert asked == [1, 2, 4, 8, 6, 5, 5]


def test_when_all_meet_the_top_is_confirmed_and_marked():
    assert hunt(lambda clients, time: True, [1, 2, 4]) == (Largest(4, capped=True), [1, 2, 4, 4])


def test_when_none_meets_there_is_no_largest():
    assert hunt(lambda clients, time: False) == (Largest(None), [1])


def test_nothing_to_measure():
    assert hunt(lambda clients, time: True, []) == (Largest(None), [])


def test_a_count_that_fails_its_second_run_does_not_count():
    found, asked = hunt(lambda clients, time: clients <= (8 if time == 1 else 6), [1, 4, 8, 9])
    assert asked == [1, 4, 8, 9, 8, 6, 7, 7, 6]
    assert found == Largest(6)


def test_a_top_that_fails_its_second_run_is_no_cap():
    found, _ = hunt(lambda clients, time: time == 1 or clients < 4, [1, 2, 4])
    assert found == Largest(3)


def test_the_search_ends_even_when_no_second_run_succeeds():
    found, asked = hunt(lambda clients, time: time == 1)
    assert found == Largest(None)
    assert len(asked) < 40


def test_rungs_rise_each_once_up_to_the_cap():
    assert rungs([8, 1, 4, 4, 16], 8) == [1, 4, 8]


def run(**values):
    return example_run("run_1_clients_20260102_000000", results=[client_result(**values)])


def test_a_good_run_misses_nothing():
    assert judge(run(), limits=LIMITS, baseline_wer=0.0) == []


def test_a_slow_run_says_how_slow():
    (reason,) = judge(run(latency_samples=[2.5] * 30), limits=LIMITS, baseline_wer=0.0)
    assert reason == "p95 latency 2.50 s is over 2 s"


def test_with_few_samples_the_largest_must_meet_the_limit():
    (reason,) = judge(run(latency_samples=[0.1, 2.5]), limits=LIMITS, baseline_wer=0.0)
    assert reason == "largest latency 2.50 s is over 2 s"


def test_a_failed_session_is_one_too_many():
    failed = run(outcome=Outcome.FAILED, failure=Failure.TIMEOUT)
    assert "1 of 1 sessions failed" in judge(failed, limits=LIMITS, baseline_wer=0.0)[0]


def test_word_errors_count_from_the_baseline():
    wrong = run(transcript="delta")  # one of two words
    assert judge(wrong, limits=LIMITS, baseline_wer=0.49) == []
    assert judge(wrong, limits=LIMITS, baseline_wer=0.48) == ["WER 50.0% is over 49.0%"]


def test_without_a_baseline_word_errors_are_not_limited():
    assert judge(run(transcript="delta"), limits=LIMITS, baseline_wer=None) == []


def test_unknown_word_errors_miss_the_limit():
    assert judge(run(wer=None), limits=LIMITS, baseline_wer=0.0) == ["WER is unknown"]


def test_a_run_that_was_cut_off_is_not_within_limits():
    cut = run().model_copy(update={"status": RunStatus.STOPPED})
    assert judge(cut, limits=LIMITS, baseline_wer=0.0) == ["the run was stopped"]
