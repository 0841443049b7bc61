"""Runs held against their SLO, and what their timelines come to."""

import pytest
from support.runs import client_result, example_run

from loadtest.plan import Slo
from loadtest.runfile import (
    Failure,
    Outcome,
    RunStatus,
    TimelineRow,
)
from loadtest.verdict import demo_verdict, series_verdict
from stack.status import ReplicaSample


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


def test_resources_are_summarised_over_the_timeline() -> None:
    from loadtest.recording import resources  # noqa: PLC0415

    rows = [
        TimelineRow(
            time=float(second),
            sessions=1,
            replicas={
                "replica-1": ReplicaSample(
                    cpu=second / 10,
                    memory=second,
                    gpu_memory=10 * second,
                    gpu_utilisation=0.5,
                    sessions=second,
                    queue_depth=second,
                ),
                "replica-2": ReplicaSample(),
            },
        )
        for second in range(1, 5)
    ]
    found = resources(rows)
    assert found["replica-1"].cpu_mean == pytest.approx(0.25)
    assert found["replica-1"].memory_peak == 4
    assert found["replica-1"].gpu_memory_peak == 40
    assert found["replica-1"].sessions_peak == 4
    # Unknown stays unknown.
    assert found["replica-2"].cpu_mean is None
    assert found["replica-2"].memory_peak is None
