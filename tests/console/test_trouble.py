"""What the console does when something is in the way, and when it is left in the middle."""

import asyncio
import html
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support.console import running, until
from support.engine import FakeEngine
from support.load import FakeController
from support.runs import varied_run
from textual.widgets import DataTable, Static

from console.app import WhisperctlApp
from console.screens.compare import CompareScreen
from console.screens.dialogs import Question
from loadtest.store import RunStore
from stack.engine import StackError
from stack.spec import StackSpec
from stack.status import ReplicaSample, StackStatus

Apps = Callable[..., WhisperctlApp]


def picture(app: WhisperctlApp) -> str:
    return html.unescape(app.export_screenshot()).replace("\xa0", " ")


class MoodyEngine(FakeEngine):
    """Fails to sample or to go down when told, and comes up when let."""

    def __init__(self, *, up: StackSpec | None = None) -> None:
        super().__init__(up=up)
        self.looks = 0
        self.no_figures = ""
        self.stays_up = ""
        self.may_come_up = asyncio.Event()
        self.may_come_up.set()
        self.may_go_down = asyncio.Event()
        self.may_go_down.set()
        self.came_up = False

    async def stats(self) -> Mapping[str, ReplicaSample]:
        self.looks += 1
        if self.no_figures:
            raise StackError(self.no_figures)
        return await super().stats()

    async def up(
        self, spec: StackSpec, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        await self.may_come_up.wait()
        self.came_up = True
        return await super().up(spec, wait=wait, timeout=timeout)

    async def down(
        self, *, drain: bool = False, timeout: float = 60.0, force: bool = False
    ) -> None:
        await self.may_go_down.wait()
        if self.stays_up:
            raise StackError(self.stays_up)
        await super().down(drain=drain, timeout=timeout)


async def test_figures_that_fail_are_unknown_and_said_once(make_app: Apps) -> None:
    engine = MoodyEngine(up=StackSpec(replicas=2))
    app = make_app(engine=engine)
    async with running(app) as pilot:
        table = app.screen.query_one(DataTable)
        await until(pilot, lambda: str(table.get_cell("replica-2", "sessions")) == "2")
        engine.no_figures = "The state can't be read [now]."
        seen = engine.looks
        await until(pilot, lambda: engine.looks >= seen + 3)
        told = [h.text for h in app.live.happenings if "can't be read [now]" in h.text]
        assert len(told) == 1
        assert str(table.get_cell("replica-2", "sessions")) == "–"
        engine.no_figures = ""
        await until(pilot, lambda: str(table.get_cell("replica-2", "sessions")) == "2")


async def test_brackets_in_the_name_of_a_directory_are_text(make_app: Apps) -> None:
    app = make_app()
    app.store = RunStore(Path("results[/x]"))
    async with running(app) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "0 runs in results[/x]" in picture(app))


async def test_a_comparison_of_many_runs_cuts_no_figure_short(make_app: Apps) -> None:
    app = make_app()
    async with running(app, size=(80, 24)) as pilot:
        runs = [
            varied_run(f"run_{number}", number, label=f"{number:x>20}") for number in range(1, 7)
        ]
        app.push_screen(CompareScreen(runs))
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: app.screen.query_one("#comparison").max_scroll_x > 0)
        tables = app.screen.query_one("#tables", Static)
        lines = [
            "".join(part.text for part in tables.render_line(y)) for y in range(tables.size.height)
        ]
        assert not any("…" in line for line in lines)
        assert any("[" in line and line.rstrip().endswith("worse") for line in lines)
        await pilot.press("right")
        await until(pilot, lambda: app.screen.query_one("#comparison").scroll_x > 0)


