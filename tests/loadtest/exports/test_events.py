"""Runs as JSON Lines."""

import json
from typing import Any

import pytest
from support.runs import client_result, example_run

from loadtest.exports.events import json_lines
from loadtest.runfile import Failure, Outcome, Run, TimelineRow


def events(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in json_lines(run).splitlines()]


def test_what_happened_is_told_in_order_of_time() -> None:
    late = client_result(1, started_at=1.0, connection_time=0.5, processing_time=0.9)
    run = example_run("run_2", clients=2, label="evening", results=[client_result(), late])
    run.timeline = [TimelineRow(time=1.0, sessions=2), TimelineRow(time=2.0, sessions=2)]
    found = events(run)
    assert [(event["event"], event.get("client_id")) for event in found] == [
        ("run_started", None),
        ("client_ready", 0),
        ("timeline", None),
        ("client_ready", 1),
        ("timeline", None),
        ("client_finished", 0),
        ("client_finished", 1),
        ("run_finished", None),
    ]
    times = [event["time"] for event in found]
    assert times == sorted(times)
    assert found[3]["time"] == pytest.approx(1.5)
    assert found[6]["time"] == pytest.approx(2.4)
    assert found[0]["label"] == "evening"
    assert found[0]["test_configuration"]["num_clients"] == 2
    assert found[-1]["status"] == "completed"
    assert found[-1]["summary"]["successful_clients"] == 2


def test_a_session_says_how_it_ended_without_all_its_samples() -> None:
    (finished,) = [e for e in events(example_run("run_1")) if e["event"] == "client_finished"]
    assert finished["outcome"] == "success"
    assert finished["latency"]["median"] == pytest.approx(0.32)
    assert not any(name.endswith("_samples") for name in finished)
    assert finished["time_exact"]


def test_ends_that_the_file_does_not_know_are_marked() -> None:
    refused = client_result(
        0,
        outcome=Outcome.FAILED,
        failure=Failure.REFUSED,
        started_at=0.7,
        connection_time=None,
        processing_time=None,
    )
    cut_off = client_result(1, outcome=Outcome.INCOMPLETE, processing_time=None)
    found = events(example_run("run_2", clients=2, results=[refused, cut_off]))
    ended = {e["client_id"]: e for e in found if e["event"] == "client_finished"}
    assert (ended[0]["time"], ended[0]["time_exact"]) == (0.7, False)
    assert (ended[1]["time"], ended[1]["time_exact"]) == (2.5, False)
    assert not any(e["event"] == "client_ready" and e["client_id"] == 0 for e in found)


def test_lines_stay_lines_whatever_was_said() -> None:
    run = example_run("run_1", results=[client_result(transcript="one\ntwo\u2028drei ü")])
    (finished,) = [e for e in events_by_newline(run) if e["event"] == "client_finished"]
    assert finished["transcript"] == "one\ntwo\u2028drei ü"


def events_by_newline(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in json_lines(run).removesuffix("\n").split("\n")]
