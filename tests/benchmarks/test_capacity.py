"""The search for the largest client count, and what is within limits."""

from random import Random

import pytest
from support.runs import client_result, example_run

from benchmarks.capacity import LIMITS, REFINEMENTS, RESOLUTION, judge
from loadtest.capacity import Judged, Largest, Trial, by_majority, doubling, rungs, search
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


def settle(judge, ladder=LADDER, trials=3):
    """Play a search by majority against ``judge(trial, time)``."""
    asked = []
    steps = by_majority(search(ladder), trials=trials)
    try:
        trial = next(steps)
        while True:
            asked.append(trial)
            trial = steps.send(judge(trial, sum(one.clients == trial.clients for one in asked)))
    except StopIteration as end:
        return end.value, asked


def test_clear_runs_are_not_repeated():
    found, asked = settle(lambda trial, time: Judged(trial.clients <= 5))
    assert found == Largest(5)
    assert asked == [*map(Trial, [1, 2, 4, 8, 6, 5]), Trial(5, confirms=True)]


def test_a_close_count_is_decided_by_two_of_three():
    # 4 misses its first run and meets the others; 6 meets its first and misses the others.
    def judge(trial, time):
        if trial.clients == 4:
            return Judged(time != 1, close=True)
        if trial.clients == 6:
            return Judged(time == 1, close=True)
        return Judged(trial.clients < 6)

    found, asked = settle(judge, ladder=[2, 4, 6, 8])
    assert found == Largest(5)
    assert [trial.clients for trial in asked] == [2, 4, 4, 4, 6, 6, 6, 5, 5]
    assert [trial.confirms for trial in asked] == [False] * 8 + [True]


def test_a_clear_run_overrules_close_ones():
    found, asked = settle(
        lambda trial, time: Judged(trial.clients < 2 or time == 1, close=time == 1), ladder=[1, 2]
    )
    assert found == Largest(1)
    assert [trial.clients for trial in asked] == [1, 1, 2, 2, 1]


def test_one_trial_is_the_plain_search():
    found, asked = settle(lambda trial, time: Judged(trial.clients <= 3, close=True), trials=1)
    assert found == Largest(3)
    assert [trial.clients for trial in asked] == [1, 2, 4, 3, 3]


def test_a_search_by_majority_depends_less_on_luck():
    """Two searches of a server whose latency differs by half from run to run agree more often."""
    random = Random(7)

    def searched(trials):
        def judge(trial, _):
            worst = (trial.clients / 300) ** 8 * random.lognormvariate(0, 0.4)
            return Judged(worst <= 1, close=0.5 <= worst <= 2)

        steps = by_majority(search(doubling(50, 2000), resolution=0.05), trials=trials)
        try:
            trial = next(steps)
            while True:
                trial = steps.send(judge(trial, None))
        except StopIteration as end:
            return end.value.clients

    def agreeing(trials):
        pairs = [(searched(trials), searched(trials)) for _ in range(300)]
        return sum(abs(one - other) <= 0.05 * max(one, other) for one, other in pairs) / 300

    assert agreeing(3) > 0.9 > agreeing(1)


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
