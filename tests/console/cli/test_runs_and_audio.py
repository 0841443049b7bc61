"""Commands that need no stack: runs, show, compare, audio, usage."""

import json
from pathlib import Path

import pytest
from support.commands import Command
from support.runs import varied_run

from loadtest.store import RunStore
from test_audio import CLIPS_DIRECTORY


def test_runs_lists_newest_first_and_what_is_broken(run: Command, results: Path) -> None:
    listed = run("runs", "--results-dir", results)
    assert listed.code == 0
    assert listed.out.index("run_2_clients_b") < listed.out.index("run_1_clients_a")
    assert "broken.json is broken" in listed.out
    assert "after [red]" in listed.out
    data = json.loads(run("runs", "--results-dir", results, "--json").out)
    assert [entry["run_id"] for entry in data] == ["run_2_clients_b", "run_1_clients_a", None]
    assert data[0]["p95_latency"] == pytest.approx(3.13, abs=0.02)
    empty = run("runs", "--results-dir", results / "none")
    assert empty.code == 0
    assert "whisperctl load" in empty.out
    wrong = run("runs", "--results-dir", results / "broken.json")
    assert (wrong.code, "is no directory" in wrong.err) == (2, True)


def test_show_says_everything_of_a_run(run: Command, results: Path) -> None:
    shown = run("show", "run_2", "--results-dir", results)
    assert shown.code == 0
    for expected in (
        "latency",
        "final latency",
        "slip",
        "1 of 1 sessions succeeded",
        "replica-1 1; the busiest has 1.00× the mean",
        "finish: from the last audio to the last text",
        "how late the generator sent",
    ):
        assert expected in shown.out
    assert "Word error rate 0.0%: 0 substituted" in shown.out
    assert "SLO not met: p95 latency" in shown.out
    assert "0       success  replica-1" in shown.out
    raw = json.loads(run("show", "run_1", "--results-dir", results, "--json").out)
    assert raw["schema"] == 1


def test_compare_puts_configuration_first_and_words_beside_colours(
    run: Command, results: Path
) -> None:
    store = RunStore(results)
    store.save(varied_run("run_20_clients_c", label="before"))
    store.save(varied_run("run_20_clients_d", 2.0, label="after [red]"))
    names = ("run_20_clients_c", "run_20_clients_d", "--results-dir", results)
    shown = run("compare", *names)
    assert shown.code == 0
    assert shown.out.index("configured differently") < shown.out.index("latency")
    assert "worse" in shown.out
    assert "after [red]" in shown.out
    data = json.loads(run("compare", *names, "--json").out)
    assert data["configuration"]["label"] == ["before", "after [red]"]
    assert run("compare", "run_1", "--results-dir", results).code == 2


