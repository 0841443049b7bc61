"""A state directory for one test; whatever the test left running ends with it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stack.process.engine import ProcessEngine
from stack.spec import BalancerSpec, StackSpec

NAME = "trial"


def family(root: Path) -> list[psutil.Process]:
    """Every process that was started for a stack under this state directory."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = process.environ().get("WHISPERCTL_STATE_DIR") == str(root)
            if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # The processes inherit the variable, which is how the test finds all of them again.
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path))
    try:
        yield tmp_path
    finally:
        for _ in range(3):
            for process in family(tmp_path):
                with contextlib.suppress(psutil.Error):
                    process.kill()


@pytest.fixture
def engine(root: Path) -> ProcessEngine:
    return ProcessEngine(NAME)


def spec(replicas: int = 1, **changes: Any) -> StackSpec:
    return StackSpec(
        name=NAME,
        replicas=replicas,
        **({"balancer": BalancerSpec(port=0)} | changes),
    )
