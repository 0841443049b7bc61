"""``whisperctl load`` against a server whose answers are known."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console
from support.commands import Command
from support.runs import example_run

from console.cli.progress import TerminalView
from loadtest.calibration.sink import Sink
from loadtest.events import StepFinished, StepProgress, StepStarted
from loadtest.runfile import TimelineRow
from loadtest.store import RunStore


def test_a_series_prints_lines_and_saves_every_step(
    run: Command, sink: Sink, tmp_path: Path
) -> None:
    results, copy = tmp_path / "results", tmp_path / "copies" / "run.json"
    done = run(
        *("load", "--clients", "1,2", "--port", sink.port, "--duration", 2, "--cool-down", 0),
        *("--results-dir", results, "--output-file", copy, "--label", "plain", "--slo-wer", 9),
    )
    assert done.code == 0, done.err
    assert "step 1 of 2: 1 client," in done.out
    assert "2 of 2 ok" in done.out
    assert "All steps up to 2 clients met the SLO (2 s of audio each)" in done.out
    files = sorted(results.glob("run_*_clients_*.json"))
    assert len(files) == 2
    for count, file in zip((1, 2), files, strict=True):
        twin = copy.with_name(f"run_{count}_clients.json")
        assert json.loads(twin.read_text()) == json.loads(file.read_text())


def test_an_slo_named_on_the_command_line_decides_the_exit_code(
    run: Command, sink: Sink, tmp_path: Path
) -> None:
    arguments = ("load", "--num-clients", 1, "--port", sink.port, "--duration", 1)
    arguments += ("--results-dir", tmp_path)
    failed = run(*arguments, "--slo-p95", 0.01)
    assert failed.code == 1
    assert "SLO not met" in failed.out
    assert run(*arguments, "--slo-p95", 5).code == 0


def test_no_success_at_all_is_a_failure(run: Command, sink: Sink, tmp_path: Path) -> None:
    sink.refuse = "wait"
    failed = run("load", "--num-clients", 2, "--port", sink.port, "--results-dir", tmp_path)
    assert failed.code == 1
    assert "2 of 2 sessions failed" in failed.out
    assert "2 failed, wait: The server is full: WAIT, 1.5 minutes." in failed.out


def test_failed_sessions_are_said_in_a_sentence_and_change_no_exit_code_by_themselves(
    run: Command, sink: Sink, tmp_path: Path
) -> None:
    sink.limit = 1
    done = run(
        *("load", "--num-clients", 3, "--port", sink.port, "--duration", 1),
        *("--results-dir", tmp_path),
    )
    assert done.code == 0
    assert done.out.splitlines()[-1] == "2 of 3 sessions failed: 2 wait."


@pytest.mark.parametrize(
    ("limit", "options", "code"),
    [
        (None, ("--fail-on", "slo", "--slo-wer", 9), 0),
        (None, ("--fail-on", "slo", "--slo-p95", 0.01), 3),
        (None, ("--fail-on", "failures", "--slo-p95", 5, "--slo-wer", 9), 0),
        (1, ("--fail-on", "failures", "--slo-success", 0, "--slo-wer", 9), 3),
        # One in two is good enough for this SLO, and nobody asked about failures.
        (1, ("--fail-on", "slo", "--slo-success", 0.5, "--slo-wer", 9), 0),
        (1, ("--fail-on", "slo", "--fail-on", "failures", "--slo-success", 0.5), 3),
        # Nobody asked about the SLO, but it was named: as without --fail-on.
        (None, ("--fail-on", "failures", "--slo-p95", 0.01), 1),
    ],
)
def test_what_a_load_fails_on_is_chosen(
    run: Command,
    sink: Sink,
    tmp_path: Path,
    *,
    limit: int | None,
    options: tuple[object, ...],
    code: int,
) -> None:
    sink.limit = limit
    done = run(
        *("load", "--num-clients", 2, "--port", sink.port, "--duration", 1),
        *("--results-dir", tmp_path, *options),
    )
    assert done.code == code, done.out


def test_a_search_for_the_capacity_has_nothing_to_fail_on(run: Command) -> None:
    wrong = run("load", "--find-capacity", "--fail-on", "slo")
    assert wrong.code == 2
    assert "leave --fail-on away" in wrong.err


def test_an_output_file_that_cannot_be_written_says_where_the_run_is(
    run: Command, sink: Sink, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    failed = run(
        *("load", "--num-clients", 1, "--port", sink.port, "--duration", 1),
        *("--results-dir", tmp_path / "results", "--output-file", blocked / "run.json"),
    )
    assert failed.code == 1
    assert "the run itself is saved as" in failed.err


def _start_load(sink: Sink, results: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "console", "load", "--num-clients", "2", "--duration", "60"]
    command += ["--port", str(sink.port), "--results-dir", str(results)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while len(sink.received) < 2 or min(sink.received.values()) < 64_000:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_in_order_and_keeps_what_was_measured(
    sink: Sink, tmp_path: Path, number: signal.Signals
) -> None:
    process = _start_load(sink, tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Stopping" in out
    assert "SLO not judged: the step was stopped" in out
    assert "failed" not in out
    (entry,) = RunStore(tmp_path).entries()
    assert entry.status == "stopped"
    assert RunStore(tmp_path).load("latest").summary.latency.count > 0


def test_a_killed_load_is_recovered_by_the_next_command(
    run: Command, sink: Sink, tmp_path: Path
) -> None:
    process = _start_load(sink, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    listed = run("runs", "--results-dir", tmp_path)
    assert "Recovered the interrupted run" in listed.err
    assert "interrupted" in listed.out
    # The generators end with whoever started them.
    deadline = time.monotonic() + 15
    counts = dict(sink.received)
    while True:
        assert time.monotonic() < deadline
        time.sleep(0.5)
        if counts == sink.received:
            break
        counts = dict(sink.received)


def test_the_bar_on_a_terminal_shows_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    view = TerminalView(Console(force_terminal=True, width=120, record=True))
    run = example_run("run_1_clients_x")
    row = TimelineRow(time=1.0, sessions=1, latency_p50=0.25, latency_p95=0.5)
    with view:
        view.show(StepStarted(run_id="x", step=1, steps=1, clients=1, expected_duration=2.0))
        view.show(StepProgress(row=row, elapsed=1.0, finished=0, failed=1))
        view.show(StepFinished(run=run, path=Path("results/x.json")))
        view.note("a [word] in brackets")
    text = view.console.export_text()
    assert "1 of 1 ok" in text
    assert "saved results/x.json" in text
    assert "a [word] in brackets" in text


def test_a_search_for_the_capacity(run: Command, sink: Sink, tmp_path: Path) -> None:
    sink.limit = 2
    done = run(
        *("load", "--find-capacity", "--max-clients", 8, "--duration", 1, "--slo-wer", 100),
        *("--port", sink.port, "--results-dir", tmp_path),
    )
    assert done.code == 0
    assert "step 1: 1 client" in done.out
    assert "Capacity: 2 clients met the SLO in 2 runs" in done.out
    assert "3 clients did not: 1 of 3 sessions failed" in done.out
    wrong = run("load", "--find-capacity", "--clients", "1,2")
    assert wrong.code == 2
    assert "leave --clients away" in wrong.err
