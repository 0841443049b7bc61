"""What a replica that starts says it is doing."""

from pathlib import Path

from stack.replica.fetching import LOADING, WARMING, doing, fetched_bytes


def test_a_model_that_is_here_is_loaded_and_warmed_up(tmp_path: Path) -> None:
    assert doing(LOADING, str(tmp_path)) == "loading the model"
    assert doing(WARMING, "small") == "warming up"


def test_what_has_come_of_a_download_is_counted(tmp_path: Path) -> None:
    assert fetched_bytes(tmp_path) is None
    blobs = tmp_path / "models--somebody--model" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "whole").write_bytes(b"x" * 100)
    assert fetched_bytes(tmp_path) is None
    (blobs / "a.incomplete").write_bytes(b"x" * 30)
    (blobs / "b.incomplete").write_bytes(b"x" * 12)
    assert fetched_bytes(tmp_path) == 142
    done = tmp_path / "models--somebody--other" / "blobs"
    done.mkdir(parents=True)
    (done / "whole").write_bytes(b"x" * 1000)
    assert fetched_bytes(tmp_path) == 142, "what was here before is no download"
