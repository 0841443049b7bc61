"""How the screens look, with data in them, small and large.

The pictures are of one Python and the locked versions: another Textual draws another picture.
"""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from support.console import at_rest, until
from support.engine import FakeEngine
from support.load import FakeController
from support.runs import varied_run
from textual.pilot import Pilot

from console.app import WhisperctlApp
from console.history import Moment, live_latency
from console.screens.analysis import AnalysisScreen
from console.screens.compare import CompareScreen
from console.screens.runs import RunsScreen
from console.widgets.chart import Chart
from loadtest.analysis.series import analyse
from stack.spec import StackSpec
from stack.status import GpuSample, ReplicaSample

Apps = Callable[..., WhisperctlApp]
Compare = Callable[..., bool]

SIZES = pytest.mark.parametrize("size", [(80, 24), (140, 45)], ids=["80x24", "140x45"])
pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures were taken with Python 3.11"
)


@pytest.fixture
def with_data(make_app: Apps, monkeypatch: pytest.MonkeyPatch) -> WhisperctlApp:
    """An app under load with a minute behind it, and a clock that stands still."""
    monkeypatch.setattr("console.app.time.time", lambda: 1_770_000_060.0)
    samples = {
        "replica-1": ReplicaSample(cpu=0.42, memory=157 * 2**20, sessions=3, queue_depth=1),
        "replica-2": ReplicaSample(
            cpu=0.31,
            memory=149 * 2**20,
            gpu_memory=5222 * 2**20,
            gpu_utilisation=0.37,
            sessions=2,
            queue_depth=0,
        ),
    }
    engine = FakeEngine(up=StackSpec(replicas=2))
    engine.samples = samples
    app = make_app(engine=engine)

    _stand_still(app, samples, (), monkeypatch)
    return app


