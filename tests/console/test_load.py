"""The Load screen on a real stack: filled in by keys, followed, read, stopped, saved."""

import html
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from support.console import running, until
from textual.pilot import Pilot
from textual.widgets import Button, Input

from console.app import WhisperctlApp
from console.cli.view import make_app as make_real_app
from console.screens.analysis import AnalysisScreen
from console.screens.compare import CompareScreen
from console.screens.dashboard import DashboardScreen
from console.screens.dialogs import Question
from console.screens.load import LoadScreen
from console.screens.plans import NameDialog, PlansDialog
from console.widgets.plan_form import PlanForm
from console.widgets.sessions import SessionGrid, Sessions, SessionTable
from loadtest.controller import LoadController
from loadtest.events import StepProgress
from loadtest.plan import LoadPlan
from loadtest.watching import SessionState
from stack.process.engine import ProcessEngine
from stack.spec import BalancerSpec, StackSpec
from test_audio import CLIPS_DIRECTORY

Apps = Callable[..., WhisperctlApp]
SPEC = StackSpec(name="trial", replicas=2, balancer=BalancerSpec(port=0))


def picture(app: WhisperctlApp) -> str:
    return html.unescape(app.export_screenshot()).replace("\xa0", " ")


def field(app: WhisperctlApp, name: str) -> Input:
    return app.screen.query_one(f"#{name}", Input)


async def open_form(pilot: Pilot[None], app: WhisperctlApp) -> None:
    await pilot.press("l")
    await until(pilot, lambda: isinstance(app.screen, LoadScreen))
    await until(pilot, lambda: field(app, "clients").has_focus)


@pytest.fixture
async def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProcessEngine]:
    """Two replicas of the offline model, as processes."""
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path / "state"))
    engine = ProcessEngine(SPEC.name)
    await engine.up(SPEC)
    try:
        yield engine
    finally:
        await engine.down()


async def address_of(engine: ProcessEngine) -> tuple[str, int]:
    status = await engine.status()
    assert status.balancer is not None
    host, _, port = status.balancer.address.rpartition(":")
    return host, int(port)


@pytest.fixture
async def app(stack: ProcessEngine, tmp_path: Path) -> WhisperctlApp:
    plan = LoadPlan(
        clients=(1, 2),
        audio_directory=CLIPS_DIRECTORY,
        results_directory=tmp_path / "results",
        duration=20.0,
    )
    app = make_real_app(stack, SPEC, plan)
    app.animation_level = "none"
    return app


@pytest.mark.timeout(300)
async def test_a_load_from_the_form_to_the_saved_runs(app: WhisperctlApp) -> None:
    seen: dict[int, set[SessionState]] = {}
    async with running(app) as pilot:
        await until(pilot, lambda: app.live.status.ready_replicas == 2, seconds=60)
        await open_form(pilot, app)
        # All of it by keys: what stands in a field is selected when it gets the focus.
        await pilot.press(*"3,4,5", "down", "down", "down", *"15", "down", *"by keys")
        await pilot.press("down", *"a [note]")
        await until(pilot, lambda: field(app, "note").value == "a [note]")
        await until(pilot, lambda: "3 steps: 3, 4 and 5 clients, 15 s each" in picture(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.loading.running)
        await until(pilot, lambda: "1 to come" in picture(app) or "2 to come" in picture(app))

        def note_states() -> bool:
            for line in app.loading.board.lines:
                seen.setdefault(line.client, set()).add(line.state)
            text = app.loading.board.text(1)
            return text is not None and text.heard > 3 and not text.over

        table = app.screen.query_one(SessionTable)
        await until(pilot, lambda: table.row_count == 3 and table.has_focus)
        # Down to client 1, whose text then comes beside what it says.
        await pilot.press("down")
        await until(pilot, lambda: app.screen.query_one(Sessions).client == 1)
        await until(pilot, note_states, seconds=60)
        text = app.loading.board.text(1)
        assert text is not None
        assert text.reference
        await until(pilot, lambda: "so far" in picture(app) and "heard" in picture(app))
        assert "client 1" in picture(app)

        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("a")
        await until(pilot, lambda: "it ends after this step" in picture(app))
        first = app.loading.board
        await until(pilot, lambda: app.loading.verdict is not None, seconds=60)
        assert {line.state for line in first.lines} == {SessionState.DONE}
        assert SessionState.TALKING in seen[0] | seen[1] | seen[2]
        assert app.loading.board is first
        assert all(line.replica in {"replica-1", "replica-2"} for line in first.lines)

        (run,) = app.loading.runs
        saved = json.loads(app.store.path_for(run.run_id).read_text())
        assert (saved["label"], saved["note"]) == ("by keys", "a [note]")
        assert saved["test_configuration"]["num_clients"] == 3
        assert saved["status"] == "completed"
        # What was shown of the words is what is saved of them.
        shown = first.text(1)
        assert shown is not None
        assert shown.transcript == saved["clients"][1]["transcript"]
        await until(pilot, lambda: "a: analysis" in picture(app))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, AnalysisScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        await pilot.press("c")
        await until(pilot, lambda: any("no earlier run" in n.message for n in app._notifications))

        # Another load, to compare with it, on the address itself: no stack of ours is needed.
        await open_form(pilot, app)
        host, port = await address_of(app.engine)  # type: ignore[arg-type]
        field(app, "clients").value = "3"
        field(app, "duration").value = "4"
        field(app, "url").value = f"ws://{host}:{port}/"
        await pilot.press("enter")
        await until(pilot, lambda: app.loading.started == 2 and app.loading.running)
        await until(pilot, lambda: app.loading.verdict is not None, seconds=60)
        assert app.plan.port == port
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))


