"""Runs held against each other and against their SLO."""

import json

import pytest
from support.runs import client_result, example_run

from loadtest.compare import Change, MetricRow, Unit, compare, format_figure
from loadtest.plan import Slo
from loadtest.runfile import (
    Failure,
    Outcome,
    ResourceSummary,
    Run,
    RunStatus,
    TimelineRow,
)
from loadtest.verdict import demo_verdict, series_verdict
from stack.status import ReplicaSample


def slow_run(run_id: str, factor: float, **values: object) -> Run:
    samples = [factor * (0.2 + 0.01 * number) for number in range(25)]
    return example_run(run_id, results=[client_result(latency_samples=samples)], **values)  # type: ignore[arg-type]


def row(run: list[Run], name: str) -> MetricRow:
    return next(metric for metric in compare(run).metrics if metric.name == name)


def test_differences_are_signed_and_judged_by_what_is_better() -> None:
    runs = [slow_run("a", 1.0), slow_run("b", 2.0), slow_run("c", 0.5), slow_run("d", 1.01)]
    median = row(runs, "latency median")
    assert median.values[0] == pytest.approx(0.32)
    assert median.differences[0] is None
    assert median.differences[1] == pytest.approx(0.32)
    assert median.differences[2] == pytest.approx(-0.16)
    assert median.verdicts == [Change.UNKNOWN, Change.WORSE, Change.BETTER, Change.SAME]


def test_higher_success_is_better() -> None:
    failed = client_result(
        outcome=Outcome.FAILED, failure=Failure.TIMEOUT, errors=["too late"], transcript=""
    )
    runs = [example_run("a", results=[failed]), example_run("b")]
    assert row(runs, "success").verdicts[1] is Change.BETTER
    assert row(runs, "failed sessions").differences[1] == -1


def test_what_is_unknown_is_a_dash_never_zero() -> None:
    few = client_result(latency_samples=[0.2] * 5)
    p95 = row([example_run("a", results=[few]), example_run("b")], "latency p95")
    assert p95.values[0] is None
    assert p95.differences == [None, None]
    assert p95.format(p95.values[0]) == "–"
    assert not any("GPU" in metric.name for metric in compare([few_run(), few_run()]).metrics)


def few_run() -> Run:
    return example_run("few")


def test_configuration_differences_come_with_their_values() -> None:
    one = example_run("a", label="before", stack={"replicas": 2, "replica": {"model": "offline"}})
    two = example_run("b", clients=2, stack={"replicas": 3, "replica": {"model": "offline"}})
    rows = {row.name: row.values for row in compare([one, two]).configuration}
    assert rows["clients"] == ["1", "2"]
    assert rows["label"] == ["before", ""]
    assert rows["stack replicas"] == ["2", "3"]
    assert "seed" not in rows
    assert "stack replica model" not in rows
    assert compare([one, one]).configuration == []


def test_a_shared_card_counts_once() -> None:
    def with_gpu(run_id: str, *, shared: bool) -> Run:
        run = example_run(run_id)
        run.summary.resources = {
            name: ResourceSummary(gpu_memory_peak=1000, cpu_mean=0.5, gpu_shared=shared)
            for name in ("replica-1", "replica-2")
        }
        return run

    runs = [with_gpu("a", shared=True), with_gpu("b", shared=False)]
    assert row(runs, "GPU memory, peak").values == [1000.0, 2000.0]
    assert row(runs, "replicas' CPU, mean").values == [1.0, 1.0]


def test_warnings_say_what_is_not_comparable() -> None:
    other = example_run("b", seed=2, status=RunStatus.STOPPED)
    other.summary.generator_distorted = True
    other.summary.average_audio_duration = 20.0
    warnings = " ".join(compare([example_run("a"), other]).warnings)
    for expected in ("late", "stopped", "seeds", "2 to 20 s"):
        assert expected in warnings


def test_a_comparison_is_plain_data_and_needs_two() -> None:
    data = compare([example_run("a"), example_run("b")]).as_json()
    assert json.loads(json.dumps(data))["runs"] == ["a", "b"]
    with pytest.raises(ValueError, match="two"):
        compare([example_run("a")])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.3456, Unit.SECONDS, "0.346 s"),
        (12.345, Unit.SECONDS, "12.35 s"),
        (123.4, Unit.SECONDS, "123 s"),
        (0.0312, Unit.FRACTION, "3.1 %"),
        (1.5, Unit.CORES, "1.50 cores"),
        (5 * 2**20, Unit.BYTES, "5 MiB"),
        (3.0, Unit.COUNT, "3"),
        (1.25, Unit.RATIO, "1.25×"),
        (None, Unit.SECONDS, "–"),
    ],
)
def test_figures_are_written_in_their_unit(value: float | None, unit: Unit, text: str) -> None:
    assert format_figure(value, unit) == text


def test_no_difference_has_no_minus() -> None:
    assert format_figure(-0.0001, Unit.SECONDS, signed=True) == "+0.000 s"
    assert format_figure(-0.00001, Unit.FRACTION) == "0.0 %"


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