def _stand_still(
    app: WhisperctlApp,
    samples: Mapping[str, ReplicaSample],
    cards: tuple[GpuSample, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Put a minute behind the app, and let no second pass."""

    async def sample_nothing() -> None:
        now = 1000.0
        for row in FakeController.rows(seconds=60, clients=5):
            moment = Moment(now + row.time, samples, live_latency(row), wer=0.0125)
            app.history.add(moment)
        app.live = app.live.with_samples(samples, cards)

    monkeypatch.setattr(app, "_sample", lambda: app.run_worker(sample_nothing()))


@pytest.fixture
def with_cards(make_app: Apps, monkeypatch: pytest.MonkeyPatch) -> WhisperctlApp:
    """An app over a stack on two cards: one that is hot, and one that hides its processes."""
    monkeypatch.setattr("console.app.time.time", lambda: 1_770_000_060.0)
    samples = {
        "replica-1": ReplicaSample(
            cpu=1.42,
            memory=1570 * 2**20,
            gpu_memory=5222 * 2**20,
            gpu_memory_total=24 * 2**30,
            gpu_utilisation=0.37,
            gpus=(0,),
            sessions=30,
            queue_depth=1,
        ),
        "replica-2": ReplicaSample(
            cpu=1.31,
            memory=1490 * 2**20,
            gpu_memory=6144 * 2**20,
            gpu_memory_total=16 * 2**30,
            gpu_utilisation=1.0,
            gpus=(1,),
            gpu_memory_shared=True,
            gpu_utilisation_shared=True,
            gpu_shared=True,
            sessions=22,
            queue_depth=0,
        ),
    }
    cards = (
        GpuSample(
            index=0,
            name="NVIDIA GeForce RTX 4090",
            memory=24 * 2**30,
            memory_used=20 * 2**30,
            utilisation=0.97,
            temperature=88.0,
            power=449.7,
            power_limit=450.0,
            throttle=("power limit", "heat"),
        ),
        GpuSample(
            index=1,
            name="NVIDIA A2",
            memory=16 * 2**30,
            memory_used=6 * 2**30,
            utilisation=1.0,
            temperature=41.0,
            power=9.2,
            power_limit=60.0,
            throttle=("clocks as set",),
        ),
        GpuSample(index=2, name="NVIDIA L4", memory=24 * 2**30, problem="lost"),
    )
    engine = FakeEngine(up=StackSpec(replicas=2))
    engine.samples = samples
    app = make_app(engine=engine)
    _stand_still(app, samples, cards, monkeypatch)
    return app


async def _settle(pilot: Pilot[Any]) -> None:
    app = pilot.app
    assert isinstance(app, WhisperctlApp)
    await until(pilot, lambda: app.live.tick > 0 and bool(app.live.status.replicas))
    latency = app.screen.query_one("#latency", Chart)
    await until(pilot, lambda: "p99" in str(latency.border_subtitle))
    charts = [chart for chart in app.screen.query(Chart) if chart.display]
    # On a busy machine two pictures can be the same while a chart still waits for its turn.
    await until(pilot, lambda: not any(chart.stale for chart in charts))
    await at_rest(pilot)


@SIZES
def test_dashboard(with_data: WhisperctlApp, snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(with_data, terminal_size=size, run_before=_settle)


@SIZES
def test_dashboard_with_cards(
    with_cards: WhisperctlApp, snap_compare: Compare, size: tuple[int, int]
) -> None:
    assert snap_compare(with_cards, terminal_size=size, run_before=_settle)


@SIZES
def test_dashboard_without_a_stack(
    make_app: Apps, snap_compare: Compare, size: tuple[int, int]
) -> None:
    async def settle(pilot: Pilot[Any]) -> None:
        app = make_running(pilot)
        await until(pilot, lambda: app.live.tick > 0)
        await at_rest(pilot)

    assert snap_compare(make_app(up=False), terminal_size=size, run_before=settle)


def make_running(pilot: Pilot[Any]) -> WhisperctlApp:
    assert isinstance(pilot.app, WhisperctlApp)
    return pilot.app


@SIZES
def test_runs(with_data: WhisperctlApp, snap_compare: Compare, size: tuple[int, int]) -> None:
    async def open_runs(pilot: Pilot[Any]) -> None:
        app = make_running(pilot)
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await until(pilot, lambda: "Capacity:" in app.export_screenshot())
        await pilot.press("down")
        await until(pilot, lambda: "4&#160;clients&#160;on" in app.export_screenshot())
        await pilot.press("space")
        await until(pilot, lambda: "2&#160;clients&#160;on" in app.export_screenshot())
        await at_rest(pilot)

    assert snap_compare(with_data, terminal_size=size, run_before=open_runs)


@SIZES
def test_comparison(with_data: WhisperctlApp, snap_compare: Compare, size: tuple[int, int]) -> None:
    async def open_comparison(pilot: Pilot[Any]) -> None:
        app = make_running(pilot)
        runs = [
            varied_run("run_8_clients_20260101_000000", sessions=8, label="before"),
            varied_run("run_8_clients_20260102_000000", 1.3, sessions=8, label="after", seed=2),
        ]
        for run, factor in zip(runs, (3.0, 4.0), strict=True):
            run.timeline = FakeController.rows(seconds=20, clients=8, factor=factor)
        app.push_screen(CompareScreen(runs))
        await until(pilot, lambda: "Comparing" not in app.export_screenshot())
        await until(pilot, lambda: "configured" in app.export_screenshot())
        await at_rest(pilot)

    assert snap_compare(with_data, terminal_size=size, run_before=open_comparison)


@SIZES
def test_analysis(with_data: WhisperctlApp, snap_compare: Compare, size: tuple[int, int]) -> None:
    async def open_analysis(pilot: Pilot[Any]) -> None:
        app = make_running(pilot)
        runs = [
            varied_run(f"run_{count}_clients", factor, sessions=count, label="before")
            for count, factor in ((5, 1.0), (10, 1.1), (20, 2.5), (40, 9.0))
        ]
        for run in runs:
            run.timeline = FakeController.rows(seconds=20, clients=len(run.clients))
        app.push_screen(AnalysisScreen(analyse(runs), 2.0))
        await until(pilot, lambda: "Broke" in app.export_screenshot())
        chart = app.screen.query_one(Chart)
        await until(pilot, lambda: not (chart.size and chart.stale))
        await at_rest(pilot)

    assert snap_compare(with_data, terminal_size=size, run_before=open_analysis)


def test_help(with_data: WhisperctlApp, snap_compare: Compare) -> None:
    async def open_help(pilot: Pilot[Any]) -> None:
        await _settle(pilot)
        await pilot.press("question_mark")
        await at_rest(pilot)

    assert snap_compare(with_data, terminal_size=(140, 45), run_before=open_help)


def test_the_question_before_taking_down(with_data: WhisperctlApp, snap_compare: Compare) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await _settle(pilot)
        await pilot.press("d")
        await at_rest(pilot)

    assert snap_compare(with_data, terminal_size=(80, 24), run_before=ask)
