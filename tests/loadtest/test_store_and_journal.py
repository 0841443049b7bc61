"""Saved runs: listed, found, recovered, never lost."""

import json
import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.runs import example_run, header_for

from loadtest.events import ClientFinished, ClientReady, Progress
from loadtest.journal import JournalError, JournalInUseError, JournalWriter, recover_run
from loadtest.lateness import Lateness
from loadtest.runfile import Outcome, Run, RunStatus, run_json_schema
from loadtest.store import RunFileError, RunStore
from stack.files import write_atomically


def test_a_run_survives_the_file(tmp_path: Path) -> None:
    run = example_run("run_2_clients_20260101_000000", clients=2)
    store = RunStore(tmp_path)
    path = store.save(run)
    assert store.load("latest") == run
    raw = json.loads(path.read_text())
    assert raw["schema"] == 1
    assert {"run_id", "series_id", "label", "created_at", "status", "test_configuration"} <= set(
        raw
    )
    assert {"clients", "summary", "timeline", "environment"} <= set(raw)
    assert "schema" in run_json_schema()["properties"]


def test_a_field_of_a_later_version_is_ignored_and_a_missing_one_is_named(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    path = store.save(example_run("run_a"))
    raw = json.loads(path.read_text())
    raw["summary"]["from_the_future"] = {"x": 1}
    path.write_text(json.dumps(raw))
    assert store.load("run_a").run_id == "run_a"
    del raw["summary"]["latency"]
    path.write_text(json.dumps(raw))
    with pytest.raises(RunFileError, match=r"summary\.latency"):
        store.load(str(path))


def test_broken_foreign_and_other_versions_are_listed_as_such(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    old = example_run("run_old", created=datetime.now(UTC) - timedelta(days=1))
    store.save(old)
    store.save(example_run("run_new"))
    (tmp_path / "cut.json").write_text('{"schema": 1, "run_id"')
    (tmp_path / "foreign.json").write_text('{"test_config": {}, "client_results": []}')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "later.json").write_text('{"schema": 99}')
    (tmp_path / "notes.txt").write_text("not a run at all")
    entries = store.entries()
    assert [entry.run_id for entry in entries[:2]] == ["run_new", "run_old"]
    problems = {entry.path.name: entry.problem for entry in entries[2:]}
    assert "not whole JSON" in (problems["cut.json"] or "")
    assert "no schema" in (problems["foreign.json"] or "")
    assert "no schema" in (problems["list.json"] or "")
    assert "schema 99" in (problems["later.json"] or "")
    assert len(problems) == 4
    with pytest.raises(RunFileError, match="not whole JSON"):
        store.load("cut")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    path = store.save(example_run("run_a"))
    assert store.entries()[0].problem is None
    path.write_text("{")
    assert store.entries()[0].problem is not None


def test_runs_are_found_by_id_prefix_file_and_latest(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    with pytest.raises(RunFileError, match="no run in"):
        store.load("latest")
    store.save(example_run("run_1_a"))
    path = store.save(example_run("run_1_b"))
    assert store.find("run_1_b") == path
    assert store.find(str(path)) == path
    assert store.find(path.name) == path
    with pytest.raises(RunFileError, match="2 runs"):
        store.find("run_1")
    with pytest.raises(RunFileError, match="whisperctl runs"):
        store.find("nothing")
    assert RunStore(tmp_path / "missing").entries() == []


def test_writing_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, b"old")

    def fail(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def _write_and_hang(path: Path, ready: "multiprocessing.synchronize.Event") -> None:
    header = header_for("run_3_clients_x", clients=3)
    journal = JournalWriter(path, header)
    done = example_run("x", clients=1).clients[0]
    ready_event = ClientReady(client_id=1, replica="replica-2", connection_time=0.01)
    journal.event(ready_event, shard=0, elapsed=0.1)
    journal.event(
        Progress(active=2, audio_sent=4.0, latency={1: [0.5, 0.7]}, transcripts={1: "so far"}),
        shard=0,
        elapsed=1.5,
    )
    journal.event(ClientFinished(result=done, slip=Lateness.of([0.001])), shard=0, elapsed=2.0)
    ready.set()
    signal.pause()


def test_a_killed_writer_loses_nothing(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    path = store.journal_for("run_3_clients_x")
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    writer = context.Process(target=_write_and_hang, args=(path, ready))
    writer.start()
    try:
        assert ready.wait(20)
        # While the writer lives its journal is nobody else's.
        assert store.recover() == []
        with pytest.raises(JournalInUseError):
            recover_run(path)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join(20)
    finally:
        writer.kill()
    with path.open("ab") as journal:
        journal.write(b'{"at": 3.0, "shard": 0, "event": {"type": "prog')  # cut by the crash
    (saved,) = store.recover()
    assert not path.exists()
    run = store.load(saved.name)
    assert run.status is RunStatus.INTERRUPTED
    assert [client.outcome for client in run.clients] == [
        Outcome.SUCCESS,
        Outcome.INCOMPLETE,
        Outcome.INCOMPLETE,
    ]
    assert run.clients[1].replica == "replica-2"
    assert run.clients[1].transcript == "so far"
    assert run.clients[1].latency_samples == [0.5, 0.7]
    assert run.clients[1].latency.median == pytest.approx(0.6)
    assert run.summary.total_duration == 2.0
    assert run.summary.incomplete_clients == 2
    assert store.recover() == []


def test_a_run_saved_just_before_the_crash_is_not_overwritten(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run: Run = example_run("run_done")
    with JournalWriter(store.journal_for("run_done"), header_for("run_done")):
        store.save(run)
    assert store.recover() == []
    assert store.load("run_done") == run
    assert not store.journal_for("run_done").exists()


def test_a_journal_without_a_header_is_kept_aside(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    path = store.journal_for("run_odd")
    path.write_bytes(b"garbage\n")
    with pytest.raises(JournalError):
        recover_run(path)
    assert store.recover() == []
    assert not path.exists()
    assert path.with_name(path.name + ".broken").read_bytes() == b"garbage\n"
    assert RunStore(tmp_path / "nowhere").recover() == []
