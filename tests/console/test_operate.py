"""The stack operated from the keyboard: real processes, the offline model."""

import asyncio
import contextlib
import html
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from support.console import running, until
from support.stacks import reach, replica_of, session
from textual.pilot import Pilot
from textual.widgets import Button, Input, Label, OptionList

from console.app import WhisperctlApp
from console.screens.dashboard import DashboardScreen
from console.screens.dialogs import Question
from console.screens.operation_dialogs import ModelDialog, NumberDialog, StrategyDialog
from console.widgets.bars import StackBar
from console.widgets.replica_table import ReplicaTable
from loadtest.store import RunStore
from stack.engine import Engine
from stack.offline import MODEL_DIRECTORY
from stack.process.engine import ProcessEngine
from stack.spec import BalancerSpec, StackSpec, Strategy
from stack.status import ReplicaState, StackState
from tests.stack.process.conftest import NAME, engine, family, root, spec

__all__ = ["engine", "root"]

Apps = Callable[..., WhisperctlApp]
Console = tuple[WhisperctlApp, Pilot[None]]
LONG = 60.0


@pytest.fixture
async def console(engine: ProcessEngine, results: RunStore, make_app: Apps) -> Apps:
    """Make a console over the trial stack."""

    def make(**values: object) -> WhisperctlApp:
        app = make_app(engine=engine, **values)  # type: ignore[arg-type]
        app.spec = StackSpec(name=NAME, replicas=1, balancer=BalancerSpec(port=0))
        return app

    return make


def picture(app: WhisperctlApp) -> str:
    return html.unescape(app.export_screenshot()).replace("\xa0", " ")


def bar(app: WhisperctlApp) -> str:
    return str(app.screen_stack[0].query_one(StackBar).content)


def ready(app: WhisperctlApp, count: int) -> Callable[[], bool]:
    return lambda: app.live.status.ready_replicas == len(app.live.status.replicas) == count


def told(app: WhisperctlApp) -> str:
    return "\n".join(happening.text for happening in app.live.happenings)


def said(app: WhisperctlApp) -> str:
    return "\n".join(one.message for one in app._notifications)


def asked(app: WhisperctlApp) -> str:
    assert isinstance(app.screen, Question)
    return str(app.screen.query_one(".question", Label).content)


def plan(app: WhisperctlApp) -> str:
    return str(app.screen.query_one("#plan", Label).content)


@contextlib.asynccontextmanager
async def sessions(engine: Engine, count: int) -> AsyncIterator[list[str]]:
    """Hold sessions open, and name their replicas."""
    balancer = (await engine.status()).balancer
    assert balancer is not None
    async with contextlib.AsyncExitStack() as opened:
        yield [
            replica_of(await opened.enter_async_context(session(balancer.address)))
            for _ in range(count)
        ]


async def test_up_more_fewer_and_down_without_a_question(console: Apps) -> None:
    app = console()
    async with running(app) as pilot:
        await pilot.press("u")
        await until(pilot, lambda: "bringing up" in bar(app), LONG)
        assert "esc takes it down again" in bar(app)
        await until(pilot, ready(app, 1), LONG)
        assert "1/1" in bar(app)
        for _ in range(3):
            app.action_scale_by(1)  # nothing comes between: on a busy machine a press takes long
        assert app.live.wanted == 4
        assert "1/4" in bar(app), "the wanted number stands beside the real one at once"
        await until(pilot, lambda: "scaling to 4" in bar(app), LONG)
        await until(pilot, ready(app, 4), LONG)
        assert app.live.wanted is None
        await pilot.press("minus", "minus")
        await until(pilot, ready(app, 2), LONG)
        await until(pilot, lambda: not app.live.busy, LONG)
        assert "took" in told(app)
        await pilot.press("d")
        await until(pilot, lambda: app.live.absent, LONG)
        assert isinstance(app.screen, DashboardScreen), "nothing is lost: no question"


