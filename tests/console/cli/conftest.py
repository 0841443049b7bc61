"""A server, runs and a command runner for tests of the command line."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import Command, Outcome
from support.runs import client_result, example_run

from console.cli import main
from loadtest.calibration.sink import Sink, serving
from loadtest.store import RunStore


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command line in this process."""
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setenv("NO_COLOR", "1")

    def run_command(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run_command


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server whose answers come after a known delay, on a thread with a loop of its own."""
    server = Sink(delay=0.1, step=0.25, text=lambda index: "alpha")
    started, end = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(server):
            started.set()
            await asyncio.to_thread(end.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10)
    yield server
    end.set()
    thread.join(10)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results directory with two runs and a broken file."""
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path / "state"))
    store = RunStore(tmp_path / "results")
    store.save(example_run("run_1_clients_a", label="before"))
    slow = [client_result(0, latency_samples=[2.0 + 0.01 * n for n in range(120)])]
    store.save(example_run("run_2_clients_b", label="after [red]", results=slow))
    (store.directory / "broken.json").write_text("{")
    return store.directory
