"""Runs as CSV."""

import csv
import io

import pytest
from support.runs import client_result, example_run

from loadtest.exports.tables import Table, csv_text
from loadtest.runfile import Failure, Outcome, Run, TimelineRow
from stack.status import ReplicaSample


def rows(run: Run, table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(run, table), newline="")))


def test_each_latency_sample_is_a_row_of_its_kind() -> None:
    client = client_result(
        latency_samples=[0.1, 0.25],
        final_latency_samples=[0.5],
        word_latency_samples=[0.3],
        word_final_latency_samples=[0.7],
    )
    found = rows(example_run("run_1", results=[client]), Table.SAMPLES)
    assert [(row["kind"], float(row["value_seconds"])) for row in found] == [
        ("latency", 0.1),
        ("latency", 0.25),
        ("final", 0.5),
        ("word", 0.3),
        ("word_final", 0.7),
    ]
    assert {(row["run_id"], row["client_id"], row["replica"]) for row in found} == {
        ("run_1", "0", "replica-1")
    }


def test_clients_have_one_row_and_what_is_unknown_is_empty() -> None:
    failed = client_result(
        1,
        outcome=Outcome.FAILED,
        failure=Failure.WAIT,
        errors=["The server is full."],
        replica=None,
        finish=None,
        latency_samples=[],
        wer=None,
        transcript='two\nlines, "quoted"',
    )
    one, two = rows(
        example_run("run_1", clients=2, label="evening", results=[client_result(), failed]),
        Table.CLIENTS,
    )
    assert (one["label"], one["outcome"], one["wer"]) == ("evening", "success", "0.0")
    assert float(one["latency_median_seconds"]) == pytest.approx(0.32)
    assert (two["failure"], two["error"]) == ("wait", "The server is full.")
    assert [two[name] for name in ("replica", "finish_seconds", "wer")] == ["", "", ""]
    assert two["transcript"] == 'two\nlines, "quoted"'


def test_the_timeline_has_a_row_for_each_second_and_replica() -> None:
    run = example_run("run_1")
    sample = ReplicaSample(cpu=0.5, memory=1000, sessions=2)
    run.timeline = [
        TimelineRow(time=1.0, sessions=2, latency_p50=0.2),
        TimelineRow(time=2.0, sessions=2, replicas={"replica-1": sample, "replica-2": sample}),
    ]
    found = rows(run, Table.TIMELINE)
    assert [(row["time_seconds"], row["replica"]) for row in found] == [
        ("1.0", ""),
        ("2.0", "replica-1"),
        ("2.0", "replica-2"),
    ]
    assert found[0]["latency_p50_seconds"] == "0.2"
    assert (found[1]["replica_cpu_cores"], found[1]["replica_memory_bytes"]) == ("0.5", "1000")
    assert (found[1]["replica_gpu_memory_bytes"], found[1]["replica_gpu_shared"]) == ("", "false")


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "  =1",
        '=HYPERLINK("http://x","y")',
        "\uff1d1+1",
    ],
)
def test_no_text_becomes_a_formula(text: str) -> None:
    client = client_result(transcript=text, audio_file=text, replica=text, reference=text)
    (row,) = rows(example_run("run_1", label=text, results=[client]), Table.CLIENTS)
    for name in ("label", "transcript", "audio_file", "replica", "reference"):
        assert row[name] == f"'{text}"
    samples = rows(example_run("run_1", results=[client]), Table.SAMPLES)
    assert samples[0]["replica"] == f"'{text}"


def test_numbers_stay_numbers() -> None:
    client = client_result(latency_samples=[-0.25], started_at=-0.5)
    run = example_run("run_1", results=[client])
    assert rows(run, Table.SAMPLES)[0]["value_seconds"] == "-0.25"
    assert rows(run, Table.CLIENTS)[0]["started_at_seconds"] == "-0.5"


def test_harmless_text_is_left_alone() -> None:
    client = client_result(transcript="a = b - c", audio_file="one+two.wav")
    (row,) = rows(example_run("run_1", results=[client]), Table.CLIENTS)
    assert (row["transcript"], row["audio_file"]) == ("a = b - c", "one+two.wav")
