"""Choosing, spanning, reading and enlarging the dashboard's charts."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.console import running, until
from support.engine import FakeEngine
from textual.pilot import Pilot
from textual.widgets import Button

from console.app import WhisperctlApp
from console.chart_choice import ChartPreferences, charts_file, load_charts
from console.rendering.live_charts import KINDS
from console.screens.chart_commands import ChartCommands
from console.screens.chart_dialog import ChartDialog, ChartList
from console.screens.dashboard import DashboardScreen
from console.screens.logs import LogsScreen
from console.widgets.chart import Chart
from console.widgets.chart_grid import ChartGrid
from stack.spec import StackSpec
from stack.status import ReplicaSample

Apps = Callable[..., WhisperctlApp]

USUAL = ["latency", "distribution", "words", "cpu"]


def shown(app: WhisperctlApp) -> list[str | None]:
    """The ids of the charts on the screen, in order."""
    charts = [chart for chart in app.screen.query(Chart) if chart.display]
    return [chart.id for chart in charts]


def chart_of(app: WhisperctlApp, name: str) -> Chart:
    return app.screen.query_one(f"#{name}", Chart)


async def ask(pilot: Pilot[Any]) -> ChartList:
    await pilot.press("c")
    await until(pilot, lambda: isinstance(pilot.app.screen, ChartDialog))
    return pilot.app.screen.query_one(ChartList)


async def test_charts_are_chosen_ordered_and_kept(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await until(pilot, lambda: shown(app) == USUAL)
        listed = await ask(pilot)
        assert listed.chosen == USUAL
        # Words away, the queue in, and to the top but one.
        await pilot.press("down", "down", "space", "end", "space", *["shift+up"] * 6)
        assert listed.chosen == ["latency", "queue", "distribution", "cpu"]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await until(pilot, lambda: shown(app) == ["latency", "queue", "distribution", "cpu"])
        await until(pilot, lambda: load_charts().charts is not None)
    again = make_app()
    async with running(again) as pilot:
        await until(pilot, lambda: shown(again) == ["latency", "queue", "distribution", "cpu"])


async def test_a_choice_of_nothing_is_none(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await until(pilot, lambda: shown(app) == USUAL)
        listed = await ask(pilot)
        for _ in USUAL:
            await pilot.press("space", "down")
        assert listed.chosen == []
        await until(pilot, lambda: app.screen.query_one("#show", Button).disabled)
        await pilot.press("enter")
        assert isinstance(app.screen, ChartDialog)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        assert shown(app) == USUAL
        assert not charts_file().exists()


async def test_the_window_goes_round_and_is_kept(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        latency = chart_of(app, "latency")
        for key, title in (("", "(5 min)"), ("w", "(5 min, no run yet)"), ("w", "(1 min)")):
            if key:
                await pilot.press(key)
            await until(pilot, lambda: title in str(latency.border_title))  # noqa: B023
        await until(pilot, lambda: load_charts().window == "1 min")
    again = make_app()
    async with running(again) as pilot:
        grid = again.screen.query_one(ChartGrid)
        await until(pilot, lambda: grid.window == "1 min")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "invalid JSON"),
        (b'{"charts": ["latency", "weather"]}', "charts.1"),
        (b'{"charts": []}', "at least one chart"),
        (b"\xff\xfe", "invalid"),
        (b'{"window": "a year"}', "window"),
    ],
)
async def test_a_broken_choice_is_one_line_and_no_more(
    make_app: Apps, content: bytes, said: str
) -> None:
    charts_file().parent.mkdir(parents=True)
    charts_file().write_bytes(content)
    app = make_app()
    async with running(app) as pilot:
        await until(pilot, lambda: shown(app) == USUAL)
        lines = [
            happening.text for happening in app.live.happenings if "charts.json" in happening.text
        ]
        assert len(lines) == 1
        assert said in lines[0]
        assert lines[0].endswith(".")


async def test_a_choice_that_cannot_be_kept_is_said(make_app: Apps) -> None:
    charts_file().parent.parent.mkdir(parents=True, exist_ok=True)
    charts_file().parent.write_text("a file where a directory should be")
    app = make_app()
    async with running(app) as pilot:
        await pilot.press("w")
        await until(pilot, lambda: any("was not kept" in h.text for h in app.live.happenings))


def test_a_choice_survives_what_a_later_version_adds() -> None:
    charts_file().parent.mkdir(parents=True)
    charts_file().write_text(json.dumps({"charts": ["cpu", "cpu", "queue"], "more": 1}))
    assert load_charts() == ChartPreferences(charts=("cpu", "queue"))


async def test_the_cursor_reads_values_off(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        chart = chart_of(app, "cpu")
        await until(pilot, lambda: "replica-1" in str(chart.border_subtitle))
        chart.focus()
        await pilot.press("left")
        assert "now" in str(chart.border_subtitle)
        assert "replica-1 25" in str(chart.border_subtitle)
        await pilot.press("shift+left", "left", "right")
        await until(pilot, lambda: " s ago" in str(chart.border_subtitle))
        # The chart goes on under a cursor that stays where it is.
        seconds = app.history.seconds
        await until(pilot, lambda: app.history.seconds > seconds and not chart.stale)
        assert " s ago" in str(chart.border_subtitle)
        await pilot.press("escape")
        assert not chart.has_cursor
        assert " s ago" not in str(chart.border_subtitle)
        assert isinstance(app.screen, DashboardScreen)


async def test_the_mouse_reads_values_off(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        chart = chart_of(app, "cpu")
        await until(pilot, lambda: "replica-1" in str(chart.border_subtitle))
        await pilot.hover("#cpu", offset=(20, 5))
        await until(pilot, lambda: " s ago" in str(chart.border_subtitle))
        await pilot.hover("#events")
        await until(pilot, lambda: not chart.has_cursor)
        assert " s ago" not in str(chart.border_subtitle)


@pytest.mark.parametrize("key", ["m", "enter"])
async def test_a_chart_is_maximised_and_back(make_app: Apps, key: str) -> None:
    app = make_app()
    async with running(app) as pilot:
        await until(pilot, lambda: shown(app) == USUAL)
        await pilot.press("tab")
        chart = chart_of(app, "latency")
        assert app.focused is chart
        small = chart.size
        await pilot.press(key)
        await until(pilot, lambda: chart.size.width > 130 and not chart.stale)
        assert app.screen.maximized is chart
        await pilot.press(key)
        await until(pilot, lambda: chart.size == small)
        await pilot.press(key, "escape")
        await until(pilot, lambda: chart.size == small)
        # On the table the same key opens the log.
        await pilot.press("shift+tab", "enter")
        await until(pilot, lambda: isinstance(app.screen, LogsScreen))


async def test_a_maximised_chart_that_is_no_longer_chosen_makes_room(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await until(pilot, lambda: shown(app) == USUAL)
        await pilot.press("tab", "m")
        await until(pilot, lambda: app.screen.maximized is not None)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: not chart_of(app, "latency").stale)
        assert chart_of(app, "latency").size.width == 78
        await pilot.resize_terminal(140, 45)
        await ask(pilot)
        await pilot.press("space", "enter")
        await until(pilot, lambda: shown(app) == USUAL[1:])
        assert app.screen.maximized is None


async def test_large_screens_show_all_and_v_goes_on_where_there_is_no_room(make_app: Apps) -> None:
    every = [kind.name for kind in KINDS]
    charts_file().parent.mkdir(parents=True)
    charts_file().write_text(json.dumps({"charts": every}))
    app = make_app()
    async with running(app, size=(250, 70)) as pilot:
        await until(pilot, lambda: shown(app) == every)
        assert not app.screen.check_action("next_chart", ())
        await pilot.resize_terminal(140, 45)
        await until(pilot, lambda: shown(app) == every[:4])
        assert app.screen.check_action("next_chart", ())
        await pilot.press("v")
        await until(pilot, lambda: shown(app) == every[4:])
        await pilot.press("v")
        await until(pilot, lambda: shown(app) == every[:4])
        await pilot.resize_terminal(80, 24)
        for name in (*every, every[0]):
            await until(pilot, lambda: shown(app) == [name])  # noqa: B023
            await pilot.press("v")
        # Narrow and tall: one below the other.
        await pilot.resize_terminal(80, 70)
        await until(pilot, lambda: len(shown(app)) >= 3)
        assert len({chart_of(app, str(name)).region.x for name in shown(app)}) == 1


async def test_gpu_figures_change_what_is_shown_until_somebody_chooses(make_app: Apps) -> None:
    engine = FakeEngine(up=StackSpec(replicas=2))
    app = make_app(engine=engine)
    async with running(app) as pilot:
        await until(pilot, lambda: shown(app) == USUAL)
        engine.samples = {
            "replica-1": ReplicaSample(gpu_memory=2**30, gpu_utilisation=0.5),
            "replica-2": ReplicaSample(
                gpu_memory=2**30, gpu_memory_shared=True, gpu_utilisation=0.5
            ),
        }
        gpu = ["latency", "distribution", "gpu-memory", "gpu-utilisation"]
        await until(pilot, lambda: shown(app) == gpu)
        chart = chart_of(app, "gpu-memory")
        await until(pilot, lambda: "replica-2 card 1" in str(chart.border_subtitle))


async def test_the_palette_knows_the_charts(make_app: Apps) -> None:
    app = make_app()
    async with running(app) as pilot:
        await until(pilot, lambda: shown(app) == USUAL)
        assert isinstance(app.screen, DashboardScreen)
        provider = ChartCommands(app.screen)
        offered = {str(hit.display): hit async for hit in provider.discover()}
        assert "Choose the charts" in offered
        assert "Maximise CPU per replica" in offered
        assert "Maximise Queue per replica" not in offered
        offered["Maximise CPU per replica"].command()  # type: ignore[union-attr]
        await until(pilot, lambda: app.screen.maximized is chart_of(app, "cpu"))
        found = [hit async for hit in provider.search("minute")]
        assert found
        found[0].command()  # type: ignore[union-attr]
        await until(pilot, lambda: load_charts().window in {"1 min", "5 min"})
