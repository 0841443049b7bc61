"""Lists of many saved files, their labels and notes, and the trash."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.runs import example_run

from loadtest import keeping
from loadtest.catalogue import Catalogue
from loadtest.entries import Kind
from loadtest.rest.plan import RestKind, RestPlan
from loadtest.rest.report import RestReport, RestStatus
from loadtest.rest.store import RestStore
from loadtest.store import RunFileError, RunStore, read_run


def stored(tmp_path: Path, count: int = 3) -> RunStore:
    store = RunStore(tmp_path / "results", index_directory=tmp_path / "state")
    for number in range(count):
        store.save(
            example_run(f"run_{number}", created=datetime(2026, 1, 1, 0, 0, number, tzinfo=UTC))
        )
    return store


def spoil(path: Path) -> None:
    """Make a file broken that by size and times is still the same one."""
    stat = path.stat()
    path.write_bytes(b"!" * stat.st_size)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def again(store: RunStore) -> RunStore:
    return RunStore(store.directory, index_directory=store.index_directory)


def test_what_was_read_once_is_remembered_by_another_process(tmp_path: Path) -> None:
    store = stored(tmp_path)
    first = store.entries()
    index = next((tmp_path / "state").iterdir())
    assert index.stat().st_mode & 0o077 == 0  # labels are as private as the runs
    marked = json.loads(index.read_text())
    marked["files"]["run_1.json"]["entry"]["label"] = "from the index"
    index.write_text(json.dumps(marked))
    assert [entry.label for entry in again(store).entries()] == ["", "from the index", ""]
    index.write_text("{")
    assert again(store).entries() == first  # a broken index costs time, and nothing else
    index.unlink()
    assert again(store).entries() == first


def test_a_file_that_changed_is_read_again_and_one_that_went_is_forgotten(tmp_path: Path) -> None:
    store = stored(tmp_path)
    store.entries()
    spoil(store.path_for("run_1"))
    entries = again(store).entries()
    assert [entry.run_id for entry in entries] == ["run_2", "run_0", None]
    assert "not whole JSON" in (entries[-1].problem or "")
    store.path_for("run_1").unlink()
    assert [entry.run_id for entry in store.entries()] == ["run_2", "run_0"]
    index = json.loads(next((tmp_path / "state").iterdir()).read_text())
    assert sorted(index["files"]) == ["run_0.json", "run_2.json"]


def test_a_long_list_comes_in_parts_newest_first(tmp_path: Path) -> None:
    store = stored(tmp_path, 6)
    for number in range(6):
        os.utime(store.path_for(f"run_{number}"), (number, number))
    lists = list(store.shelf.listings(pause=0.0))
    assert [entry.run_id for entry in lists[0]] == ["run_5"]
    assert len(lists) > 2
    assert [entry.run_id for entry in lists[-1]] == [f"run_{number}" for number in range(5, -1, -1)]
    assert len(list(store.shelf.listings(pause=0.0))) == 1  # nothing is read again


def test_a_directory_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").symlink_to("results")
    with pytest.raises(RunFileError, match=r"results is unreadable: .+\."):
        RunStore(tmp_path / "results").entries()
    assert RunStore(tmp_path / "not there").entries() == []


def test_a_thousand_foreign_files_are_each_named(tmp_path: Path) -> None:
    store = stored(tmp_path, 1)
    for number in range(1000):
        (store.directory / f"foreign_{number}.json").write_text('{"a": [1, 2, 3]}')
    entries = store.entries()
    assert len(entries) == 1001
    assert entries[0].run_id == "run_0"
    assert all("no schema number" in (entry.problem or "") for entry in entries[1:])


def test_rest_measurements_stand_in_the_same_list(tmp_path: Path) -> None:
    store = stored(tmp_path, 1)
    plan = RestPlan(
        kind=RestKind.SINGLE,
        url="http://127.0.0.1:9000",
        concurrencies=(1, 2),
        audio_directory=tmp_path,
        label="int8",
    )
    report = RestReport(
        report_id="rest_single_1", status=RestStatus.COMPLETED, configuration=plan, clips=1
    )
    RestStore(store.directory).save(report)
    *_, entries = Catalogue(store).listings(0.1)
    assert [entry.kind for entry in entries] == [Kind.RUN, Kind.REST]
    assert (entries[1].label, entries[1].host) == ("single  int8", "127.0.0.1:9000")


def test_a_label_and_a_note_are_written_and_nothing_else_changes(tmp_path: Path) -> None:
    store = stored(tmp_path)
    path = store.path_for("run_1")
    raw = json.loads(path.read_text()) | {"from_the_future": [1.5, "ü"]}
    path.write_text(json.dumps(raw))
    keeping.relabel(path, label="büro [x]", note="second try")
    assert json.loads(path.read_text()) == raw | {"label": "büro [x]", "note": "second try"}
    keeping.relabel(path, label="home")
    run = read_run(path)
    assert (run.label, run.note) == ("home", "second try")
    assert [(entry.label, entry.note) for entry in store.entries()][1] == ("home", "second try")
    assert not [one for one in store.directory.iterdir() if one.suffix == ".part"]


def test_what_cannot_be_relabelled_is_left_alone(tmp_path: Path) -> None:
    store = stored(tmp_path, 1)
    foreign = store.directory / "foreign.json"
    foreign.write_text('{"label": "mine"}')
    with pytest.raises(RunFileError, match="no schema number"):
        keeping.relabel(foreign, label="yours")
    assert foreign.read_text() == '{"label": "mine"}'
    with pytest.raises(RunFileError, match="at most 200 letters"):
        keeping.relabel(store.path_for("run_0"), label="x" * 201)
    with pytest.raises(RunFileError, match="is gone"):
        keeping.relabel(store.path_for("run_9"), label="x")


def test_the_trash_keeps_everything_and_gives_it_back(tmp_path: Path) -> None:
    store = stored(tmp_path)
    path, gone = store.path_for("run_1"), store.path_for("run_9")
    content = path.read_bytes()
    moved = keeping.to_trash([path, gone])
    assert [one.origin for one in moved] == [path]
    assert [entry.run_id for entry in store.entries()] == ["run_2", "run_0"]
    store.save(example_run("run_1", label="another"))
    again_moved = keeping.to_trash([path])
    assert {one.now.name for one in (*moved, *again_moved)} == {"run_1.json", "run_1_2.json"}
    assert keeping.from_trash(moved) == 1
    assert path.read_bytes() == content
    with pytest.raises(RunFileError, match="is there again"):
        keeping.from_trash(again_moved)
    assert again_moved[0].now.exists()