async def test_a_key_that_is_held_down_does_no_harm(console: Apps, engine: ProcessEngine) -> None:
    await engine.up(spec(1))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 1))
        for _ in range(30):
            app.action_scale_by(1)  # as fast as a terminal repeats a key
        assert app.live.wanted == 9
        for _ in range(60):
            app.action_scale_by(-1)
        assert app.live.wanted == 0
        await until(pilot, lambda: "8 at one go at most" in said(app))
        await until(pilot, lambda: app.live.wanted is None, LONG)
        status = await engine.status()
        assert status.spec is not None
        assert status.spec.replicas == 0
        await until(pilot, lambda: not app.live.busy, LONG)


async def test_an_exact_number_with_its_plan(console: Apps, engine: ProcessEngine) -> None:
    await engine.up(spec(2))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 2))
        async with sessions(engine, 2):
            await until(pilot, lambda: app.live.open_sessions == 2)
            await pilot.press("n")
            await until(pilot, lambda: isinstance(app.screen, NumberDialog))
            field = app.screen.query_one(Input)
            field.value = "1"
            await until(pilot, lambda: "1 open session on replica-2 may go on" in plan(app))
            field.value = "99"
            await until(pilot, lambda: app.screen.query_one("#do", Button).disabled)
            field.value = "3"
            await until(pilot, lambda: "1 more replica is started" in plan(app))
            await pilot.press("enter")
            await until(pilot, ready(app, 3), LONG)


async def test_a_restart_asks_only_where_sessions_are_open_and_counts_on(
    console: Apps, engine: ProcessEngine
) -> None:
    before = await engine.up(spec(1, drain_timeout=30))
    assert before.balancer is not None
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 1))
        async with session(before.balancer.address):
            await pilot.press("r")
            await until(pilot, lambda: isinstance(app.screen, Question))
            assert "1 open session on replica-1" in asked(app)
            assert "30 s at most" in asked(app)
            async with session(before.balancer.address):
                await until(pilot, lambda: "2 open sessions on replica-1" in asked(app))
        await until(pilot, lambda: "nothing is lost" in asked(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await pilot.press("r")
        await until(pilot, lambda: app.live.status.replicas[0].restarts == 1, LONG)
        await until(pilot, ready(app, 1), LONG)


async def test_drain_keep_and_kill(console: Apps, engine: ProcessEngine) -> None:
    before = await engine.up(spec(2, drain_timeout=120))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 2))
        async with sessions(engine, 2):
            await pilot.press("D")
            await until(pilot, lambda: isinstance(app.screen, Question))
            assert "1 open session on replica-1" in asked(app)
            await pilot.press("y")
            table = app.screen_stack[0].query_one(ReplicaTable)
            await until(
                pilot, lambda: "draining" in str(table.get_cell("replica-1", "state")), LONG
            )
            await until(pilot, lambda: "keeps 1 session, " in bar(app))
            assert not app.live.status.replicas[0].wanted
            await pilot.press("D")
            await until(pilot, lambda: app.live.status.replicas[0].wanted, LONG)
            await until(pilot, lambda: "then is replaced" in bar(app))
            await pilot.press("K")
            await until(pilot, lambda: isinstance(app.screen, Question))
            assert "1 open session on replica-1 would be cut at once." in asked(app)
            await pilot.press("y")
            await until(pilot, lambda: "Killed, as asked." in told(app), LONG)
            await until(pilot, ready(app, 2), LONG)
        assert app.live.status.replicas[0].pid != before.replicas[0].pid
        assert app.live.status.replicas[1].pid == before.replicas[1].pid


async def test_a_strategy_is_changed_with_its_plan(console: Apps, engine: ProcessEngine) -> None:
    await engine.up(spec(1))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 1))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, StrategyDialog))
        assert "nothing happens" in picture(app)
        await pilot.press("down", "down")
        await until(pilot, lambda: "spread by ip hash" in picture(app))
        assert app.screen.query_one(OptionList).highlighted == 2
        await pilot.press("enter")

        def changed() -> bool:
            running = app.live.status.spec
            return running is not None and running.balancer.strategy is Strategy.IP_HASH

        await until(pilot, changed, LONG)
        await until(pilot, lambda: "ip hash" in bar(app))