@pytest.mark.timeout(300)
async def test_load_from_elsewhere_is_told_of(app: WhisperctlApp, stack: ProcessEngine) -> None:
    host, port = await address_of(stack)
    plan = app.plan.model_copy(
        update={"host": host, "port": port, "label": "of [another]", "duration": 6.0}
    )
    controller = LoadController(plan)
    async with running(app) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        async with aclosing(controller.run()) as events:
            async for event in events:
                if isinstance(event, StepProgress) and event.elapsed > 3:
                    controller.stop()
                    await until(pilot, lambda: "'of [another]'" in picture(app), seconds=30)
                    break
        assert "Another console or command runs step 1 of 2" in picture(app)


async def test_what_is_wrong_stands_under_its_field(make_app: Apps) -> None:
    app = make_app()
    async with running(app, size=(80, 24)) as pilot:
        await open_form(pilot, app)
        start = app.screen.query_one("#start", Button)
        wrong = {
            "clients": ("1,,2", "whole numbers with commas"),
            "duration": ("0", "above 0, up to 86,400"),
            "most": ("many", ""),
            "chunk": ("62.51", "whole number of samples"),
            "ramp": ("-1", "from 0 to 3,600"),
            "success": ("101", "from 0 to 100"),
            "url": ("ws://me@there/", "without user name"),
            "seed": ("1.5", "whole number"),
        }
        for name, (text, sentence) in wrong.items():
            before = field(app, name).value
            field(app, name).value = text
            if sentence:
                await until(pilot, lambda: start.disabled)
                problems = app.screen.query_one(PlanForm).draft.problems
                assert list(problems) == [name]
                assert sentence in problems[name]
            field(app, name).value = before
            await until(pilot, lambda: not start.disabled)
        await pilot.press("enter")
        await until(pilot, lambda: app.loading.verdict is not None)


async def test_a_search_begins_no_higher_than_it_ends(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await open_form(pilot, app)
        await pilot.press(*"8", "down", "space", "down", *"4")
        await until(pilot, lambda: "A search up to 4 clients can't begin with 8." in picture(app))
        assert app.screen.query_one("#start", Button).disabled
        await pilot.press(*"0")
        await until(pilot, lambda: "A search for the capacity from 8 clients" in picture(app))


async def test_without_a_stack_the_form_says_so_but_for_other_servers(make_app: Apps) -> None:
    app = make_app(up=False)
    async with running(app) as pilot:
        await open_form(pilot, app)
        await until(pilot, lambda: "This stack is not up" in picture(app))
        start = app.screen.query_one("#start", Button)
        assert start.disabled
        await pilot.press("enter")
        assert not app.loading.started
        field(app, "url").value = "ws://127.0.0.1:9090/"
        await until(pilot, lambda: not start.disabled)
        await pilot.press("enter")
        await until(pilot, lambda: app.loading.verdict is not None)
        assert (app.plan.port, app.plan.host) == (9090, "127.0.0.1")
        # And back to the console's own stack.
        await open_form(pilot, app)
        field(app, "url").value = ""
        await until(pilot, lambda: start.disabled)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))


async def test_a_plan_is_kept_filled_in_and_deleted(make_app: Apps) -> None:
    app = make_app()
    async with running(app, size=(80, 24)) as pilot:
        await open_form(pilot, app)
        await pilot.press(*"7,9")
        field(app, "key").value = "very secret"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, NameDialog))
        await pilot.press(*"../x")
        await until(pilot, lambda: "A name has 1 to 40" in picture(app))
        await pilot.press("enter")
        assert not app.plans.directory.exists()
        field(app, "plan-name").value = "two steps"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        (path,) = app.plans.directory.iterdir()
        assert path.name == "two steps.json"
        assert "secret" not in path.read_text()
        (app.plans.directory / "torn.json").write_text('{"schema": 1')
        field(app, "clients").value = "1"
        field(app, "duration").value = "soon"
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(app.screen, PlansDialog))
        await until(pilot, lambda: "▲ It is not whole" in picture(app))
        await pilot.press("enter")  # the broken one is not taken
        assert isinstance(app.screen, PlansDialog)
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: [p.name for p in app.plans.directory.iterdir()] == [path.name])
        await until(pilot, lambda: isinstance(app.screen, PlansDialog))
        await until(pilot, lambda: "torn" not in picture(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        assert field(app, "clients").value == "7,9"
        assert field(app, "duration").value == "20"
        # A key that was typed is still there: plans hold none, and take none away.
        assert field(app, "key").value == "very secret"
        assert "very secret" not in picture(app)


async def test_sessions_are_rows_or_glyphs(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await open_form(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.loading.verdict is not None)
        sessions = app.screen.query_one(Sessions)
        await until(pilot, lambda: sessions.has_focus_within)
        assert not sessions.as_grid
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Analyse the series", "Sessions as rows or glyphs"} <= titles
        assert "Save the load plan" not in titles
        await pilot.press("g")
        assert sessions.as_grid
        await until(pilot, lambda: app.screen.query_one(SessionGrid).has_focus)
        await pilot.resize_terminal(60, 16)
        await pilot.resize_terminal(250, 70)
        await pilot.press("g")
        assert not sessions.as_grid


async def test_sessions_are_asked_for_only_while_they_are_seen(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await open_form(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.loading.verdict is not None)
        assert app.loading._watched.sessions
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await until(pilot, lambda: not app.loading._watched.sessions)
        await pilot.press("2")
        await until(pilot, lambda: app.loading._watched.sessions)
