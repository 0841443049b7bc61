"""What was configured differently, and what that makes doubtful."""

from typing import Any

import pytest
from support.runs import client_result, example_run

from loadtest.comparison.configuration import configuration_rows, warnings
from loadtest.runfile import Failure, Outcome, Run, RunStatus

MACHINE = {"cpu": "One CPU", "cores": 2, "memory": 2**30, "system": "Linux 6", "gpus": []}


def run(run_id: str, **values: Any) -> Run:
    samples = [0.2 + 0.01 * number for number in range(100)]
    values.setdefault("results", [client_result(latency_samples=samples)])
    return example_run(run_id, **values)


def test_configuration_differences_come_with_their_values() -> None:
    one = run("a", label="before", stack={"replicas": 2, "replica": {"model": "offline"}})
    two = run("b", clients=2, stack={"replicas": 3, "replica": {"model": "offline"}})
    rows = {row.name: row.values for row in configuration_rows([one, two])}
    assert rows["clients"] == ["1", "2"]
    assert rows["label"] == ["before", ""]
    assert rows["stack replicas"] == ["2", "3"]
    assert "seed" not in rows
    assert "stack replica model" not in rows
    assert configuration_rows([one, one]) == []


def test_runs_that_are_alike_need_no_warning() -> None:
    assert warnings([run("a", environment=MACHINE), run("b", environment=MACHINE)]) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"seed": 2}, "Different seeds (1; 2): the clients sent different audio."),
        ({"chunk": 0.2}, "Different chunk sizes (0.1 s; 0.2 s)"),
        ({"duration": 30.0}, "Different durations (whole clips; 30 s)"),
        ({"audio_format": "int16"}, "Different audio formats (float32; int16)"),
        ({"generator": "inside"}, "Different places of the generator (host; inside)"),
        ({"host": "192.0.2.1"}, "Different targets (127.0.0.1; 192.0.2.1)"),
        ({"stack": {"replica": {"model": "large"}}}, "Different models (unknown; large)"),
        ({"environment": MACHINE | {"cpu": "Two"}}, "Different machines (One CPU, 2 cores, 1 MiB"),
        ({"num_clients": 2}, "Different client counts (1; 2)"),
        ({"status": RunStatus.STOPPED}, "B was stopped before its end."),
        ({"status": RunStatus.INTERRUPTED}, "B was interrupted before its end."),
    ],
)
def test_each_setting_that_matters_has_its_warning(values: dict[str, Any], expected: str) -> None:
    other = run("b", **({"environment": MACHINE} | values))
    (warning,) = warnings([run("a", environment=MACHINE), other])
    assert warning.startswith(expected.replace("1 MiB", "1,024 MiB"))


def test_the_audio_really_played_is_compared_client_by_client() -> None:
    samples = [0.3] * 100
    same = [client_result(index, latency_samples=samples) for index in range(3)]
    other = [
        client_result(index, latency_samples=samples, audio_file="one.wav" if index else "two.wav")
        for index in range(3)
    ]
    one = example_run("a", clients=3, results=same)
    two = example_run("b", clients=3, results=other)
    (warning,) = warnings([one, two])
    assert warning.startswith("2 of 3 clients played other audio in B than in A (client 1: one.wav")


def test_a_late_generator_failures_and_few_samples_are_said() -> None:
    late = run("b")
    late.summary.generator_distorted = True
    assert "B had a load generator that was itself late" in warnings([run("a"), late])[0]
    failed = client_result(outcome=Outcome.FAILED, failure=Failure.WAIT, latency_samples=[0.1] * 30)
    found = warnings([run("a", results=[failed]), run("b", results=[client_result()])])
    assert found[0].startswith("A had 1 of 1 sessions fail")
    assert found[1] == "A has 30 latency samples: too few for p99."
    none = client_result(latency_samples=[])
    assert "B has 0 latency samples: too few for p95 and p99." in warnings(
        [run("a"), run("b", results=[none])]
    )


def test_sessions_of_other_lengths_hold_other_numbers_of_clients() -> None:
    longer = run("b")
    longer.summary.average_audio_duration = 20.0
    assert warnings([run("a"), longer]) == [
        "The sessions' audio lasts 2 to 20 s: client counts are not comparable."
    ]