async def test_a_model_is_changed_with_its_plan_and_taken_back(
    console: Apps, engine: ProcessEngine, tmp_path: Path
) -> None:
    other = shutil.copytree(MODEL_DIRECTORY, tmp_path / "other-model").as_posix()
    before = await engine.up(spec(2, drain_timeout=60))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 2))
        async with sessions(engine, 2):
            await pilot.press("M")
            await until(pilot, lambda: isinstance(app.screen, ModelDialog))
            app.screen.query_one(Input).value = other
            await until(pilot, lambda: "2 replicas are replaced one after another" in plan(app))
            await until(pilot, lambda: "2 open sessions (1 on replica-1" in plan(app))
            assert "60 s at most" in plan(app)
            await pilot.press("enter")
            await until(pilot, lambda: "changing to model" in bar(app), LONG)
            assert "esc goes back" in bar(app)
            await pilot.press("escape")
            await until(pilot, lambda: "was taken back" in told(app), LONG)
        await until(pilot, lambda: not app.live.busy, LONG)
        status = await reach(engine, lambda now: now.ready_replicas == len(now.replicas), "ready")
        assert {one.model for one in status.replicas} == {"offline"}
        assert status.replicas[1].pid == before.replicas[1].pid

        await pilot.press("M")
        await until(pilot, lambda: isinstance(app.screen, ModelDialog))
        app.screen.query_one(Input).value = other
        await pilot.press("enter")
        await until(
            pilot,
            lambda: {one.model for one in app.live.status.replicas} == {other},
            LONG,
        )
        await until(pilot, ready(app, 2), LONG)
        assert "other-model" in bar(app)


async def test_escape_while_it_comes_up_leaves_nothing(
    console: Apps, engine: ProcessEngine, root: Path
) -> None:
    app = console()
    # So many that it takes a while: one that is up can't be taken back.
    app.spec = app.spec.model_copy(update={"replicas": 8})
    async with running(app) as pilot:
        await pilot.press("u")
        await until(pilot, lambda: app.live.status.state is StackState.STARTING, LONG)
        await pilot.press("escape")
        await until(pilot, lambda: "nothing of the stack is left" in told(app), LONG)
        await until(pilot, lambda: app.live.absent and not app.live.busy, LONG)
        assert (await engine.status()).state is StackState.ABSENT


async def test_escape_takes_scaling_back(console: Apps, engine: ProcessEngine, root: Path) -> None:
    await engine.up(spec(1))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 1))
        for process in family(root):
            if "stack.supervision" in process.cmdline():
                process.suspend()  # so that nothing more comes up for now
        await pilot.press("plus")
        await until(pilot, lambda: "esc goes back to 1" in bar(app), LONG)
        await pilot.press("escape")
        await until(pilot, lambda: "was taken back" in told(app), LONG)
        for process in family(root):
            process.resume()
        await until(pilot, lambda: not app.live.busy, LONG)
        await until(pilot, ready(app, 1), LONG)


async def test_a_supervisor_killed_in_the_middle_is_replaced(
    console: Apps, engine: ProcessEngine, root: Path
) -> None:
    await engine.up(spec(1))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 1))
        await pilot.press("plus", "plus")
        await until(pilot, lambda: "scaling to 3" in bar(app), LONG)
        for process in family(root):
            if "stack.supervision" in process.cmdline():
                process.kill()
        await until(pilot, ready(app, 3), LONG)
        await until(pilot, lambda: app.live.status.supervised, LONG)
        for process in family(root):
            if "stack.supervision" in process.cmdline():
                process.kill()
        # Where nothing goes on nobody starts one unasked, but it is said.
        await until(pilot, lambda: "nobody watches the stack" in bar(app), LONG)


async def test_what_a_shell_does_meanwhile_is_seen_and_adds_up(
    console: Apps, engine: ProcessEngine
) -> None:
    await engine.up(spec(1))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 1))
        shell = ProcessEngine(NAME)
        async with asyncio.TaskGroup() as together:
            together.create_task(pilot.press("plus"))
            together.create_task(shell.scale_by(1, wait=False))
        await until(pilot, ready(app, 3), LONG)
        await until(pilot, lambda: not app.live.busy, LONG)
        await shell.restart("replica-2", wait=False)
        await until(pilot, lambda: "replica-2" in bar(app), LONG)
        await until(pilot, ready(app, 3), LONG)
        assert "replica-2" not in bar(app)


