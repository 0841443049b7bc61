"""Runs in Prometheus' text format, read back by Prometheus' own parser."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.runs import client_result, example_run

from loadtest.exports.prometheus import prometheus_text
from loadtest.plan import Slo
from loadtest.runfile import Failure, Outcome, Run, RunStatus, TimelineRow
from stack.status import BalancerSample, GpuSample, MachineSample, ReplicaSample

Samples = dict[tuple[str, ...], float]

LABELS = {"run_id": "run_2", "series_id": "series_x", "label": 'a "b"\\\n{c}', "clients": "2"}


def whole_run() -> Run:
    failed = client_result(
        1, outcome=Outcome.FAILED, failure=Failure.WAIT, latency_samples=[], wer=None
    )
    good = client_result(latency_samples=[0.1 + 0.01 * number for number in range(120)])
    run = example_run("run_2", clients=2, label=LABELS["label"], results=[good, failed])
    run.timeline = [
        TimelineRow(
            time=float(second),
            sessions=2,
            replicas={
                "replica-1": ReplicaSample(
                    cpu=cpu, memory=1000, sessions=second, rejected_total=3 * second
                ),
                "replica-2": ReplicaSample(gpu_memory=2000, gpu_shared=True, gpus=(1,)),
            },
            machine=MachineSample(
                cpu=0.5,
                gpus=(GpuSample(index=1, name="A2", temperature=60, throttle=("heat",)),),
                balancer=BalancerSample(cpu=0.1, missing=("service",)),
            ),
        )
        for second, cpu in ((1, 0.1), (2, 0.9))
    ]
    run.summary.load_distribution.sessions = {"replica-1": 1, "replica-2": 0}
    return run


def read(run: Run) -> Samples:
    """Return the samples by name and by the labels that not all of them have."""
    found: Samples = {}
    for family in text_string_to_metric_families(prometheus_text(run)):
        assert family.documentation.endswith(".")
        assert family.type in {"gauge", "summary"}
        for sample in family.samples:
            assert sample.name.startswith("whisperctl_run_")
            own = {name: value for name, value in sample.labels.items() if name not in LABELS}
            if run.run_id == "run_2":
                assert {name: sample.labels[name] for name in LABELS} == LABELS
            key = (sample.name.removeprefix("whisperctl_run_"), *own.values())
            assert key not in found
            found[key] = sample.value
    return found


def test_the_summary_is_read_back_with_its_labels() -> None:
    run = whole_run()
    found = read(run)
    latency = run.summary.latency
    assert found["latency_seconds", "0.5"] == latency.median
    assert found["latency_seconds", "0.95"] == latency.p95
    assert found["latency_seconds", "0.99"] == latency.p99
    assert found[("latency_seconds_count",)] == 120
    assert found[("latency_seconds_sum",)] == pytest.approx(sum(run.clients[0].latency_samples))
    assert found[("latency_max_seconds",)] == latency.max
    assert found["sessions", "success"] == 1
    assert found["sessions", "failed"] == 1
    assert found["failures", "wait"] == 1
    assert found["word_errors", "deletion"] == 0
    assert found[("word_error_ratio",)] == 0.0
    assert found["replica_sessions", "replica-2"] == 0
    assert found["replica_cpu_cores", "replica-1", "mean"] == 0.5
    assert found["replica_memory_bytes", "replica-1", "peak"] == 1000
    assert found["replica_cpu_cores", "replica-1", "peak"] == 0.9
    assert found["replica_open_sessions", "replica-1", "peak"] == 2
    assert found["replica_rejected_sessions", "replica-1"] == 3, "from the first second on"
    assert found["replica_gpu_shared", "replica-2"] == 1
    assert found["replica_gpu_memory_shared", "replica-2"] == 0
    assert ("replica_gpu_shared", "replica-1") not in found
    assert found["replica_gpus_ratio", "1", "replica-2"] == 1
    assert found["machine_cpu_ratio", "mean"] == 0.5
    assert found["balancer_missing_ratio", "service"] == 1
    assert found["gpu_temperature_celsius", "1", "A2", "peak"] == 60
    assert found["gpu_throttle_ratio", "1", "A2", "heat"] == 1
    assert found[("created_timestamp_seconds",)] == pytest.approx(run.created_at.timestamp())
    assert found[("slo_met",)] == 0


def test_what_is_unknown_is_left_out_never_zero() -> None:
    few = client_result(latency_samples=[0.2] * 5, finish=None, wer=None)
    found = read(example_run("run_1", results=[few], status=RunStatus.STOPPED))
    assert ("latency_seconds", "0.5") in found
    assert ("latency_seconds", "0.95") not in found
    assert not any(
        key[0].startswith(("finish", "word", "slo", "replica_memory", "generator_cpu"))
        for key in found
    )
    assert found["status", "stopped"] == 1


def test_every_family_has_help_and_type_once() -> None:
    lines = prometheus_text(whole_run()).splitlines()
    helped = [line.split()[2] for line in lines if line.startswith("# HELP")]
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert helped == typed
    assert len(set(helped)) == len(helped)
    met = read(example_run("run_1", slo=Slo(p95_latency=2.0)))
    assert met[("slo_met",)] == 1
