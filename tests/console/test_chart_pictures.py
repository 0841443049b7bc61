"""How the dashboard's charts look: small and large, dark and light, with and without GPUs.

The pictures are of one Python and the locked versions: another Textual draws another picture.
"""

import math
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support.console import at_rest, until
from support.engine import FakeEngine
from textual.pilot import Pilot

from console.app import WhisperctlApp
from console.chart_choice import ChartPreferences, save_charts
from console.history import Moment
from console.rendering.live_charts import KINDS
from console.screens.chart_dialog import ChartDialog
from console.screens.dashboard import DashboardScreen
from console.widgets.chart import Chart
from stack.spec import StackSpec
from stack.status import ReplicaSample

Apps = Callable[..., WhisperctlApp]
Compare = Callable[..., bool]
Settle = Callable[[Pilot[Any]], Any]

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures were taken with Python 3.11"
)

SIZES = pytest.mark.parametrize(
    "size", [(80, 24), (140, 45), (250, 70)], ids=["80x24", "140x45", "250x70"]
)


def sample(second: int, number: int, *, gpu: bool) -> ReplicaSample:
    wave = math.sin(second / 17 + 0.7 * number)
    return ReplicaSample(
        cpu=1.2 + 0.4 * wave + 0.05 * number,
        memory=int((1.4 + 0.05 * number + 0.0004 * second) * 2**30),
        sessions=8 + round(3 * wave),
        queue_depth=max(0, round(2 * math.sin(second / 7 + number))),
        gpu_memory=int((5 + 0.1 * number + 0.4 * wave) * 2**30) if gpu else None,
        gpu_utilisation=0.6 + 0.3 * wave if gpu else None,
        gpu_memory_shared=gpu and number == 2,
    )


@pytest.fixture
def make_busy(make_app: Apps, monkeypatch: pytest.MonkeyPatch) -> Callable[..., WhisperctlApp]:
    """Make an app over a stack under load, four minutes on, whose clock stands still."""

    def make(
        replicas: int, *, gpu: bool = False, theme: str = "textual-dark", ascii_only: bool = False
    ) -> WhisperctlApp:
        monkeypatch.setattr("console.app.time.time", lambda: 1_770_000_060.0)
        names = [f"replica-{number}" for number in range(1, replicas + 1)]
        engine = FakeEngine(up=StackSpec(replicas=replicas))
        app = make_app(engine=engine, ascii_only=ascii_only)
        app.theme = theme

        async def sample_nothing() -> None:
            for second in range(240):
                samples = {
                    name: sample(second, number, gpu=gpu) for number, name in enumerate(names, 1)
                }
                # The load has a break, and p95 and p99 are the same for a while.
                p50 = 0.4 + 0.1 * math.sin(second / 9) + second / 800
                p95 = 1.5 * p50
                p99 = p95 if 60 < second < 130 else p95 * 1.3
                loaded = not 130 < second < 150
                app.history.add(
                    Moment(
                        1000.0 + second,
                        samples,
                        (p50, p95, p99) if loaded else (None, None, None),
                        0.0125 + 0.004 * math.sin(second / 30) if second > 20 else None,
                        step=1 if second > 10 else 0,
                    )
                )
            app.live = app.live.with_samples(samples, ())

        monkeypatch.setattr(app, "_sample", lambda: app.run_worker(sample_nothing()))
        return app

    return make


async def settle(pilot: Pilot[Any]) -> None:
    app = pilot.app
    assert isinstance(app, WhisperctlApp)
    await until(pilot, lambda: app.live.tick > 0 and bool(app.live.status.replicas))
    shown = [chart for chart in app.screen.query(Chart) if chart.display]
    await until(pilot, lambda: all("(" in str(chart.border_title) for chart in shown))
    # A chart that another one covers is not drawn.
    await until(pilot, lambda: not any(chart.stale for chart in shown if chart.size))
    await at_rest(pilot)


def pressing(*keys: str) -> Settle:
    async def press(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        await pilot.press(*keys)
        await settle(pilot)

    return press


@SIZES
def test_charts_with_gpus(
    make_busy: Callable[..., WhisperctlApp], snap_compare: Compare, size: tuple[int, int]
) -> None:
    assert snap_compare(make_busy(3, gpu=True), terminal_size=size, run_before=settle)


@SIZES
def test_all_charts_of_eight_replicas(
    make_busy: Callable[..., WhisperctlApp], snap_compare: Compare, size: tuple[int, int]
) -> None:
    save_charts(ChartPreferences(charts=tuple(kind.name for kind in KINDS), window="run"))
    assert snap_compare(make_busy(8, gpu=True), terminal_size=size, run_before=settle)


def test_charts_on_a_light_background(
    make_busy: Callable[..., WhisperctlApp], snap_compare: Compare
) -> None:
    app = make_busy(8, theme="textual-light")
    assert snap_compare(app, terminal_size=(140, 45), run_before=settle)


def test_charts_in_sixteen_colours(
    make_busy: Callable[..., WhisperctlApp], snap_compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert snap_compare(make_busy(3), terminal_size=(140, 45), run_before=settle)


def test_charts_in_ascii(make_busy: Callable[..., WhisperctlApp], snap_compare: Compare) -> None:
    assert snap_compare(make_busy(3, ascii_only=True), terminal_size=(140, 45), run_before=settle)


@SIZES
def test_a_cursor_on_a_maximised_chart(
    make_busy: Callable[..., WhisperctlApp], snap_compare: Compare, size: tuple[int, int]
) -> None:
    keys = ("tab", "m", "left", *["shift+left"] * 3)
    assert snap_compare(make_busy(8), terminal_size=size, run_before=pressing(*keys))


@pytest.mark.parametrize("size", [(80, 24), (140, 45)], ids=["80x24", "140x45"])
def test_choosing_charts(
    make_busy: Callable[..., WhisperctlApp], snap_compare: Compare, size: tuple[int, int]
) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await settle(pilot)
        assert isinstance(pilot.app.screen, DashboardScreen)
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChartDialog))
        await at_rest(pilot)

    assert snap_compare(make_busy(3), terminal_size=size, run_before=ask)


def test_charts_without_a_gpu_say_so(
    make_busy: Callable[..., WhisperctlApp], snap_compare: Compare
) -> None:
    save_charts(ChartPreferences(charts=("gpu-memory", "queue")))
    assert snap_compare(make_busy(3), terminal_size=(140, 45), run_before=settle)
