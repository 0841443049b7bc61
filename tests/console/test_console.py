"""What the console does when keys are pressed."""

import asyncio
from collections.abc import Callable

import pytest
from fakes.nvml import World
from support.console import running, until
from support.engine import FakeEngine
from support.load import FakeController
from textual.widgets import Button, Checkbox, HelpPanel, Input

from console.app import WhisperctlApp
from console.screens.analysis import AnalysisScreen
from console.screens.compare import CompareScreen
from console.screens.dashboard import DashboardScreen
from console.screens.dialogs import Question
from console.screens.load import LoadScreen
from console.screens.runs import RunsScreen
from console.widgets.bars import CardBar, Events
from console.widgets.chart import Chart
from console.widgets.replica_table import ReplicaTable
from console.widgets.run_list import RunList
from loadtest.plan import DEFAULT_MAX_CLIENTS
from stack.status import ReplicaSample
from stack.telemetry.gpu import GpuReader

Apps = Callable[..., WhisperctlApp]


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Hold every load in its first step until set."""
    event = asyncio.Event()
    monkeypatch.setattr(FakeController, "hold", event)
    return event


def calls(app: WhisperctlApp) -> list[str]:
    assert isinstance(app.engine, FakeEngine)
    return app.engine.calls


async def test_an_absent_stack_says_which_key_brings_it_up(make_app: Apps) -> None:
    app = make_app(up=False)
    async with running(app) as pilot:
        assert "press" in app.export_screenshot()
        assert app.check_action("up", ()) is True
        # The form is there for other servers, too.
        assert app.check_action("load", ()) is True
        await pilot.press("d", "plus", "s")
        assert calls(app) == []
        await pilot.press("u")
        await until(pilot, lambda: app.screen.query_one(ReplicaTable).row_count == 2)
        assert calls(app) == ["up"]
        assert app.check_action("up", ()) is None


async def test_five_presses_scale_by_five(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("plus", "equals_sign", "plus", "plus", "plus")
        await until(pilot, lambda: app.screen.query_one(ReplicaTable).row_count == 7)
        assert calls(app)[-1] == "scale 7"
        await pilot.press("minus")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await until(pilot, lambda: app.screen.query_one(ReplicaTable).row_count == 6)


async def test_the_cursor_stays_where_it_is_while_figures_change(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("down")
        table = app.screen.query_one(ReplicaTable)
        assert table.selected == "replica-2"
        assert isinstance(app.engine, FakeEngine)
        app.engine.samples = {"replica-1": ReplicaSample(sessions=9)}
        await until(pilot, lambda: str(table.get_cell("replica-1", "sessions")) == "9")
        assert table.selected == "replica-2"
        # Unknown is a dash, never zero.
        assert str(table.get_cell("replica-2", "GPU memory")) == "–"
        await pilot.press("r")
        # Sessions that nobody can count may be lost as well.
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: "restart replica-2" in calls(app))


async def test_taking_down_says_how_many_sessions_are_cut(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "3" in app.export_screenshot()
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        assert calls(app) == []
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("e")
        await until(pilot, lambda: app.live.absent)
        assert calls(app) == ["down with drain"]


async def test_a_failure_is_a_sentence_and_an_event(make_app: Apps) -> None:
    app = make_app(up=False)
    assert isinstance(app.engine, FakeEngine)
    app.engine.fail = "Port 8990 is taken [by] somebody; choose another."
    async with running(app) as pilot:
        await pilot.press("u")
        await until(pilot, lambda: any("Port 8990" in h.text for h in app.live.happenings))
        assert app.live.busy == ""


async def test_a_load_series_runs_and_is_judged(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        await pilot.press("enter")
        await until(pilot, lambda: any("met the SLO" in h.text for h in app.live.happenings))
        texts = [happening.text for happening in app.live.happenings]
        assert "A series of 1, 2 clients begins." in texts
        assert "Step 2 of 2: 2 clients." in texts
        assert any(text.startswith("2 clients 2 of 2 ok") for text in texts)
        assert app.live.load is None
        controllers: list[FakeController] = app.controllers  # type: ignore[attr-defined]
        assert controllers[0].plan.port == 8990


async def test_the_load_dialog_checks_while_typing(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        field, start = (
            app.screen.query_one("#clients", Input),
            app.screen.query_one("#start", Button),
        )
        field.value = "1,x"
        await until(pilot, lambda: start.disabled)
        assert "whole numbers" in app.export_screenshot().replace("&#160;", " ")
        field.value = "0"
        await pilot.pause()
        assert start.disabled
        field.value = "3,5"
        await until(pilot, lambda: not start.disabled)
        app.screen.query_one("#duration", Input).value = "soon"
        await until(pilot, lambda: start.disabled)
        app.screen.query_one("#duration", Input).value = ""
        app.screen.query_one("#label", Input).value = "tried [bold]"
        await until(pilot, lambda: not start.disabled)
        await pilot.click("#start")
        await until(pilot, lambda: len(app.controllers) == 1)  # type: ignore[attr-defined]
        assert app.plan.clients == (3, 5)
        assert app.plan.duration is None
        assert app.plan.label == "tried [bold]"
        await until(pilot, lambda: app.live.load is None)
        await pilot.press("l")
        await until(pilot, lambda: field.has_focus)
        # Back to the series that was just played, and from there to where one came from.
        await pilot.press("escape")
        await until(pilot, lambda: not field.display or not field.has_focus)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))


async def test_the_load_dialog_starts_a_search_for_the_capacity(make_app: Apps) -> None:
    app = make_app()
    controllers: list[FakeController] = app.controllers  # type: ignore[attr-defined]
    async with running(app) as pilot:
        for clients, upper, first, most in (
            ("2", "60", 2, 60),
            ("5", "", 5, DEFAULT_MAX_CLIENTS),
        ):
            begun = len(controllers)
            await pilot.press("l")
            await until(pilot, lambda: isinstance(app.screen, LoadScreen))
            app.screen.query_one("#clients", Input).value = clients
            app.screen.query_one("#most", Input).value = upper
            app.screen.query_one("#find", Checkbox).value = True
            await pilot.pause()
            await pilot.click("#start")
            await until(pilot, lambda: len(controllers) > begun)  # noqa: B023
            assert controllers[-1].plan.clients[0] == first
            assert controllers[-1].plan.find_capacity == most
            text = f"A search for the capacity, up to {most} clients begins."
            await until(pilot, lambda: text in [h.text for h in app.live.happenings])  # noqa: B023
            await until(pilot, lambda: app.live.load is None)


@pytest.mark.parametrize(("key", "after_step"), [("y", False), ("a", True)])
async def test_stopping_a_load(
    make_app: Apps, hold: asyncio.Event, key: str, after_step: bool
) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        await pilot.press("enter")
        await until(pilot, lambda: app.live.load is not None and app.live.load.elapsed == 12.0)
        assert app.check_action("load", ()) is None
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press(key)
        await until(pilot, lambda: app.live.load is None)
        controllers: list[FakeController] = app.controllers  # type: ignore[attr-defined]
        assert controllers[0].stopped == [after_step]
        assert any("what was measured is saved" in h.text for h in app.live.happenings)


async def test_a_load_that_cannot_start_is_a_sentence(
    make_app: Apps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeController, "fail", "Nobody listens on 127.0.0.1:8990.")
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        await pilot.press("enter")
        await until(pilot, lambda: any("Nobody listens" in h.text for h in app.live.happenings))
        assert app.live.load is None


async def test_runs_are_listed_read_marked_and_compared(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        table = app.screen.query_one(RunList)
        await until(pilot, lambda: len(table.rows) == 5)  # a series' name, three runs, a broken one
        await pilot.press("down")
        await until(pilot, lambda: "Word&#160;error&#160;rate" in app.export_screenshot())
        await pilot.press("c")
        assert isinstance(app.screen, RunsScreen)  # nothing is marked yet
        await pilot.press("space", "space", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: not app.screen.query_one(Chart).stale)
        await until(pilot, lambda: "configured&#160;differently" in app.export_screenshot())
        picture = app.export_screenshot()
        for expected in ("success&#160;rate", "B&#160;−&#160;A", "B&#160;"):
            assert expected in picture
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AnalysisScreen))
        await until(pilot, lambda: not app.screen.query_one(Chart).stale)
        assert "met&#160;the&#160;SLO" in app.export_screenshot()
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("ctrl+end")
        await until(pilot, lambda: "not&#160;whole&#160;JSON" in app.export_screenshot())
        await pilot.press("space")
        assert any("can't be compared" in one.message for one in app._notifications)
        assert "2&#160;marked" in app.export_screenshot()  # what can't be read is not marked
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))


async def test_an_empty_directory_says_how_to_make_runs(make_app: Apps) -> None:
    app = make_app()
    for path in app.store.directory.iterdir():
        path.unlink()
    async with running(app) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "start&#160;a&#160;load" in app.export_screenshot())
        await pilot.press("space", "c")
        assert isinstance(app.screen, RunsScreen)


async def test_help_and_palette_offer_everything(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: bool(app.screen.query(HelpPanel)))
        await pilot.press("question_mark")
        await until(pilot, lambda: not app.screen.query(HelpPanel))
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"One replica more", "Start a load series", "Log of replica-1"} <= titles
        assert "Bring the stack up" not in titles


async def test_small_screens_show_one_chart_and_v_the_next(make_app: Apps) -> None:
    app = make_app()
    async with running(app, size=(80, 24)) as pilot:

        def shown() -> list[str | None]:
            return [chart.id for chart in app.screen.query(Chart) if chart.display]

        assert shown() == ["latency"]
        await pilot.press("v")
        assert shown() == ["distribution"]
        await pilot.resize_terminal(140, 45)
        await until(pilot, lambda: len(shown()) == 4)
        await pilot.resize_terminal(30, 8)
        await pilot.pause()


async def test_quitting_asks_what_becomes_of_the_stack(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: app.return_code == 0)
    assert calls(app) == []


async def test_quitting_with_down_ends_load_and_stack_in_order(
    make_app: Apps, hold: asyncio.Event
) -> None:
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        await pilot.press("enter")
        await until(pilot, lambda: app.live.load is not None and app.live.load.elapsed == 12.0)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("d")
        await until(pilot, lambda: app.return_code == 0)
    controllers: list[FakeController] = app.controllers  # type: ignore[attr-defined]
    assert controllers[0].stopped == [False]
    assert calls(app) == ["down"]
    assert isinstance(app.engine, FakeEngine)
    assert app.engine.closed, "nothing that samples came through is left open"


async def test_quitting_without_a_stack_just_leaves(make_app: Apps) -> None:
    app = make_app(up=False)
    async with running(app) as pilot:
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.return_code == 0)


async def test_the_demonstration_ends_with_comparison_and_verdict(make_app: Apps) -> None:
    app = make_app(up=False, demo=True)
    async with running(app) as pilot:
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: "down" in calls(app))
        assert calls(app) == ["up", "down"]
        assert "Passed:&#160;3&#160;of&#160;3" in app.export_screenshot()
        assert any(h.text.startswith("Passed: 3 of 3") for h in app.live.happenings)
        await until(pilot, lambda: app.live.absent)
        await pilot.press("escape", "q")
        await until(pilot, lambda: app.return_code == 0)


async def test_a_demonstration_left_early_has_not_passed(
    make_app: Apps, hold: asyncio.Event
) -> None:
    app = make_app(up=False, demo=True)
    async with running(app) as pilot:
        await until(pilot, lambda: app.live.load is not None)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("d")
        await until(pilot, lambda: app.return_code is not None)
    assert app.return_code == 1


async def test_events_are_wrapped_anew_for_another_width(make_app: Apps) -> None:
    app = make_app()
    async with running(app, size=(140, 45)) as pilot:
        app.happened("trial", "word " * 30)
        log = app.screen.query_one(Events)
        await until(pilot, lambda: any("trial" in line.text for line in log.lines))
        wide = len(log.lines)
        await pilot.resize_terminal(80, 45)
        await until(pilot, lambda: len(log.lines) > wide)
        assert all(len(line.text.rstrip()) <= 80 for line in log.lines)
        assert sum("trial" in line.text for line in log.lines) == 1


async def test_a_card_that_is_lost_is_an_event_and_a_word(make_app: Apps, nvml: World) -> None:
    app = make_app(cards=GpuReader().cards)
    async with running(app) as pilot:
        cards = app.screen.query_one(CardBar)
        await until(pilot, lambda: cards.display and "A2" in app.export_screenshot())
        nvml.on("GPU-b", "lost")
        await until(pilot, lambda: "figures&#160;of&#160;NVIDIA" in app.export_screenshot())
        assert [card.problem for card in app.live.cards] == ["", "lost"]
        nvml.on("GPU-b")
        await until(pilot, lambda: "is&#160;back" in app.export_screenshot())
        assert [card.problem for card in app.live.cards] == ["", ""]


async def test_no_card_is_no_line(make_app: Apps) -> None:
    app = make_app()
    async with running(app):
        assert not app.screen.query_one(CardBar).display
