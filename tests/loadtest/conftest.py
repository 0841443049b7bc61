"""Clips and plans for tests of the load generator."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.runs import write_clip

from loadtest.plan import LoadPlan


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A directory of three clips: 3, 2 and 4 seconds."""
    directory = tmp_path / "clips"
    directory.mkdir()
    write_clip(directory, "one", seconds=3.0, words=["alpha", "bravo", "charlie"])
    write_clip(directory, "two", seconds=2.0, words=["delta", "echo"])
    write_clip(directory, "three", seconds=4.0, words=["foxtrot", "golf", "hotel", "india"])
    return directory


@pytest.fixture
def make_plan(clips: Path, tmp_path: Path) -> Callable[..., LoadPlan]:
    """Make a plan against a server on loopback."""

    def make(**values: Any) -> LoadPlan:
        return LoadPlan(
            **(
                {
                    "clients": (1,),
                    "port": 9,
                    "audio_directory": clips,
                    "results_directory": tmp_path / "results",
                    "cool_down": 0.0,
                    "connect_timeout": 5.0,
                    "finish_timeout": 5.0,
                }
                | values
            )
        )

    return make
