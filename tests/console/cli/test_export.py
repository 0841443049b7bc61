"""``whisperctl export``: runs for other tools."""

import csv
import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.commands import Command


def test_a_run_as_csv_on_standard_output(run: Command, results: Path) -> None:
    done = run("export", "csv", "run_2", "--results-dir", results)
    assert done.code == 0
    rows = list(csv.DictReader(done.out.splitlines()))
    assert sum(row["kind"] == "latency" for row in rows) == 120
    assert {row["run_id"] for row in rows} == {"run_2_clients_b"}
    clients = run("export", "csv", "run_2", "--what", "clients", "--results-dir", results)
    assert next(csv.DictReader(clients.out.splitlines()))["label"] == "after [red]"
    timeline = run("export", "csv", "run_2", "--what", "timeline", "--results-dir", results)
    assert timeline.out.startswith("run_id,time_seconds,")


def test_a_run_as_json_lines_and_for_prometheus(run: Command, results: Path) -> None:
    lines = run("export", "jsonl", "latest", "--results-dir", results).out.splitlines()
    assert json.loads(lines[0])["event"] == "run_started"
    assert json.loads(lines[-1])["event"] == "run_finished"
    text = run("export", "prometheus", "run_2", "--results-dir", results).out
    names = {family.name for family in text_string_to_metric_families(text)}
    assert "whisperctl_run_latency_seconds" in names


@pytest.mark.parametrize("kind", ["csv", "jsonl", "prometheus"])
def test_a_file_is_written_whole_and_replaced_only_when_asked(
    run: Command, results: Path, tmp_path: Path, kind: str
) -> None:
    output = tmp_path / "made" / f"run.{kind}"
    arguments = ("export", kind, "run_2", "--results-dir", results, "--output", output)
    done = run(*arguments)
    assert (done.code, done.out) == (0, "")
    assert str(output) in done.err
    assert output.read_text() == run(*arguments[:-2]).out
    again = run(*arguments)
    assert again.code == 1
    assert "--force" in again.err
    assert run(*arguments, "--force").code == 0
    assert [path.name for path in output.parent.iterdir()] == [output.name]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("csv", "nothing"), 1, "whisperctl runs"),
        (("csv", "broken"), 1, "broken.json is broken: it is not whole JSON"),
        (("csv", "run_2", "--what", "chairs"), 2, "chairs"),
        (("jsonl", "run_2", "--output", "/proc/none/run"), 1, "can't be written"),
    ],
)
def test_bad_exports_are_a_sentence(
    run: Command, results: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    failed = run("export", *arguments, "--results-dir", results)
    assert failed.code == code
    assert words in failed.err
    assert "Traceback" not in failed.err


def test_the_group_has_one_home(run: Command) -> None:
    shown = run("export", "--help").out
    for name in ("compose", "csv", "jsonl", "prometheus"):
        assert name in shown
