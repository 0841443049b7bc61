"""How the list of runs, a comparison of series and an analysis look, with data in them.

The pictures are of one Python and the locked versions: another Textual draws another picture.
"""

import html
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.console import at_rest, until
from support.load import FakeController
from support.runs import varied_run
from textual.pilot import Pilot

from console.app import WhisperctlApp
from console.screens.analysis import AnalysisScreen
from console.screens.compare import CompareScreen
from console.screens.runs import RunsScreen
from console.widgets.chart import Chart
from console.widgets.run_list import RunList
from loadtest.analysis.series import analyse
from loadtest.runfile import Run, RunStatus
from loadtest.store import RunStore
from stack.status import ReplicaSample

Apps = Callable[..., WhisperctlApp]
Compare = Callable[..., bool]

LOOKS = pytest.mark.parametrize(
    "look",
    [((80, 24), "textual-dark"), ((140, 45), "textual-light"), ((250, 70), "textual-dark")],
    ids=["80x24", "140x45-light", "250x70"],
)
pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures were taken with Python 3.11"
)


def series_of(number: int, label: str, factor: float) -> list[Run]:
    """Return a series of four steps, the last of which misses its SLO or is cut off."""
    runs = []
    for step, clients in enumerate((5, 10, 20, 40), start=1):
        grown = factor * (1 + clients / 8)
        created = datetime(2026, 3, number, 9, 0, tzinfo=UTC) + timedelta(minutes=10 * step)
        run = varied_run(
            f"run_{clients}_clients_{created:%Y%m%d_%H%M%S}",
            grown,
            sessions=clients,
            created=created,
            label=label,
            step=step,
            steps=4,
            stack={"replica": {"model": "tiny.en"}},
            status=RunStatus.INTERRUPTED if number == 1 and step == 4 else RunStatus.COMPLETED,
        )
        run.series_id = f"series_2026030{number}_090000"
        for place, client in enumerate(run.clients):
            client.replica = f"replica-{place % 3 + 1}"
        run.summary.load_distribution.sessions = {
            f"replica-{place + 1}": len(run.clients[place::3]) for place in range(3)
        }
        run.summary.load_distribution.max_over_mean = 1.05
        run.timeline = FakeController.rows(seconds=30, clients=clients, factor=grown)
        for row in run.timeline:
            row.replicas = {f"replica-{n}": ReplicaSample(cpu=0.3 * n) for n in (1, 2, 3)}
        runs.append(run)
    return runs


@pytest.fixture
def series(results: RunStore) -> list[list[Run]]:
    """Three series in the directory, a note, a broken file."""
    found = [series_of(1, "beam 1", 1.0), series_of(2, "beam 5", 1.4), series_of(3, "int8", 0.7)]
    found[2][2].note = "second try [after the reboot]"
    for runs in found:
        for run in runs:
            results.save(run)
    return found


async def _drawn(pilot: Pilot[Any], theme: str, *, charted: bool = False) -> None:
    """Wait until all is drawn; ``charted``: a chart has to be among it."""
    app = pilot.app
    app.theme = theme

    def seen() -> list[Chart]:
        # What was opened just now has no size yet.
        return [chart for chart in app.screen.query(Chart) if chart.display and chart.size]

    def drawn() -> bool:
        charts = seen()
        whole = all(chart._drawing.lines and not chart.stale for chart in charts)
        return whole and bool(charts or not charted)

    await until(pilot, drawn)
    await at_rest(pilot)
    while not drawn():
        await until(pilot, drawn)
        await at_rest(pilot)


def _picture(pilot: Pilot[Any]) -> str:
    return html.unescape(pilot.app.export_screenshot()).replace("\xa0", " ")


@LOOKS
def test_many_runs(
    make_app: Apps, series: object, snap_compare: Compare, look: tuple[tuple[int, int], str]
) -> None:
    async def open_runs(pilot: Pilot[Any]) -> None:
        app = pilot.app
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        table = app.screen.query_one(RunList)
        await until(pilot, lambda: len(table.rows) == 20)
        await pilot.press("down", "space", "down")
        await until(pilot, lambda: "10 clients on" in _picture(pilot))
        await _drawn(pilot, look[1])

    assert snap_compare(make_app(), terminal_size=look[0], run_before=open_runs)


@LOOKS
@pytest.mark.parametrize("part", ["f", "t", "n", "r"])
def test_series_beside_each_other(
    make_app: Apps,
    series: list[list[Run]],
    snap_compare: Compare,
    look: tuple[tuple[int, int], str],
    part: str,
) -> None:
    async def open_comparison(pilot: Pilot[Any]) -> None:
        pilot.app.push_screen(CompareScreen(series=series))
        await until(pilot, lambda: "Capacity A" in _picture(pilot))
        await pilot.press(part)
        await _drawn(pilot, look[1], charted=part in {"t", "n"})

    assert snap_compare(make_app(), terminal_size=look[0], run_before=open_comparison)


@LOOKS
@pytest.mark.parametrize("part", ["f", "t"])
def test_an_analysis(
    make_app: Apps,
    series: list[list[Run]],
    snap_compare: Compare,
    look: tuple[tuple[int, int], str],
    part: str,
) -> None:
    async def open_analysis(pilot: Pilot[Any]) -> None:
        pilot.app.push_screen(AnalysisScreen(analyse(series[1]), 2.0, runs=series[1]))
        await until(pilot, lambda: "Broke" in _picture(pilot))
        await pilot.press(part)
        await _drawn(pilot, look[1], charted=part in {"t", "n"})

    assert snap_compare(make_app(), terminal_size=look[0], run_before=open_analysis)


def test_the_question_before_the_trash(
    make_app: Apps, series: object, snap_compare: Compare
) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        app = pilot.app
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        table = app.screen.query_one(RunList)
        await until(pilot, lambda: len(table.rows) == 20)
        await pilot.press("A", "x")
        await _drawn(pilot, "textual-dark")

    assert snap_compare(make_app(), terminal_size=(80, 24), run_before=ask)
