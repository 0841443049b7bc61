"""What charts remember and how they are drawn."""

import math

import pytest
from textual.app import App, ComposeResult

from console.history import History, Moment, decimate
from console.widgets.chart import Chart, Drawing, Line, _round_step
from stack.status import ReplicaSample


def moment(second: float, **values: object) -> Moment:
    defaults: dict[str, object] = {"time": second, "samples": {}}
    return Moment(**(defaults | values))  # type: ignore[arg-type]


def test_history_is_bounded_and_counts_back_from_now() -> None:
    history = History(window=3)
    for second in range(5):
        history.add(moment(100.0 + second, latency=(0.1 * second, None, None)))
    assert len(history) == 3
    assert history.latency(0) == ([-2.0, -1.0, 0.0], pytest.approx([0.2, 0.3, 0.4]))
    assert history.latency(1) == ([], [])


def test_what_is_unknown_leaves_a_gap() -> None:
    history = History()
    history.add(moment(1.0, samples={"replica-2": ReplicaSample(cpu=0.5)}, wer=0.02))
    history.add(moment(2.0, samples={"replica-2": ReplicaSample(), "replica-10": ReplicaSample()}))
    assert history.replicas() == ["replica-2", "replica-10"]
    assert history.replica("replica-2", "cpu", 100.0) == ([-1.0], [50.0])
    assert history.replica("replica-10", "cpu") == ([], [])
    assert history.wer() == ([-1.0], [2.0])
    assert history.knows("cpu")
    assert not history.knows("gpu_memory")
    assert History().wer() == ([], [])


def test_decimation_keeps_every_peak() -> None:
    times = [float(index) for index in range(3000)]
    values = [0.0] * 3000
    values[1234], values[2777] = 9.0, -9.0
    kept_times, kept = decimate((times, values), 60)
    assert len(kept) <= 120
    assert 9.0 in kept
    assert -9.0 in kept
    assert kept_times == sorted(kept_times)
    assert decimate(([1.0], [2.0]), 60) == ([1.0], [2.0])


@pytest.mark.parametrize(
    ("top", "steps", "expected"),
    [(2.1, 4, 1.0), (0.53, 3, 0.2), (100, 4, 50), (20, 4, 5), (1, 4, 0.5)],
)
def test_axes_have_round_steps(top: float, steps: int, expected: float) -> None:
    assert math.isclose(_round_step(top, steps), expected)


class ChartApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Chart("latency, s", id="chart")


async def test_a_chart_without_data_says_what_to_do() -> None:
    app = ChartApp()
    async with app.run_test(size=(60, 16)) as pilot:
        chart = app.query_one(Chart)
        chart.show(Drawing(lines=[Line("p50", ([], []))], empty="press l"))
        chart.redraw()
        await pilot.pause()
        assert "press" in app.export_screenshot()
        points = ([-2.0, -1.0, 0.0], [0.1, 0.4, 0.2])
        chart.show(Drawing([Line("p50", points)], empty="", limit=("SLO p95", 0.5)))
        assert chart.stale
        chart.redraw()
        await pilot.pause()
        # The plot had no size before it was shown: it is drawn for the one it has now.
        assert chart.stale
        chart.redraw()
        await pilot.pause()
        assert not chart.stale
        assert "p50 0.2" in str(chart.border_subtitle)
        assert "SLO p95 0.5" in str(chart.border_subtitle)
        picture = app.export_screenshot()
        assert "now" in picture
        assert "press" not in picture


async def test_a_replica_that_is_gone_leaves_the_legend_but_not_the_chart() -> None:
    class Host(App[None]):
        def compose(self) -> ComposeResult:
            yield Chart("sessions", id="chart")

    app = Host()
    async with app.run_test(size=(80, 20)) as pilot:
        chart = app.query_one(Chart)
        there = Line("replica-1", ([-20.0, -10.0, 0.0], [1.0, 2.0, 3.0]))
        gone = Line("replica-2", ([-20.0, -10.0], [4.0, 5.0]))
        chart.show(Drawing(lines=[there, gone], empty=""))
        chart.redraw()
        await pilot.pause()
        assert "replica-1 3" in str(chart.border_subtitle)
        assert "replica-2" not in str(chart.border_subtitle)
        # Of a run that is over, all lines have their names.
        chart.show(Drawing(lines=[gone], empty="", since=True))
        chart.redraw()
        assert "replica-2 5" in str(chart.border_subtitle)
