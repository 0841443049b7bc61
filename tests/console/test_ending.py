"""How the console ends when nobody asked it nicely: in real terminals, on a real stack."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ptys import Terminal, whisperctl
from support.waiting import until

from console.cli import main
from console.crash import REPORTS_KEPT, crash_sentence
from loadtest.runfile import Run, RunStatus
from loadtest.store import RunStore

LEFT = "\x1b[?1049l"
"""What gives a terminal its former picture back."""
CRASHING = """
from console.app import WhisperctlApp
def broken(app):
    raise ValueError("the key is hunter2-hunter2")
WhisperctlApp.action_help = broken
"""
FULL = 6000
"""Bytes: more than a journal's first line, less than a run."""
FULL_DISK = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({FULL}, {FULL}))
"""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(autouse=True)
def _own_state(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(state))


@pytest.fixture(scope="module")
def stack(state: Path) -> Iterator[int]:
    """A stack of one replica that every test finds, and leaves, up: its balancer's port."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WHISPERCTL_STATE_DIR", str(state))
        assert main(["up", "--engine", "process", "--replicas", "1", "--port", "0"]) == 0
        desired = json.loads((state / "stacks" / "default" / "desired.json").read_text())
        yield desired["spec"]["balancer"]["port"]
        main(["down"])


def replica_states(capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert main(["status", "--json"]) == 0
    return [one["state"] for one in json.loads(capsys.readouterr().out)["replicas"]]


def rows(results: Path) -> int:
    return sum(path.read_bytes().count(b'"row"') for path in results.glob("*.journal"))


def size(results: Path) -> int:
    return sum(path.stat().st_size for path in results.glob("*.journal"))


def saved(results: Path) -> Run:
    assert not list(results.glob("*.journal"))
    return RunStore(results).load("latest")


@pytest.mark.parametrize("way", ["closed", "closed, no signal", "SIGTERM"])
def test_a_console_that_is_ended_saves_its_load_and_leaves_the_stack(
    stack: int,
    state: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    way: str,
) -> None:
    results = tmp_path / "results"
    terminal = Terminal(
        whisperctl("tui", "--results-dir", results, "--port", stack),
        environment={"WHISPERCTL_STATE_DIR": str(state)},
        controlling=way != "closed, no signal",
    )
    try:
        until(lambda: "replica-1" in terminal.drawn, "the dashboard")
        terminal.press("l")
        until(lambda: "what load" in terminal.drawn, "the dialog")
        terminal.press("\r")
        until(lambda: rows(results) >= 3, "three seconds of load")
        if way.startswith("closed"):
            terminal.close()
        else:
            os.kill(terminal.process.pid, signal.Signals[way])
        until(lambda: terminal.process.poll() is not None, "the console's end")
        assert terminal.process.returncode == 0, terminal.drawn[-2000:]
        if not way.startswith("closed"):
            assert LEFT in terminal.drawn
            assert terminal.modes == terminal.modes_before
    finally:
        terminal.end()
    run = saved(results)
    assert run.status is RunStatus.STOPPED
    assert len(run.timeline) >= 3
    assert run.summary.latency.count > 0
    assert replica_states(capsys) == ["ready"]
    assert not list((state / "crashes").glob("*"))


def test_a_crash_leaves_the_terminal_clean_and_a_report_without_secrets(
    state: Path, tmp_path: Path
) -> None:
    environment = {"WHISPERCTL_STATE_DIR": str(state), "SOME_API_KEY": "hunter2-hunter2"}
    terminal = Terminal(
        whisperctl("tui", "--name", "none", "--results-dir", tmp_path, before=CRASHING),
        environment=environment,
    )
    try:
        until(lambda: "press u to bring it up" in terminal.drawn, "the dashboard")
        terminal.press("?")
        until(lambda: terminal.process.poll() is not None, "the console's end")
        until(lambda: "what happened is in" in terminal.drawn, "the sentence")
        assert terminal.process.returncode == 1
        assert terminal.modes == terminal.modes_before
        after = terminal.drawn.rpartition(LEFT)[2]
    finally:
        terminal.end()
    (path,) = (state / "crashes").glob("*")
    assert "The console crashed (ValueError: the key is [secret]); what happened is in" in after
    assert path.name in after
    assert "Traceback" not in after
    assert path.stat().st_mode & 0o077 == 0
    text = path.read_text()
    for part in ("whisperctl: 0.", "Python:     3.", "Textual:    ", "140x45", "Last events:"):
        assert part in text
    assert "Traceback (most recent call last)" in text
    assert "the key is [secret]" in text
    assert "hunter2" not in terminal.drawn + text
    path.unlink()


def test_a_run_that_cannot_be_saved_is_shown_and_half_of_it_is_not_written(
    stack: int, state: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    terminal = Terminal(
        whisperctl("tui", "--results-dir", results, "--port", stack, before=FULL_DISK),
        environment={"WHISPERCTL_STATE_DIR": str(state)},
    )
    try:
        until(lambda: "replica-1" in terminal.drawn, "the dashboard")
        terminal.press("l")
        until(lambda: "what load" in terminal.drawn, "the dialog")
        terminal.press("1\r")
        until(lambda: size(results) >= FULL, "a full disk")
        terminal.press("s")
        until(lambda: "Stop the load series?" in terminal.drawn, "the question")
        terminal.press("y")
        until(lambda: "The run can't be saved in" in terminal.drawn, "the sentence")
        terminal.press("1")
        until(lambda: "ok latency median" in terminal.drawn, "what it measured")
        assert terminal.process.poll() is None
        assert [path.suffix for path in results.iterdir()] == [".journal"]
        os.kill(terminal.process.pid, signal.SIGTERM)
        until(lambda: terminal.process.poll() is not None, "the console's end")
        assert terminal.process.returncode == 0
    finally:
        terminal.end()
    # There is room again.
    assert main(["runs", "--results-dir", str(results)]) == 0
    assert saved(results).status is RunStatus.INTERRUPTED


def test_reports_are_bounded_in_number_and_never_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path))
    sentences = [
        crash_sentence(ValueError(f"number {n}"), [], size=(80, 24))
        for n in range(REPORTS_KEPT + 5)
    ]
    assert len(set(sentences)) == len(sentences)
    left = sorted((tmp_path / "crashes").glob("*"))
    assert len(left) == REPORTS_KEPT
    texts = "".join(path.read_text() for path in left)
    assert "ValueError: number 4\n" not in texts
    assert "ValueError: number 5\n" in texts


def test_a_report_that_cannot_be_written_is_a_sentence_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path / "file"))
    sentence = crash_sentence(ValueError("boom"), [], size=(80, 24))
    assert sentence.startswith("The console crashed (ValueError: boom), and its report can't")