def test_a_comparison_of_two_runs_fits_into_80_columns(
    run: Command, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    store = RunStore(results)
    cpu = "A processor whose name takes more room than there is in any column of a table"
    store.save(varied_run("run_20_clients_c", 40.0, environment={"cpu": cpu}))
    store.save(varied_run("run_20_clients_d", 50.0, environment={"cpu": cpu + "!"}))
    shown = run("compare", "run_20_clients_c", "run_20_clients_d", "--results-dir", results)
    lines = shown.out.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert "…" not in shown.out
    # One figure, its difference, interval and verdict are one line.
    (median,) = [line for line in lines if line.startswith("  median") and "worse" in line][:1]
    assert median.count("s") >= 3
    assert "[+" in median


@pytest.fixture
def two_series(tmp_path: Path) -> Path:
    """A directory with two series of two runs each."""
    store = RunStore(tmp_path / "series")
    for name, factor in (("series_a1", 1.0), ("series_b1", 2.0)):
        for count in (5, 10):
            run = varied_run(f"run_{count}_of_{name}", factor, sessions=count)
            run.series_id = name
            store.save(run)
    return store.directory


def test_series_are_compared_by_id_by_its_beginning_and_by_a_run(
    run: Command, two_series: Path
) -> None:
    place = ("--results-dir", two_series)
    by_id = run("compare", "series_a1", "series_b", *place)
    assert by_id.code == 0
    assert "Capacity A: 10 clients or more" in by_id.out
    by_run = run("compare", "run_5_of_series_a", "run_10_of_series_b", "--series", *place)
    assert by_run.out == by_id.out
    assert json.loads(run("compare", "series_a", "series_b", "--json", *place).out)["series"] == [
        "series_a1",
        "series_b1",
    ]
    assert "### 10 clients" in run("compare", "series_a", "series_b", "--markdown", *place).out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("series_a1", "run_5_of_series_b"), 2, "is no series but the others are"),
        (("series_", "series_b1"), 1, "names 2 series"),
        (("series_a1", "run_5_of_series_a1", "--series"), 2, "named twice"),
        (("series_a1", "nothing", "--series"), 1, "There is no run 'nothing'"),
        (("run_5_of_series_a", "run_5_of_series_b", "--json", "--markdown"), 2, "either"),
    ],
)
def test_bad_comparisons_are_a_sentence(
    run: Command, two_series: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    failed = run("compare", *arguments, "--results-dir", two_series)
    assert failed.code == code
    assert words in failed.err
    assert "Traceback" not in failed.err


def test_markdown_of_runs(run: Command, two_series: Path) -> None:
    shown = run(
        *("compare", "run_5_of_series_a", "run_5_of_series_b"),
        *("--markdown", "--results-dir", two_series),
    )
    assert shown.code == 0
    assert "| latency median |" in shown.out
    assert "worse" in shown.out


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b'{"schema": 1,', "not whole JSON (Expecting property name enclosed in double quotes"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        (b"[]", "no schema number"),
        (b'{"schema": 7}', "has schema 7"),
        (b'{"schema": 1, "run_id": "x"}', "is broken at series_id: field required"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_a_broken_run_says_why_by_whatever_name(
    run: Command, results: Path, content: bytes, why: str
) -> None:
    (results / "run_9_clients_x.json").write_bytes(content)
    for name in ("run_9_clients_x", "run_9_clients_x.json", "run_9"):
        for command in (("show", name), ("compare", "run_1", name)):
            failed = run(*command, "--results-dir", results)
            assert failed.code == 1
            assert why in failed.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "nothing"), 1, "whisperctl runs"),
        (("load",), 2, "--num-clients"),
        (("load", "--clients", "1,x"), 2, "not a list of numbers"),
        (("load", "--clients", "0"), 2, "at least 1"),
        (("load", "--num-clients", "1", "--clients", "2"), 2, "either"),
        (("load", "--num-clients", "1", "--chunk-ms", "10.03"), 2, "whole number of samples"),
        (("load", "--num-clients", "1", "--port", "1"), 1, "Nobody listens on 127.0.0.1:1"),
        (("up", "--name", "Not A Name"), 2, "--name"),
        (("up", "--replicas", "1000"), 2, "64"),
        (("nonsense",), 2, "nonsense"),
        (("audio", "check", "/nowhere"), 1, "no directory /nowhere"),
    ],
)
def test_bad_input_is_a_sentence(
    run: Command, results: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    if arguments[0] in {"show", "load"}:
        arguments = (*arguments, "--results-dir", str(results))
    failed = run(*arguments)
    assert failed.code == code
    assert words in failed.err
    assert "Traceback" not in failed.err


def test_version_and_help(run: Command) -> None:
    assert run("--version").out.startswith("whisperctl ")
    assert "compare" in run("--help").out
    assert run("load", "--help").code == 0


def test_audio_check(run: Command, tmp_path: Path) -> None:
    fine = run("audio", "check")
    assert fine.code == 0
    assert fine.out.count(" ok") >= 12
    (tmp_path / "bad.wav").write_bytes(b"no")
    bad = run("audio", "check", tmp_path)
    assert bad.code == 1
    assert "unreadable" in bad.out
    assert "1 with something wrong" in bad.out


def test_audio_import(run: Command, tmp_path: Path) -> None:
    clip = next(CLIPS_DIRECTORY.glob("*.wav"))
    done = run("audio", "import", clip, "--into", tmp_path / "clips")
    assert done.code == 0
    assert "1 of 1 imported" in done.out
    assert run("audio", "check", tmp_path / "clips").code == 0
    again = run("audio", "import", clip, "--into", tmp_path / "clips")
    assert again.code == 1
    assert "--force" in again.out