async def test_a_comparison_is_computed_beside_the_console_and_may_be_left_before_its_end(
    make_app: Apps,
) -> None:
    app = make_app()
    runs = [varied_run(f"run_{number}", sessions=800) for number in range(6)]
    async with running(app) as pilot:
        for _ in range(3):
            app.push_screen(CompareScreen(runs))
            await until(pilot, lambda: isinstance(app.screen, CompareScreen))
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, CompareScreen))
        app.push_screen(CompareScreen(runs[:2]))
        await until(pilot, lambda: "success rate" in picture(app), seconds=60)
        # Those of the screens that were left end by themselves, and bring nothing down.
        workers = [worker for worker in app.workers if worker.group == "compare"]
        await until(pilot, lambda: all(worker.is_finished for worker in workers), seconds=60)
        assert "success rate" in picture(app)


async def test_too_small_a_terminal_is_told_so_until_it_grows(make_app: Apps) -> None:
    app = make_app()
    async with running(app, size=(50, 12)) as pilot:
        await until(pilot, lambda: "too small: 50x12" in picture(app))
        assert "replica-1" not in picture(app)
        await pilot.press("3")
        await until(pilot, lambda: "too small: 50x12" in picture(app))
        await pilot.press("1")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "replica-1" in picture(app))
        assert "too small" not in picture(app)


async def test_leaving_while_the_stack_comes_up_lets_it_come_up(make_app: Apps) -> None:
    engine = MoodyEngine()
    engine.may_come_up.clear()
    app = make_app(engine=engine)
    async with running(app) as pilot:
        await pilot.press("u")
        await until(pilot, lambda: app.live.busy != "")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "coming up" in picture(app)
        await pilot.press("y")
        await pilot.pause(0.3)
        assert app.return_code is None
        engine.may_come_up.set()
        await until(pilot, lambda: app.return_code == 0)
    assert engine.came_up
    assert engine.calls == ["up"]


async def test_a_stack_that_does_not_go_down_keeps_the_console_open(make_app: Apps) -> None:
    engine = MoodyEngine(up=StackSpec(replicas=2))
    engine.stays_up = "It does not go down."
    app = make_app(engine=engine)
    async with running(app) as pilot:
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("d")
        await until(pilot, lambda: "It does not go down." in picture(app))
        assert app.return_code is None
        assert app.live.busy == ""


@pytest.mark.parametrize(("key", "expected"), [("y", ["up"]), ("d", ["up", "down"])])
async def test_a_demonstration_left_early_obeys_the_answer(
    make_app: Apps, monkeypatch: pytest.MonkeyPatch, key: str, expected: list[str]
) -> None:
    monkeypatch.setattr(FakeController, "hold", asyncio.Event())
    engine = MoodyEngine()
    app = make_app(engine=engine, demo=True)
    async with running(app) as pilot:
        await until(pilot, lambda: app.live.load is not None)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press(key)
        await until(pilot, lambda: app.return_code is not None)
    assert app.return_code == 1
    assert engine.calls == expected


async def test_a_demonstration_is_not_left_while_its_stack_goes_down(make_app: Apps) -> None:
    engine = MoodyEngine()
    engine.may_go_down.clear()
    app = make_app(engine=engine, demo=True)
    async with running(app) as pilot:
        await until(pilot, lambda: app.live.busy.startswith("taking down"))
        await pilot.press("escape", "q")
        await pilot.pause(0.3)
        assert app.return_code is None
        assert not isinstance(app.screen, Question)
        engine.may_go_down.set()
        await until(pilot, lambda: app.return_code == 0)
    assert engine.calls == ["up", "down"]


async def test_a_demonstration_whose_stack_stays_has_not_passed(make_app: Apps) -> None:
    engine = MoodyEngine()
    engine.stays_up = "It does not go down."
    app = make_app(engine=engine, demo=True)
    async with running(app) as pilot:
        await until(pilot, lambda: any("does not go" in h.text for h in app.live.happenings))
        assert any(h.text.startswith("Passed") for h in app.live.happenings)
        engine.stays_up = ""
        await pilot.press("escape", "q")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: app.return_code == 1)
