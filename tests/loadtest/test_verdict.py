"""Runs held against their SLO, and what their timelines come to."""

from support.runs import client_result, example_run

from loadtest.plan import Slo
from loadtest.runfile import (
    Failure,
    Outcome,
    RunStatus,
)
from loadtest.verdict import demo_verdict, run_notes, series_verdict


def test_the_slo_names_each_limit_that_was_missed() -> None:
    slo = Slo(p95_latency=0.3, success_rate=1.0, wer_over_baseline=0.1)
    run = example_run(
        "a",
        clients=2,
        slo=slo,
        baseline_wer=0.0,
        results=[
            client_result(0, transcript="delta foxtrot"),
            client_result(1, outcome=Outcome.FAILED, failure=Failure.WAIT, latency_samples=[]),
        ],
    )
    assert run.summary.slo is not None
    text = " ".join(run.summary.slo.reasons)
    assert "p95 latency 0.43 s is over 0.3 s" in text
    assert "1 of 2 sessions failed" in text
    assert "WER 25.0%" in text
    assert len(run.summary.slo.reasons) == 3
    assert "Not even 2 clients" in series_verdict([run]).sentence


def test_with_few_samples_even_the_largest_must_meet_the_limit() -> None:
    few = client_result(latency_samples=[0.1, 5.0])
    run = example_run("a", results=[few], slo=Slo(p95_latency=2.0))
    assert run.summary.slo is not None
    assert "largest latency 5.00 s" in run.summary.slo.reasons[0]
    none = client_result(latency_samples=[])
    run = example_run("a", results=[none], slo=Slo(p95_latency=2.0))
    assert run.summary.slo is not None
    assert run.summary.slo.reasons == ["no latency was measured"]


def test_words_that_took_long_are_told_although_updates_were_fast() -> None:
    # A server that stands still for 8 s: one update catches up with all the words said meanwhile.
    stalled = client_result(
        latency_samples=[*[0.3] * 60, 8.0],
        word_latency_samples=[*[0.5] * 60, *(8.0 - 0.4 * word for word in range(20))],
    )
    run = example_run("a", results=[stalled], slo=Slo(p95_latency=2.0))
    assert run.summary.slo is not None
    assert run.summary.slo.met
    (note,) = run_notes(run)
    assert "stood still" in note
    assert "updates which came is 0.30 s" in note
    limited = example_run(
        "b", results=[stalled], slo=Slo(p95_latency=2.0, p95_word_latency=2.0, success_rate=None)
    )
    assert limited.summary.slo is not None
    (reason,) = limited.summary.slo.reasons
    assert reason.startswith("p95 word latency 6.")
    assert reason.endswith("is over 2 s")
    smooth = client_result(latency_samples=[0.3] * 60, word_latency_samples=[0.6] * 60)
    assert run_notes(example_run("c", results=[smooth], slo=Slo(p95_latency=2.0))) == []
    unknown = example_run("d", results=[client_result()], slo=Slo(p95_word_latency=2.0))
    assert unknown.summary.slo is not None
    assert any("needs clips with word times" in reason for reason in unknown.summary.slo.reasons)


def test_a_series_is_judged_in_a_sentence_with_the_length_of_the_audio() -> None:
    good = example_run("a", slo=Slo(p95_latency=2.0))
    bad = example_run("b", clients=2, slo=Slo(p95_latency=0.1))
    verdict = series_verdict([good, bad])
    assert not verdict.passed
    assert verdict.sentence.startswith(
        "1 client met the SLO (2 s of audio each); 2 clients did not"
    )
    assert series_verdict([good]).passed
    stopped = example_run("c", clients=3, status=RunStatus.STOPPED)
    assert stopped.summary.slo is None
    cut = "the step with 3 clients was stopped and is not judged."
    assert series_verdict([good, stopped]).sentence.endswith(cut)
    assert series_verdict([stopped]).sentence == cut.capitalize()
    assert not series_verdict([]).passed


def test_the_demonstration_passes_only_with_every_session_and_low_wer() -> None:
    assert demo_verdict([example_run("a"), example_run("b", clients=2)]).passed
    wrong = example_run("c", results=[client_result(transcript="nothing of it")])
    assert not demo_verdict([example_run("a"), wrong]).passed
    failed = example_run("d", results=[client_result(outcome=Outcome.FAILED)])
    assert not demo_verdict([failed]).passed
    assert not demo_verdict([]).passed
    unknown = example_run("e", results=[client_result(wer=None)])
    assert not demo_verdict([unknown]).passed
    stopped = example_run("f", status=RunStatus.STOPPED)
    assert not demo_verdict([example_run("a"), stopped]).passed
