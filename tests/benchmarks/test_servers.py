"""Servers are started, found wanting, and stopped."""

import asyncio
import json
from pathlib import Path

import psutil
import pytest

from benchmarks import upstream_environment
from benchmarks.measuring import Comparison, Settings
from benchmarks.replica import conditions, measure, parser, report
from benchmarks.servers import KEYS, Server, make, running
from benchmarks.upstream_environment import SERVER


@pytest.fixture
def said():
    return []


@pytest.fixture
def comparison(tmp_path, said):
    return Comparison(Settings(results=tmp_path, ladder=[1], max_clients=1), say=said.append)


def test_our_replicas_differ_in_their_window_alone():
    fitted = make("ours-fitted", upstream_options={}).command(9000)
    full = make("ours-full", replica_options=["--threads=2"], upstream_options={}).command(9000)
    assert set(fitted) ^ set(full) == {
        "--encoder-window=fitted",
        "--encoder-window=full",
        "--threads=2",
    }
    assert {"--port=9000", "--max-sessions=512"} < set(fitted)


def test_upstreams_servers_differ_in_batching_alone(monkeypatch):
    monkeypatch.setattr("benchmarks.servers.interpreter", lambda profile: Path("python"))
    options = {"batch_window_ms": 100}
    plain, batching = (
        json.loads(make(key, upstream_options=options).command(9000)[-1])
        for key in ("upstream", "upstream-batch")
    )
    assert plain["port"] == 9000
    assert plain["single_model"]
    assert plain["max_clients"] == 512
    assert plain["batch_window_ms"] == 100
    assert {key: value for key, value in batching.items() if key not in plain} == {
        "batch_enabled": True,
        "batch_max_size": 8,
        "batch_max_admissions_per_s": 512,
    }


async def test_a_server_runs_until_it_is_left(tmp_path):
    log = tmp_path / "server.log"
    async with running(make("ours-fitted", upstream_options={}), log) as started:
        process = psutil.Process(started.process.pid)
        assert started.cpu_seconds() > 0
        _, writer = await asyncio.open_connection("127.0.0.1", started.port)
        writer.close()
    assert not process.is_running()
    assert started.cpu_seconds() is None
    assert "listens on 127.0.0.1" in log.read_text()


async def test_a_server_that_does_not_start_is_a_sentence_and_the_next_is_measured(
    comparison, said
):
    wrong = [Server(name, name, module_options=("--nonsense",)) for name in ("one", "two")]
    await measure(comparison, wrong)
    for name in ("one", "two"):
        problem = comparison.results[name].problem
        assert problem.startswith(f"{name} ended by itself (exit code 2); its last words: ")
        assert problem in said
    assert "nonsense" in report(comparison, ["one", "two"])
    assert "gave no baseline" in conditions(comparison)


async def test_upstream_that_cannot_be_installed_is_a_sentence(comparison, monkeypatch, tmp_path):
    (tmp_path / "kept").touch()
    monkeypatch.setenv(SERVER.variable, str(tmp_path))
    await measure(comparison, [make("upstream", upstream_options={})])
    assert "is no virtual environment" in comparison.results["upstream"].problem
    assert (tmp_path / "kept").exists()


def test_pip_that_fails_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv(SERVER.variable, str(tmp_path / "new"))
    monkeypatch.setattr(
        upstream_environment, "venv", type("", (), {"create": lambda *_, **__: None})
    )
    monkeypatch.setattr(
        upstream_environment.subprocess,
        "run",
        lambda command, **_: upstream_environment.subprocess.CompletedProcess(
            command, 1, "", "gone\nno such package\n"
        ),
    )
    with pytest.raises(upstream_environment.UpstreamUnavailableError, match="no such package"):
        upstream_environment.interpreter(SERVER)


def test_options_of_the_command_line():
    options = parser().parse_args(
        [
            "--servers=upstream,ours-full",
            "--clients=1,2",
            "--replica-option=--threads=2",
            "--upstream-option=batch_window_ms=100",
        ]
    )
    assert options.servers == ["upstream", "ours-full"]
    assert options.clients == [1, 2]
    assert options.replica_option == ["--threads=2"]
    assert dict(options.upstream_option) == {"batch_window_ms": 100}
    defaults = parser().parse_args([])
    assert (defaults.servers, defaults.clients[-1]) == (list(KEYS), 256)


@pytest.mark.parametrize(
    "wrong",
    [
        "--servers=theirs",
        "--clients=0",
        "--seconds=soon",
        "--baseline-wer=2",
        "--upstream-option=a",
    ],
)
def test_wrong_options_are_told(wrong, capsys):
    with pytest.raises(SystemExit) as end:
        parser().parse_args([wrong])
    assert end.value.code == 2
    assert "error: argument" in capsys.readouterr().err
