"""The Doctor screen: what was looked at, what to do, which command to copy. And the help."""

import importlib
import pkgutil
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.console import running, until
from textual.screen import Screen
from textual.widgets import DataTable, HelpPanel, Static

import console.screens
from console.app import WhisperctlApp
from console.rendering.findings import advice, summary
from console.screens.dialogs import Question
from console.screens.doctor import DoctorScreen
from console.widgets.help_sheet import HelpSheet
from stack.doctor import Finding, Health
from stack.spec import EngineName

Apps = Callable[..., WhisperctlApp]

FINDINGS = [
    Finding("Python", Health.GOOD, "3.11.7"),
    Finding("disk", Health.NOTE, "1.0 GiB free; make room, for example with 'docker system prune'"),
    Finding("results", Health.BAD, "/x [y] can't be written; name another one with --results-dir"),
    Finding(
        "Docker",
        Health.BAD,
        "Docker does not run here; start it with 'sudo systemctl start docker'.",
        EngineName.DOCKER,
    ),
]


def test_a_finding_is_taken_apart() -> None:
    parts = advice(FINDINGS[1])
    assert parts.found == "1.0 GiB free."
    assert parts.todo == "Make room, for example with 'docker system prune'."
    assert parts.command == "docker system prune"
    assert advice(FINDINGS[0]).found == "3.11.7"
    assert advice(FINDINGS[2]).command == ""
    assert advice(FINDINGS[3]).command == "sudo systemctl start docker"
    driver = Finding("GPUs", Health.NOTE, "driver not loaded: load it with 'modprobe nvidia'")
    assert advice(driver).found == "Driver not loaded."
    assert advice(driver).command == "modprobe nvidia"
    assert summary(FINDINGS) == "4 looked at, 2 missing, 1 to note"


async def test_findings_come_one_by_one_and_a_command_is_copied(
    make_app: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = threading.Event()

    def examine(**_: Any) -> Iterator[Finding]:
        yield from FINDINGS[:3]
        assert slow.wait(15)
        yield FINDINGS[3]

    monkeypatch.setattr("console.screens.doctor.examine", examine)
    app = make_app()
    async with running(app, size=(80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: isinstance(app.screen, DoctorScreen))
        table = app.screen.query_one(DataTable)
        # What takes long does not hold up what is known, nor the keys.
        await until(pilot, lambda: table.row_count == 3)
        assert str(table.border_subtitle) == "looking …"
        assert app.screen.check_action("copy", ()) is None
        await pilot.press("enter")
        assert app.clipboard == ""
        slow.set()
        await until(pilot, lambda: table.row_count == 4)
        await until(pilot, lambda: "looked at" in str(table.border_subtitle))
        await pilot.press("ctrl+end")
        await until(pilot, lambda: table.cursor_row == 3)
        assert app.screen.check_action("copy", ()) is True
        assert "systemctl" in app.export_screenshot()
        await pilot.press("enter")
        await until(pilot, lambda: app.clipboard == "sudo systemctl start docker")
        await pilot.press("f5")
        await until(pilot, lambda: table.row_count == 4)
        await pilot.press("escape")
        await until(pilot, lambda: app.current_mode == "dashboard")


async def test_the_machine_itself_is_looked_at(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: isinstance(app.screen, DoctorScreen))
        table = app.screen.query_one(DataTable)
        await until(pilot, lambda: "looked at" in str(table.border_subtitle), 60.0)
        looked = {str(table.get_row_at(row)[1]) for row in range(table.row_count)}
        assert {"Python", "memory", "disk", "results", "GPUs"} <= looked


def screens() -> list[type[Screen[Any]]]:
    """Every screen and dialog of the console."""
    found = []
    for module in pkgutil.iter_modules(console.screens.__path__):
        members = vars(importlib.import_module(f"console.screens.{module.name}"))
        found += [
            member
            for member in members.values()
            if isinstance(member, type)
            and issubclass(member, Screen)
            and member.__module__ == f"console.screens.{module.name}"
            and "compose" in vars(member)
        ]
    return found


@pytest.mark.parametrize("screen", screens(), ids=lambda screen: screen.__name__)
def test_every_screen_and_dialog_has_a_help(screen: type[Screen[Any]]) -> None:
    assert screen.HELP, f"{screen.__name__} has no HELP: say in a few sentences what it is for."
    assert screen.HELP.strip().startswith("## ")
    assert screen.HELP.strip().endswith(".")


@pytest.mark.parametrize("key", ["1", "2", "3", "4", "5"])
async def test_the_help_fits_a_small_screen_and_escape_closes_it(make_app: Apps, key: str) -> None:
    app = make_app()
    async with running(app, size=(80, 24)) as pilot:
        await pilot.press(key)
        await pilot.pause()
        mode = app.current_mode
        await pilot.press("question_mark")
        await until(pilot, lambda: bool(app.screen.query("#help-keys")))
        body = app.screen.query_one("#help-body")
        await until(pilot, lambda: app.screen.query_one("#help-keys", Static).size.height > 5)
        assert body.size.height >= 23
        assert body.max_scroll_y == 0
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.query(HelpPanel))
        assert app.current_mode == mode  # only the help was left


async def test_the_help_lists_the_place_first_and_opens_over_a_question(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: bool(app.screen.query("#help-keys")))
        sheet = app.screen.query_one("#help-keys", Static)
        await until(pilot, lambda: sheet.size.height > 5)
        rows = ["".join(s.text for s in sheet.render_line(y)) for y in range(sheet.size.height)]
        text = "\n".join(rows)
        assert text.index("Bring the stack up") < text.index("Leave the console")
        assert text.index("Leave the console") < text.index("move")
        await pilot.press("escape", "d")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("f1")
        await until(pilot, lambda: bool(app.screen.query(HelpSheet)))
        await until(pilot, lambda: "Each&#160;answer" in app.export_screenshot())
        await pilot.press("escape")
        await until(pilot, lambda: not app.screen.query(HelpSheet))
        assert isinstance(app.screen, Question)
