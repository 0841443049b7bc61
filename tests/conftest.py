"""What every test shares: which may run beside which, and two graphics cards on paper."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.nvml import World, build, loaded

HERE = Path(__file__).parent
ALONE = {
    "loadtest/analysis/test_slow_replica.py",
    "loadtest/test_calibration.py",
    "loadtest/test_sessions.py::test_a_client_comes_back_with_its_uid_and_goes_on",
    "loadtest/test_ticks_under_load.py",
    "stack/replica/test_hostile_clients.py",
    "stack/telemetry",
}
"""Tests that measure what a machine does: anything beside them would be measured, too."""
TOGETHER = ("stack/docker", "stack/images")
"""Tests that share the one Docker engine."""


def _place(item: pytest.Item) -> str:
    return item.path.relative_to(HERE).as_posix() if item.path.is_relative_to(HERE) else ""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what has to run alone, and give each file to one worker."""
    for item in items:
        place = _place(item)
        if any(f"{place}::{item.name}".startswith(one) for one in ALONE):
            item.add_marker(pytest.mark.alone)
        shared = any(place.startswith(one) for one in TOGETHER)
        item.add_marker(pytest.mark.xdist_group("docker" if shared else place))


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for NVIDIA's library, built."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def nvml(nvml_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two cards, answered from a script, in this process."""
    with loaded(nvml_library, tmp_path / "world.txt", monkeypatch) as world:
        yield world
