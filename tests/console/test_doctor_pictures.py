"""How the Doctor screen and the help look."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from support.console import at_rest, until
from textual.pilot import Pilot
from textual.widgets import DataTable

from console.app import WhisperctlApp
from stack.doctor import Finding, Health
from stack.spec import EngineName

Apps = Callable[..., WhisperctlApp]
Compare = Callable[..., bool]

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures were taken with Python 3.11"
)
FINDINGS = (
    Finding("Python", Health.GOOD, "3.11.7"),
    Finding("memory", Health.GOOD, "21.8 of 23.5 GiB free"),
    Finding("disk", Health.NOTE, "1.0 GiB free; make room, for example with 'docker system prune'"),
    Finding("port 8990", Health.GOOD, "free"),
    Finding("GPUs", Health.NOTE, "driver not loaded: load it with 'modprobe nvidia'"),
    Finding(
        "Docker",
        Health.BAD,
        "Docker does not run here; start it with 'sudo systemctl start docker', or use "
        "'--engine process', which needs no Docker.",
        EngineName.DOCKER,
    ),
)


@pytest.fixture
def app(make_app: Apps, monkeypatch: pytest.MonkeyPatch) -> WhisperctlApp:
    monkeypatch.setattr("console.screens.doctor.examine", lambda **_: iter(FINDINGS))
    monkeypatch.setattr("console.screens.doctor.time.strftime", lambda *_: "12:00:00")
    return make_app()


async def opened(pilot: Pilot[Any]) -> None:
    app = pilot.app
    assert isinstance(app, WhisperctlApp)
    await until(pilot, lambda: app.live.tick > 0)
    await pilot.press("5")
    await until(pilot, lambda: app.current_mode == "doctor")
    table = app.screen.query_one(DataTable)
    await until(pilot, lambda: table.row_count == len(FINDINGS))
    await pilot.press("ctrl+end")
    await at_rest(pilot)


@pytest.mark.parametrize("size", [(80, 24), (250, 70)], ids=["80x24", "250x70"])
def test_findings(app: WhisperctlApp, snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(app, terminal_size=size, run_before=opened)


def test_findings_in_a_light_theme(app: WhisperctlApp, snap_compare: Compare) -> None:
    async def settle(pilot: Pilot[Any]) -> None:
        pilot.app.theme = "textual-light"
        await opened(pilot)

    assert snap_compare(app, terminal_size=(140, 45), run_before=settle)


def test_the_help_on_a_small_screen(app: WhisperctlApp, snap_compare: Compare) -> None:
    async def settle(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        await pilot.press("question_mark")
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)
