"""Runs held against each other."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.runs import client_result, example_run, varied_run

from loadtest.comparison.intervals import MIN_SESSIONS
from loadtest.comparison.model import RESAMPLES, Change, MetricRow, letter
from loadtest.comparison.runs import compare
from loadtest.runfile import ClientResult, Failure, Outcome, ResourceSummary, Run, RunStatus


def row(runs: list[Run], name: str) -> MetricRow:
    return next(metric for metric in compare(runs).metrics if metric.name == name)


def test_differences_are_signed_and_judged_by_what_is_better() -> None:
    runs = [varied_run("a"), varied_run("b", 2.0), varied_run("c", 0.5), varied_run("d", 1.001)]
    median = row(runs, "latency median")
    assert median.values[0] == pytest.approx(0.337, abs=0.01)
    assert median.differences[0] is None
    assert median.differences[1] == pytest.approx(0.337, abs=0.01)
    assert median.differences[2] == pytest.approx(-0.168, abs=0.01)
    assert median.verdicts[1:] == [Change.WORSE, Change.BETTER, Change.NONE_SHOWN]
    for difference, interval in zip(median.differences[1:], median.intervals[1:], strict=True):
        assert difference is not None
        assert interval is not None
        assert interval[0] <= difference <= interval[1]


def test_a_sure_difference_that_matters_to_nobody_is_none() -> None:
    # The same audio, so pairs: every session is slower by a thousandth, without a doubt.
    median = row([varied_run("a"), varied_run("b", 1.001)], "latency median")
    assert median.intervals[1] is not None
    assert median.intervals[1][0] > 0
    assert median.verdicts[1] is Change.NONE_SHOWN


def test_the_same_runs_give_the_same_intervals_whatever_stands_beside_them() -> None:
    one, two, three = varied_run("a"), varied_run("b", 1.2), varied_run("c", 1.4, sessions=12)
    alone = compare([one, two])
    assert compare([one, two]).as_json() == alone.as_json()
    assert (
        row([one, three, two], "latency p95").intervals[2]
        == row([one, two], "latency p95").intervals[1]
    )


def test_clients_are_drawn_in_pairs_only_where_they_sent_the_same_audio() -> None:
    one, two = varied_run("a"), varied_run("b", 1.05)
    other_audio = varied_run("c", 1.05, client={"audio_file": "other.wav"})
    other_text = varied_run("d", 1.05, client={"reference": "Echo delta."})
    longer = varied_run("e", 1.05, client={"audio_duration": 3.0})
    fewer = varied_run("f", 1.05, sessions=19)
    unknown_text = varied_run("g", 1.05, client={"reference": None})
    methods = compare([one, two, unknown_text, other_audio, other_text, longer, fewer]).methods
    assert [method.paired for method in methods] == [True, True, False, False, False, False]
    assert methods[-1].sessions == (20, 19)
    together = row([one, two], "latency median").intervals[1]
    apart = row([one, other_audio], "latency median").intervals[1]
    assert together is not None
    assert apart is not None
    assert together[1] - together[0] < apart[1] - apart[0]


def test_too_few_sessions_claim_nothing_and_say_so() -> None:
    enough, few = varied_run("a"), varied_run("b", 9.0, sessions=MIN_SESSIONS - 1)
    comparison = compare([enough, few])
    judged = [metric for metric in comparison.metrics if metric.estimates is not None]
    assert {metric.verdicts[1] for metric in judged} == {Change.UNKNOWN}
    assert {metric.intervals[1] for metric in judged} == {None}
    assert any("from 20 and 4 sessions; it takes 5 each." in r for r in comparison.reasons)
    assert row([enough, few], "latency median").differences[1] is not None
    least = varied_run("c", 9.0, sessions=MIN_SESSIONS)
    assert row([enough, least], "latency median").verdicts[1] is Change.WORSE


def test_sessions_without_a_figure_do_not_count_for_it() -> None:
    refused = [
        client_result(
            index, outcome=Outcome.FAILED, failure=Failure.WAIT, latency_samples=[], finish=None
        )
        for index in range(16)
    ]
    heard = [client_result(index) for index in range(16, 20)]
    run = example_run("b", clients=20, results=[*refused, *heard])
    latency = row([varied_run("a"), run], "latency median")
    assert latency.intervals[1] is None
    assert latency.estimates is not None
    assert "20 and 4 sessions" in latency.estimates[0].reason
    success = row([varied_run("a"), run], "success rate")
    assert success.verdicts[1] is Change.WORSE
    assert success.intervals[1] is not None


def failing_run(run_id: str, failures: int, sessions: int) -> Run:
    results = [
        client_result(
            index,
            outcome=Outcome.FAILED if index < failures else Outcome.SUCCESS,
            failure=Failure.TIMEOUT if index < failures else None,
        )
        for index in range(sessions)
    ]
    return example_run(run_id, clients=sessions, results=results)


def test_success_rates_are_never_surer_than_their_sessions_allow() -> None:
    none = row([failing_run("a", 0, 20), failing_run("b", 0, 20)], "success rate")
    assert none.intervals[1] == pytest.approx((-0.161, 0.161), abs=0.001)
    assert none.verdicts[1] is Change.NONE_SHOWN
    # R. G. Newcombe (1998), table II, row 10: 56 of 70 less 48 of 80 is 0.2 from 0.0524 to 0.3339.
    known = row([failing_run("a", 32, 80), failing_run("b", 14, 70)], "success rate")
    assert known.differences[1] == pytest.approx(0.2)
    assert known.intervals[1] == pytest.approx((0.0524, 0.3339), abs=0.0001)
    assert known.verdicts[1] is Change.BETTER


def wordy(index: int, *, deleted: int) -> ClientResult:
    from loadtest.runfile import WordErrors  # noqa: PLC0415

    words = WordErrors(
        wer=deleted / 20, substitutions=0, deletions=deleted, insertions=0, reference_words=20
    )
    return client_result(index, wer=words)


def test_word_errors_are_compared_over_pooled_words() -> None:
    good = example_run("a", clients=20, results=[wordy(i, deleted=i % 2) for i in range(20)])
    bad = example_run("b", clients=20, results=[wordy(i, deleted=3 + i % 3) for i in range(20)])
    wer = row([good, bad], "WER")
    assert wer.differences[1] == pytest.approx(0.1725)
    assert wer.verdicts[1] is Change.WORSE
    alike = row([varied_run("a"), varied_run("b")], "WER")
    # No error anywhere: nothing to draw from, and no difference either.
    assert (alike.intervals[1], alike.verdicts[1]) == (None, Change.NONE_SHOWN)
    unknown = row([varied_run("a"), varied_run("b", client={"wer": None})], "WER")
    assert (unknown.differences[1], unknown.verdicts[1]) == (None, Change.UNKNOWN)


def test_what_is_unknown_is_a_dash_never_zero() -> None:
    few = client_result(latency_samples=[0.2] * 5)
    p95 = row([example_run("a", results=[few]), example_run("b")], "latency p95")
    assert p95.values[0] is None
    assert p95.differences == [None, None]
    assert p95.verdicts[1] is Change.UNKNOWN
    names = [metric.name for metric in compare([example_run("a"), example_run("b")]).metrics]
    assert not any("GPU" in name or "word" in name for name in names)


def with_resources(run_id: str, *, shared: bool, **values: Any) -> Run:
    run = varied_run(run_id, **values)
    run.summary.resources = {
        name: ResourceSummary(gpu_memory_peak=1000, cpu_mean=0.5, gpu_shared=shared)
        for name in ("replica-1", "replica-2")
    }
    return run


def test_a_shared_card_counts_once() -> None:
    runs = [with_resources("a", shared=True), with_resources("b", shared=False)]
    assert row(runs, "GPU memory, peak").values == [1000.0, 2000.0]
    assert row(runs, "CPU, mean").values == [1.0, 1.0]


def test_only_the_figure_that_is_the_cards_counts_once() -> None:
    runs = [with_resources("a", shared=True), with_resources("b", shared=True)]
    for used in runs[1].summary.resources.values():
        used.gpu_utilisation_shared = True
        used.gpu_utilisation_mean = 0.5
    assert row(runs, "GPU memory, peak").values == [1000.0, 2000.0], "b's memory is each one's own"
    assert row(runs, "GPU, mean").values == [None, 0.5]


def test_what_machines_use_is_described_and_never_judged() -> None:
    runs = [with_resources("a", shared=True), with_resources("b", shared=False, sessions=10)]
    memory = row(runs, "GPU memory, peak")
    assert memory.differences[1] == 1000.0
    assert memory.estimates is None
    assert memory.verdicts[1] is Change.UNKNOWN


def test_a_run_that_was_cut_off_before_it_began_can_be_compared() -> None:
    empty = example_run("b", status=RunStatus.STOPPED)
    empty.clients = []
    assert row([varied_run("a"), empty], "latency median").verdicts[1] is Change.UNKNOWN


def test_a_comparison_is_plain_data_and_needs_two(tmp_path: Path) -> None:
    data = json.loads(json.dumps(compare([varied_run("a"), varied_run("b", 2.0)]).as_json()))
    assert data["runs"] == ["a", "b"]
    assert data["method"]["resamples"] == RESAMPLES
    assert data["method"]["against_first"] == [{"sessions": [20, 20], "paired": True}]
    (median,) = (metric for metric in data["metrics"] if metric["name"] == "latency median")
    assert median["verdicts"] == [None, "worse"]
    assert median["smallest_relevant"] == 0.01
    assert len(median["intervals"][1]) == 2
    with pytest.raises(ValueError, match="two"):
        compare([varied_run("a")])


def test_runs_have_letters_however_many_there_are() -> None:
    assert [letter(number) for number in (0, 25, 26, 27)] == ["A", "Z", "AA", "AB"]


def test_a_run_is_no_different_from_itself() -> None:
    comparison = compare([varied_run("a"), varied_run("a")])
    judged = [metric for metric in comparison.metrics if metric.estimates is not None]
    assert {metric.verdicts[1] for metric in judged} == {Change.NONE_SHOWN}
    assert any("whichever sessions are drawn" in reason for reason in comparison.reasons)