async def test_going_down_asks_with_the_count_and_refuses_what_comes_after(
    console: Apps, engine: ProcessEngine
) -> None:
    await engine.up(spec(2, drain_timeout=120))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 2))
        async with sessions(engine, 3):
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Question))
            assert "3 open sessions (" in asked(app)
            await pilot.press("e")
            await until(pilot, lambda: app.live.status.state is StackState.STOPPING, LONG)
            await until(pilot, lambda: "d again ends it at once" in bar(app), LONG)
            await until(
                pilot,
                lambda: any(one.state is ReplicaState.DRAINING for one in app.live.status.replicas),
                LONG,
            )
            await pilot.press("plus")
            await until(pilot, lambda: "is going down; wait until it has" in said(app))
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Question))
            await pilot.press("y")
            await until(pilot, lambda: app.live.absent, LONG)
        assert not any(one.severity == "error" for one in app.live.happenings)


async def test_a_state_that_cannot_be_read_is_said_once_and_survived(
    console: Apps, engine: ProcessEngine, root: Path
) -> None:
    await engine.up(spec(1))
    app = console()
    desired = root / "stacks" / NAME / "desired.json"
    whole = desired.read_bytes()
    async with running(app) as pilot:
        await until(pilot, ready(app, 1))
        desired.write_text("{half")
        await until(pilot, lambda: "no answer for" in bar(app))
        await until(pilot, lambda: "no answer for 2 s" in bar(app))
        assert [one.text for one in app.live.happenings].count(app.live.trouble) == 1
        assert app.screen.query_one(ReplicaTable).row_count == 1, "what was seen last stays"
        await pilot.press("plus")
        await until(pilot, lambda: app.live.wanted is None, LONG)
        desired.write_bytes(whole)
        await until(pilot, lambda: "It answers again" in told(app), LONG)
        await until(pilot, lambda: "no answer" not in bar(app))


async def test_a_frozen_replica_is_killed(console: Apps, engine: ProcessEngine) -> None:
    status = await engine.up(spec(1))
    pid = status.replicas[0].pid
    assert pid is not None
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 1))
        os.kill(pid, signal.SIGSTOP)
        await until(
            pilot, lambda: app.live.status.replicas[0].state is ReplicaState.UNHEALTHY, LONG
        )
        assert "does not answer" in bar(app)
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "unknown number of sessions on replica-1" in asked(app)
        await pilot.press("y")
        await until(pilot, ready(app, 1), LONG)
        assert app.live.status.replicas[0].pid != pid


async def test_leaving_says_what_taking_down_would_cut(
    console: Apps, engine: ProcessEngine
) -> None:
    await engine.up(spec(1))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 1))
        async with sessions(engine, 2):
            await pilot.press("q")
            await until(pilot, lambda: isinstance(app.screen, Question))
            await until(pilot, lambda: "would cut 2 open sessions on replica-1" in asked(app))
        await until(pilot, lambda: "would cut" not in asked(app))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))


async def test_everything_is_in_the_palette(console: Apps, engine: ProcessEngine) -> None:
    await engine.up(spec(2, drain_timeout=60))
    app = console()
    async with running(app) as pilot:
        await until(pilot, ready(app, 2))
        commands = {one.title: one for one in app.get_system_commands(app.screen)}
        for expected in (
            "Choose replicas by round robin",
            "Ask for a number of replicas",
            "Change the model",
            "Restart replica-2",
            "Drain replica-2",
            "Kill replica-2",
        ):
            assert expected in commands
            assert commands[expected].help
        assert "Take back what goes on" not in commands
        assert "Build the image" not in commands, "there are no containers"
        commands["Change the model"].callback()
        await until(pilot, lambda: isinstance(app.screen, ModelDialog))
        await pilot.press("escape")
        async with sessions(engine, 2):
            commands["Drain replica-2"].callback()
            await until(pilot, lambda: isinstance(app.screen, Question))
            await pilot.press("y")
            await until(pilot, lambda: not app.live.status.replicas[-1].wanted, LONG)
            titles = {one.title for one in app.get_system_commands(app.screen)}
            assert "Keep replica-2" in titles
