"""Commands on trust and on meaning: calibrate, analyze, and what a load says of both."""

import json
from pathlib import Path

import pytest
from support.commands import Command
from support.runs import varied_run

from loadtest.calibration.record import load
from loadtest.calibration.sink import Sink
from loadtest.store import RunStore


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of this test's own."""
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A series of three steps, the last beyond the limit, and another series."""
    store = RunStore(tmp_path / "series")
    for count, factor in ((5, 1.0), (10, 1.1), (20, 9.0)):
        store.save(varied_run(f"run_{count}_clients_a", factor, sessions=count, label="[red]"))
    other = varied_run("run_3_clients_b", sessions=3)
    other.series_id = "series_other"
    store.save(other)
    return store.directory


def test_a_calibration_marks_the_runs_beyond_it(
    run: Command, state: Path, sink: Sink, tmp_path: Path
) -> None:
    done = run("calibrate", "--max-clients", 2, "--duration", 1.5)
    if done.code == 1:
        # A machine too busy for two clients says so, and that is right, too.
        assert "Not even the smallest number" in done.out
        pytest.skip("this machine is too busy to be calibrated")
    assert done.code == 0, done.err
    assert "This machine drives 2 clients (20 messages a second)" in done.out
    assert "Nothing larger was tried" in done.out
    found = load(state / "calibration.json")
    assert found is not None
    assert found.clients == 2
    common = ("--port", sink.port, "--results-dir", tmp_path / "runs", "--duration", 1)
    within = run("load", "--num-clients", 2, *common)
    assert "calibrate" not in within.out
    beyond = run("load", "--num-clients", 3, *common)
    assert "3 clients are more than the 2 that 'whisperctl calibrate' found" in beyond.out
    shown = run("show", "run_3", "--results-dir", tmp_path / "runs")
    assert "3 clients are more than the 2" in shown.out
    data = json.loads(run("show", "run_3", "--results-dir", tmp_path / "runs", "--json").out)
    assert data["summary"]["calibrated_clients"] == 2


def test_a_calibration_for_scripts(run: Command, state: Path) -> None:
    done = run("calibrate", "--max-clients", 1, "--duration", 1, "--json")
    data = json.loads(done.out)
    assert data["chunk"] == 0.1
    assert data["steps"][0]["clients"] == 1
    assert done.code == (0 if data["clients"] else 1)


def test_calibrate_refuses_what_is_no_use(run: Command, state: Path, tmp_path: Path) -> None:
    assert run("calibrate", "--duration", 0).code == 2
    odd = run("calibrate", "--chunk-ms", 33.3)
    assert odd.code == 2
    assert "whole number of samples" in odd.err
    nothing = run("calibrate", "--max-clients", 1, "--audio-dir", tmp_path / "none")
    assert nothing.code == 1
    assert "There is no directory" in nothing.err


def test_analyze_says_the_answer_first(run: Command, series: Path) -> None:
    said = run("analyze", "series_x", "--results-dir", series)
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].startswith("✓ 10 clients met the SLO (2 s of audio each), 20 did not: p95")
    assert "series_x  [red]" in lines
    assert "Use it for at most 8 at once" in " ".join(lines)
    assert "Broke first: unknown." in said.out
    assert "missed" in said.out
    # By any of its runs, with other head-room.
    other = run("analyze", "run_5_clients_a", "--results-dir", series, "--headroom", 0.5)
    assert "at most 5 at once, which leaves 50 % head-room" in " ".join(other.out.split())


def test_analyze_for_scripts_and_reports(run: Command, series: Path) -> None:
    data = json.loads(run("analyze", "series_x", "--results-dir", series, "--json").out)
    assert data["capacity"] == 10
    assert data["recommended"] == 8
    assert [step["clients"] for step in data["steps"]] == [5, 10, 20]
    text = run("analyze", "series_x", "--results-dir", series, "--markdown").out
    assert text.startswith("## series\\_x \\[red\\]")
    assert "| clients | ok | median |" in text
    both = run("analyze", "series_x", "--results-dir", series, "--markdown", "--json")
    assert both.code == 2


def test_analyze_names_what_it_does_not_find(run: Command, series: Path) -> None:
    missing = run("analyze", "series_nobody_has", "--results-dir", series)
    assert missing.code == 1
    assert "series_nobody_has" in missing.err
    many = run("analyze", "series_", "--results-dir", series)
    assert many.code == 1
    assert "names 2 series" in many.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--url", "http://127.0.0.1:9/"), "write it like ws://"),
        (("--url", "ws://"), "write it like ws://"),
        (("--url", "ws://host:abc/"), "write it like ws://"),
        (("--url", "ws://host:0/"), "write it like ws://"),
        (("--url", "ws://host/#part"), "write it like ws://"),
        (("--duration", "0.5", "--chunk-ms", "1000"), "at least one chunk long"),
        (("--url", "ws://host/?token=secret"), "without user name and query"),
        (("--insecure",), "are for --url wss://"),
        (("--url", "wss://host/", "--ca-file", "/nowhere.pem"), "is no file"),
    ],
)
def test_addresses_of_no_use(run: Command, arguments: tuple[str, ...], said: str) -> None:
    done = run("load", "--num-clients", 1, *arguments)
    assert done.code == 2
    assert said in done.err


def test_a_host_that_can_be_none_is_one_sentence(run: Command, tmp_path: Path) -> None:
    done = run("load", "--num-clients", 1, "--host", "a..b", "--results-dir", tmp_path)
    assert done.code == 1
    assert "Nobody listens on a..b" in done.err


def test_a_search_does_not_begin_beyond_its_end(run: Command) -> None:
    done = run("load", "--num-clients", 20, "--find-capacity", "--max-clients", 10)
    assert done.code == 2
    assert "at most 10 clients can't begin with 20" in done.err


def test_an_address_in_one_piece(run: Command, sink: Sink, tmp_path: Path) -> None:
    done = run(
        *("load", "--num-clients", 1, "--duration", 1, "--results-dir", tmp_path),
        *("--url", f"ws://127.0.0.1:{sink.port}/live"),
    )
    assert done.code == 0, done.err
    assert "1 of 1 ok" in done.out
