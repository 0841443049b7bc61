"""The commands of the README, in order, on a real stack."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.commands import Command
from support.waiting import until

from console import demo
from console.cli.common import parse_bytes
from loadtest.store import RunStore


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Command) -> Iterator[Path]:
    """A state directory of its own; whatever a test leaves running is ended."""
    directory = tmp_path / "state"
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(directory))
    yield directory
    for name in ("default", "demo"):
        run("down", "--name", name)
    for process in parts(directory):
        process.kill()


def parts(directory: Path) -> list[psutil.Process]:
    """Every process of a stack of this state directory."""
    found = []
    for process in psutil.process_iter(["environ", "cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        environment = process.info["environ"] or {}
        if "stack." in command and environment.get("WHISPERCTL_STATE_DIR") == str(directory):
            found.append(process)
    return found


def test_the_life_of_a_stack(run: Command, state: Path, tmp_path: Path) -> None:
    up = run("up", "--engine", "process", "--replicas", 2, "--model", "offline", "--port", 0)
    assert up.code == 0, up.err
    assert "2 of 2 replicas ready" in up.out
    status = json.loads(run("status", "--json").out)
    port = status["spec"]["balancer"]["port"]
    assert [replica["state"] for replica in status["replicas"]] == ["ready", "ready"]
    assert status["replicas"][0]["sample"]["memory"] > 50 * 2**20
    assert status["replicas"][0]["sample"]["gpu_memory"] is None

    load = run(
        *("load", "--clients", "2,4", "--duration", 4, "--port", port),
        *("--results-dir", tmp_path / "results", "--cool-down", 0),
    )
    assert load.code == 0, load.out + load.err
    assert "4 of 4 ok" in load.out
    saved = RunStore(tmp_path / "results").load("latest")
    assert saved.summary.load_distribution.sessions == {"replica-1": 2, "replica-2": 2}
    assert saved.test_configuration.stack is not None
    assert saved.test_configuration.stack["replica"]["model"] == "offline"
    assert saved.summary.wer is not None
    assert saved.summary.wer.wer < 0.15
    assert saved.summary.resources["replica-1"].memory_peak
    assert "hostname" not in json.dumps(saved.environment)

    assert run("up", "--replicas", 2, "--port", 0).code == 0  # adopts what runs
    other = run("up", "--port", 0, "--strategy", "round_robin")
    assert other.code == 1
    assert "strategy" in other.err
    scaled = run("scale", 3)
    assert "3 of 3 replicas ready" in scaled.out
    assert "3 of 3 replicas ready" in run("up", "--port", 0).out  # the number stays
    assert run("restart", "replica-2").code == 0
    status = json.loads(run("status", "--json").out)
    assert [replica["restarts"] for replica in status["replicas"]] == [0, 1, 0]
    assert "has no replica 'replica-9'" in run("restart", "replica-9").err
    assert "Ready after" in run("logs", "replica-1").out
    assert "supervisor" in run("logs", "--tail", 500).out
    assert run("logs", "nobody").code == 1

    taken = run("up", "--name", "second", "--port", port)
    assert taken.code == 1
    assert f"Port {port} on 127.0.0.1 is taken" in taken.err

    assert len(parts(state)) == 5  # three replicas, balancer, supervisor
    assert run("down").out == "Stack 'default' is down.\n"
    until(lambda: not parts(state), deadline=30.0)
    assert not [path for path in state.rglob("*") if path.is_file()]
    assert run("down").out == "There was no stack 'default'.\n"
    absent = run("status")
    assert absent.code == 1
    assert "whisperctl up" in absent.out
    for command in (("scale", 2), ("restart", "replica-1"), ("logs",)):
        assert "There is no stack" in run(*command).err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--model", "/nowhere/model"), "Model directory /nowhere/model is missing"),
        (("--replicas", 64, "--model", "large-v3"), "need about"),
    ],
)
def test_what_cannot_work_is_said_at_once(
    run: Command, state: Path, options: tuple[object, ...], words: str
) -> None:
    failed = run("up", "--port", 0, *options)
    assert failed.code == 1
    assert words in failed.err
    assert not parts(state)


def test_a_console_killed_in_a_load_loses_nothing(
    run: Command, state: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    assert run("up", "--port", 0).code == 0
    port = json.loads(run("status", "--json").out)["spec"]["balancer"]["port"]
    command = [sys.executable, "-m", "console", "load", "--num-clients", "2", "--duration", "60"]
    command += ["--port", str(port), "--results-dir", str(results)]
    console = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def events() -> int:
        journals = list(results.glob("*.journal"))
        return journals[0].read_bytes().count(b'"row"') if journals else 0

    until(lambda: events() >= 3, deadline=30.0)
    os.kill(console.pid, signal.SIGKILL)
    console.wait()
    status = json.loads(run("status", "--json").out)
    assert [replica["state"] for replica in status["replicas"]] == ["ready", "ready"]
    assert "interrupted" in run("runs", "--results-dir", results).out
    recovered = RunStore(results).load("latest")
    assert recovered.summary.incomplete_clients == 2
    assert recovered.summary.latency.count > 0
    # The sessions of the dead end, and the stack takes new ones.
    again = ("load", "--num-clients", 2, "--duration", 2, "--port", port)
    assert run(*again, "--results-dir", results).code == 0


def test_the_demonstration(
    run: Command, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "DEMO_CLIENTS", (1, 2))
    monkeypatch.setattr(demo, "DEMO_SECONDS", 4.0)
    shown = run("demo", "--results-dir", tmp_path / "results")
    assert shown.code == 0, shown.out + shown.err
    assert "Passed: 3 of 3 sessions succeeded" in shown.out
    assert shown.out.index("configured differently") < shown.out.index("Passed")
    assert len(list((tmp_path / "results").glob("run_*.json"))) == 2
    until(lambda: not parts(state), deadline=30.0)


def test_sizes_are_read_as_docker_writes_them() -> None:
    assert [parse_bytes("memory", text) for text in ("512m", "2g", "1.5GiB", "100", None)] == [
        512 * 2**20,
        2 * 2**30,
        int(1.5 * 2**30),
        100,
        None,
    ]


def test_wrong_container_options_are_usage_errors(run: Command) -> None:
    for options, expected in (
        (("--memory", "much"), "--memory 'much' is not a size"),
        (("--gpus", "first"), "--gpus"),
        (("--image", ""), "--image"),
    ):
        outcome = run("up", "--engine", "docker", *options)
        assert outcome.code == 2
        assert expected in outcome.err
        assert "Traceback" not in outcome.err


def test_inside_needs_containers(run: Command, tmp_path: Path) -> None:
    outcome = run("load", "--num-clients", 1, "--inside", "--results-dir", tmp_path)
    assert outcome.code == 1
    assert "'whisperctl up --engine docker'" in outcome.err


def test_another_engine_than_the_running_one_is_said(run: Command) -> None:
    assert run("up", "--replicas", 1, "--port", 0).code == 0
    outcome = run("status", "--engine", "docker")
    assert outcome.code == 1
    assert "runs on engine process; leave --engine away" in outcome.err
    assert run("status").code == 0
