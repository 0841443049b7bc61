"""``whisperctl rest`` as a user meets it: against a server of known speed, and on a real stack."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from support.commands import Command
from support.rest_server import RestServer, free_port, hanging_up
from support.runs import write_clip
from support.waiting import until

from console.cli import main
from console.cli.rest_progress import RestView
from loadtest.rest.events import RestNote, RestProgress, RestStepStarted
from loadtest.rest.report import RestReport, RestStatus
from loadtest.rest.store import RestStore
from loadtest.store import RunFileError
from stack.spec import KEY_VARIABLE


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Command) -> Iterator[Path]:
    """A state directory of its own; a stack that a test leaves is taken down."""
    directory = tmp_path / "state"
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(directory))
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    yield directory
    run("down")


@pytest.fixture
def server() -> Iterator[RestServer]:
    with RestServer(delay=0.01).running() as running:
        yield running


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    directory = tmp_path / "clips"
    directory.mkdir()
    write_clip(directory, "one", seconds=1.0, words=["alpha"])
    return directory


@pytest.fixture
def options(clips: Path, tmp_path: Path) -> tuple[object, ...]:
    """A few requests of one short clip."""
    return ("--requests", 8, "--audio-dir", clips, "--results-dir", tmp_path / "results")


def test_a_server_is_measured_shown_and_listed(
    run: Command, server: RestServer, options: tuple[object, ...], tmp_path: Path
) -> None:
    done = run(
        *("rest", "single", "--url", server.url, "--max-concurrency", 2, "--label", "a [b]"),
        *options,
    )
    assert done.code == 0, done.err
    assert "   1 client  8 of 8 ok" in done.out
    assert "Best concurrency: " in done.out
    assert "saved " in done.out
    results = tmp_path / "results"
    shown = run("rest", "show", "--results-dir", results)
    assert shown.code == 0
    assert shown.out.strip() in done.out
    assert "a [b]" in shown.out
    listed = run("rest", "list", "--results-dir", results)
    assert "a [b]" in listed.out
    assert "RPS with" in listed.out
    (path,) = (results / "rest").glob("rest_single_*.json")
    assert run("rest", "show", path).out == shown.out
    assert json.loads(run("rest", "show", path, "--json").out) == json.loads(path.read_text())
    (entry,) = json.loads(run("rest", "list", "--results-dir", results, "--json").out)
    assert entry["report_id"] == path.stem
    # The list of runs has nothing to do with them.
    assert "no run in" in run("runs", "--results-dir", results).out


def test_json_is_all_that_scripts_get(
    run: Command, server: RestServer, options: tuple[object, ...]
) -> None:
    arguments = ("rest", "single", "--url", server.url, "--max-concurrency", 2, "--json")
    done = run(*arguments, *options)
    assert done.code == 0, done.err
    report = RestReport.model_validate_json(done.out)
    assert report.status is RestStatus.COMPLETED
    assert [step.concurrency for step in report.steps] == [1, 2]
    assert report.steps[0].samples[0].latency >= 0.01
    assert "8 of 8 ok" in done.err


def test_the_key_comes_from_the_environment_or_a_file(
    run: Command,
    server: RestServer,
    options: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("rest", "single", "--url", server.url, "--max-concurrency", 1, *options)
    monkeypatch.setenv(KEY_VARIABLE, "from-environment")
    first = run(*arguments)
    assert set(server.keys) == {"Bearer from-environment"}
    server.keys.clear()
    (tmp_path / "key").write_text("from-file\n")
    second = run(*arguments, "--api-key-file", tmp_path / "key")
    assert set(server.keys) == {"Bearer from-file"}
    for done in (first, second):
        assert done.code == 0
        assert "from-" not in done.out + done.err
    for path in (tmp_path / "results").rglob("*.json"):
        assert "from-environment" not in path.read_text()
        assert "from-file" not in path.read_text()


@pytest.mark.parametrize("content", ["", "two words", "line\nbreak", "ä", "x" * 5000])
def test_what_is_no_key_is_refused_without_being_shown(
    run: Command, server: RestServer, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "key"
    file.write_text(content)
    refused = run("rest", "single", "--url", server.url, "--api-key-file", file)
    assert refused.code == 2
    assert "holds no key" in refused.err
    assert not content or content not in refused.err


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/get", "doesn't take POST at"),
        ("/nowhere", "--enable_rest"),
        ("/status/401", "WHISPERCTL_API_KEY"),
        ("/page", "is it the right address?"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    run: Command, server: RestServer, options: tuple[object, ...], path: str, words: str
) -> None:
    failed = run("rest", "single", "--url", f"http://127.0.0.1:{server.port}{path}", *options)
    assert failed.code == 1
    assert failed.out == ""
    assert words in failed.err
    assert len(failed.err.splitlines()) == 1


def test_a_port_for_sessions_alone_is_said(run: Command, options: tuple[object, ...]) -> None:
    with hanging_up() as port:  # as a WebSocket server does when it is sent a POST
        failed = run("rest", "single", "--url", f"http://127.0.0.1:{port}", *options)
    assert failed.code == 1
    assert failed.out == ""
    assert "WhisperLive serves files with --enable_rest, on its --rest_port (8000)." in failed.err


def test_nobody_there(run: Command, options: tuple[object, ...]) -> None:
    refused = run("rest", "single", "--url", f"127.0.0.1:{free_port()}", *options)
    assert refused.code == 1
    assert "Nobody listens at" in refused.err
    for command in ("single", "scaling", "all"):
        absent = run("rest", command, *options)
        assert absent.code == 1
        assert "'whisperctl up'" in absent.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("single", "--url", "ftp://h"), "--url is not usable: it is no address"),
        (("single", "--url", "http://u:s3cret@h"), "user name or password"),
        (("scaling", "--workers", "1,x"), "--workers '1,x'"),
        (("scaling", "--workers", "0"), "--workers"),
    ],
)
def test_wrong_usage(run: Command, arguments: tuple[str, ...], words: str) -> None:
    wrong = run("rest", *arguments)
    assert wrong.code == 2
    assert words in wrong.err
    assert "s3cret" not in wrong.err


def test_no_success_at_all_is_a_failure(
    run: Command, server: RestServer, options: tuple[object, ...]
) -> None:
    url = f"http://127.0.0.1:{server.port}/status/502"
    failed = run("rest", "single", "--url", url, "--max-concurrency", 4, *options, "--warm-up", 0)
    assert failed.code == 1
    assert "There is no best concurrency" in failed.out
    assert failed.out.count("The balancer got no answer from a worker (502)") == 1
    assert "8 failed with 1 client, bad gateway: " in failed.out


def test_80_columns_hold_everything(
    run: Command,
    server: RestServer,
    options: tuple[object, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    server.limit = 3
    run("rest", "single", "--url", server.url, "--max-concurrency", 16, *options, "--requests", 120)
    shown = run("rest", "show", "--results-dir", tmp_path / "results").out
    lines = [line.rstrip() for line in shown.splitlines()]
    assert max(map(len, lines)) <= 80
    assert "…" not in shown
    figures = next(line for line in lines if line.startswith("1 "))
    assert len(figures.split()) == 9  # clients requests success % RPS audio time WER %


def test_a_step_moves_on_a_terminal_and_leaves_lines_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    events = [
        RestStepStarted(concurrency=2, replicas=None),
        *(RestProgress(done=n, failed=1, of=90, elapsed=n, duration=None) for n in range(31)),
        RestNote("a [word] in brackets"),
    ]
    moving, plain = io.StringIO(), io.StringIO()
    for file, terminal in ((moving, True), (plain, False)):
        console = Console(file=file, force_terminal=terminal, width=80, highlight=False)
        with RestView(console=console) as view:
            for event in events:
                view.show(event)
    assert "\r\x1b[2K  2 clients  30 of 90 requests  30 s  1 failed\r\x1b[2Ka [word]" in (
        moving.getvalue()
    )
    assert plain.getvalue() == (
        "  2 clients  10 of 90 requests  10 s  1 failed\n"
        "  2 clients  20 of 90 requests  20 s  1 failed\n"
        "  2 clients  30 of 90 requests  30 s  1 failed\n"
        "a [word] in brackets\n"
    )


# --- a real stack ---------------------------------------------------------------------------------


def replicas(run: Command) -> tuple[int, list[str]]:
    """How many replicas the stack should have, and their states."""
    status = json.loads(run("status", "--json").out)
    return status["spec"]["replicas"], [one["state"] for one in status["replicas"]]


def test_a_real_stack_is_scaled_measured_and_put_back(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv(KEY_VARIABLE, "s3cret-key")
    assert run("up", "--replicas", 2, "--port", 0).code == 0
    results = tmp_path / "results"
    done = run(
        *("rest", "all", "--workers", "1,2", "--requests", 12, "--concurrency", 2),
        *("--max-concurrency", 2, "--results-dir", results),
    )
    assert done.code == 0, done.out + done.err
    assert replicas(run) == (2, ["ready", "ready"])
    assert "Stack 'default' has its 2 replicas again." not in done.out  # two were the last
    scaling = next(
        entry.report for entry in RestStore(results).entries() if "scaling" in entry.path.name
    )
    assert scaling is not None
    assert scaling.status is RestStatus.COMPLETED
    assert scaling.stack is not None
    assert scaling.stack["replica"]["model"] == "offline"
    assert "python" in scaling.environment
    one, two = scaling.steps
    assert one.summary.replicas == {"replica-1": 12}
    assert set(two.summary.replicas) == {"replica-1", "replica-2"}
    assert min(two.summary.replicas.values()) > 0
    for step in (one, two):
        assert step.summary.success_rate == 1.0
        assert step.summary.wer is not None
        assert step.summary.wer.wer < 0.15
    assert one.summary.efficiency == pytest.approx(1.0)
    assert two.summary.efficiency
    single = RestStore(results).load("rest_single")[1]
    assert [step.concurrency for step in single.steps] == [1, 2]
    assert single.stack is not None
    assert max(len(line.rstrip()) for line in done.out.splitlines() if "/" not in line) <= 80
    for path in results.rglob("*.json"):
        assert "s3cret-key" not in path.read_text()
    monkeypatch.delenv(KEY_VARIABLE)
    unauthorised = run("rest", "scaling", "--workers", "1,2", "--results-dir", results)
    assert unauthorised.code == 1
    assert "WHISPERCTL_API_KEY" in unauthorised.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_scaling_puts_the_stack_back(
    run: Command, tmp_path: Path, number: signal.Signals
) -> None:
    assert run("up", "--replicas", 2, "--port", 0).code == 0
    results = tmp_path / "results"
    command = [sys.executable, "-m", "console", "rest", "scaling", "--workers", "1,3"]
    command += ["--concurrency", "2", "--duration", "60", "--results-dir", str(results)]
    measuring = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    scaled: list[int] = []

    def is_scaled() -> bool:
        assert measuring.poll() is None, measuring.communicate()
        scaled[:] = [replicas(run)[0]]
        return scaled == [1]

    until(is_scaled)
    measuring.send_signal(number)
    out, err = measuring.communicate(timeout=60)
    assert measuring.returncode == 130, err
    assert "Stopping" in out
    assert "Stack 'default' has its 2 replicas again." in out
    assert replicas(run) == (2, ["ready", "ready"])
    report = RestStore(results).load("latest")[1]
    assert report.status is RestStatus.STOPPED
    assert all(step.status is RestStatus.STOPPED for step in report.steps)


def test_a_killed_measurement_keeps_its_finished_steps(
    run: Command, server: RestServer, clips: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "console", "rest", "single", "--url", server.url]
    command += ["--audio-dir", str(clips), "--results-dir", str(tmp_path), "--requests", "8"]
    server.slots = 1
    measuring = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    store = RestStore(tmp_path)

    def two_steps() -> bool:
        assert measuring.poll() is None
        try:
            return len(store.load("latest")[1].steps) >= 1
        except RunFileError:
            return False

    server.delay = 0.2
    until(two_steps)
    os.kill(measuring.pid, signal.SIGKILL)
    measuring.wait()
    (entry,) = store.entries()
    assert entry.report is not None
    assert entry.report.status is RestStatus.UNFINISHED
    assert entry.report.steps[0].status is RestStatus.COMPLETED
    assert entry.report.steps[0].summary.requests == 8
    shown = run("rest", "show", "--results-dir", tmp_path)
    assert "It still goes on, or was cut off" in shown.out
    assert not psutil.pid_exists(measuring.pid)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rest", "--help"]) == 0
    printed = capsys.readouterr().out
    for command in ("single", "scaling", "all", "list", "show"):
        assert command in printed
