"""``whisperctl serve`` as a process, with a state directory of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.serving import Serve, Served
from support.waiting import until


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "state"
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(directory))
    return directory


@pytest.fixture
def serve(state: Path, tmp_path: Path) -> Iterator[Serve]:
    """Start servers; whatever is left of them is ended."""
    started: list[Served] = []

    def start(*options: object, **environment: Any) -> Served:
        command = [sys.executable, "-m", "console", "serve", "--port", "0"]
        command += ["--results-dir", str(tmp_path / "results"), *map(str, options)]
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        started.append(Served(process, line.partition(": ")[2].strip()))
        return started[-1]

    yield start
    for one in started:
        consoles = one.consoles
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
        for console in consoles:
            with suppress(psutil.NoSuchProcess):
                until(lambda one=console: not one.is_running(), "the consoles' end", 30.0)
