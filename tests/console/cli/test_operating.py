"""Commands that change a running stack, cut one short, or end one whose state is damaged."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import Command
from support.waiting import until

from tests.stack.process.conftest import family


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Command) -> Iterator[Path]:
    """A state directory of its own; whatever a test leaves running is ended."""
    directory = tmp_path / "state"
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(directory))
    yield directory
    run("down", "--force")
    for process in family(directory):
        process.kill()


def test_changing_killing_and_draining(run: Command, state: Path) -> None:
    assert run("change", "--strategy", "ip_hash").err.startswith("whisperctl: There is no stack")
    assert run("up", "--replicas", 2, "--port", 0).code == 0
    nothing = run("change")
    assert nothing.code == 2
    assert "--strategy, --model or both" in nothing.err
    assert "round robin" in run("change", "--strategy", "round_robin").out
    assert run("change", "--model", "/nowhere/at/all").code == 1
    killed = run("kill", "replica-2")
    assert killed.code == 0, killed.err
    assert "replica-2: Killed, as asked." in killed.err
    assert "2 of 2 replicas ready" in killed.out
    assert run("drain", "replica-9").code == 1
    assert "no 'replica-1' that is to go" in run("drain", "replica-1", "--undo").err
    assert run("drain", "replica-2").code == 0
    until(lambda: len(json.loads(run("status", "--json").out)["replicas"]) == 1, "it has gone")


def test_down_on_damaged_state_names_the_way_out(run: Command, state: Path) -> None:
    assert run("up", "--replicas", 1, "--port", 0).code == 0
    (state / "stacks" / "default" / "desired.json").write_text("{half")
    refused = run("down")
    assert refused.code == 1
    assert "whisperctl down --name default --force" in refused.err
    assert refused.err.count("\n") == 1
    forced = run("down", "--force")
    assert forced.code == 0, forced.err
    assert "nothing of it is left" in forced.out
    until(lambda: not family(state), "every process has gone", 10)
    assert run("up", "--replicas", 1, "--port", 0).code == 0


@pytest.mark.parametrize("runs_already", [False, True], ids=["fresh", "running"])
def test_an_interrupted_up_says_what_is_left(
    run: Command, state: Path, tmp_path: Path, runs_already: bool
) -> None:
    if runs_already:
        assert run("up", "--replicas", 1, "--port", 0).code == 0
        # Nothing more comes up while this is held.
        for process in family(state):
            if "stack.supervision" in process.cmdline():
                process.suspend()
    command = [sys.executable, "-m", "console", "up", "--replicas", "2", "--port", "0"]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    desired = state / "stacks" / "default" / "desired.json"

    def asked() -> bool:
        return desired.exists() and len(json.loads(desired.read_text())["replicas"]) == 2

    until(asked, "it has asked for two", 60)
    os.kill(up.pid, signal.SIGINT)
    _, said = up.communicate(timeout=60)
    assert up.returncode == 130
    assert said.count("\n") == 1, said
    if runs_already:
        assert "goes on" in said
        assert "'whisperctl down' ends it" in said
    else:
        assert "Interrupted: stack 'default' was taken down again, nothing of it is left." in said
        until(lambda: not family(state), "every process has gone", 10)
