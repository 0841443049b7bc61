"""What charts remember and how they are drawn."""

import math
from itertools import pairwise

import pytest
from textual.app import App, ComposeResult

from console.history import FIGURES, History, Moment, decimate
from console.rendering.drawing import Drawing, Line, axes, round_step, short_names, value_near
from console.rendering.plot import Picture, plot
from console.widgets.chart import Chart
from stack.status import ReplicaSample


def moment(second: float, **values: object) -> Moment:
    defaults: dict[str, object] = {"time": second, "samples": {}}
    return Moment(**(defaults | values))  # type: ignore[arg-type]


def text_of(picture: Picture) -> list[str]:
    return ["".join(text for text, _ in row) for row in picture.rows]


# --- history ------------------------------------------------------------------------------------


def test_history_counts_back_from_now_and_cuts_at_the_window() -> None:
    history = History()
    for second in range(5):
        history.add(moment(100.0 + second, latency=(0.1 * second, None, None)))
    assert history.latency(0, 2.0) == ([-2.0, -1.0, 0.0], pytest.approx([0.2, 0.3, 0.4]))
    assert history.latency(1) == ([], [])
    assert history.span == 4.0


def test_older_seconds_are_thinned_out_and_no_peak_is_lost() -> None:
    history = History(recent=10, older=40)
    peaks = {7: 50.0, 333: 90.0, 801: -3.0}
    for second in range(1000):
        history.add(moment(float(second), latency=(peaks.get(second, 1.0), None, None)))
    times, values = history.latency(0)
    assert len(times) <= 10 + 40 + 64  # recent, older, and what waits to be thinned out
    assert {50.0, 90.0, -3.0} <= set(values)
    assert times[values.index(90.0)] == 333.0 - 999.0
    assert all(one < other for one, other in pairwise(times))
    assert times[-10:] == [float(second) for second in range(-9, 1)]
    assert times[0] < -900


def test_the_oldest_seconds_are_as_fine_as_the_others_that_are_thinned_out() -> None:
    history = History(recent=10, older=40)
    for second in range(5000):
        history.add(moment(float(second), wer=math.sin(second)))
    times, _ = history.wer()
    assert times[0] < -4500
    assert len(times) <= 10 + 40 + 64
    assert max(other - one for one, other in pairwise(times)) < 2 * 5000 / 20


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
    history.add(moment(3.0, wer=0.04))
    times, values = history.wer()
    assert times == [-2.0, 0.0, 0.0]
    assert math.isnan(values[1])


def test_a_gap_stays_one_when_it_is_thinned_out() -> None:
    history = History(recent=4, older=16)
    for second in range(200):
        history.add(moment(float(second), wer=None if 100 <= second < 104 else 0.01))
    assert sum(math.isnan(value) for value in history.wer()[1]) == 1


def test_the_run_begins_with_the_first_step() -> None:
    history = History()
    for second, step in enumerate((0, 0, 1, 1, 2, 2, 0, 0)):
        history.add(moment(float(second), step=step))
    assert history.run_span == 5.0
    history.add(moment(8.0, step=2))  # the next series was not seen from its first step
    assert history.run_span == 0.0
    history.add(moment(9.0, step=1))  # another one at once
    assert history.run_span == 0.0
    assert History().run_span is None


def test_replicas_that_are_gone_are_forgotten_one_day() -> None:
    history = History(recent=5)
    history.add(moment(0.0, samples={"replica-3": ReplicaSample(cpu=0.5)}))
    for second in range(1, 20):
        history.add(moment(50.0 * second, samples={"replica-1": ReplicaSample(cpu=0.5)}))
    assert history.replicas() == ["replica-1"]
    assert history.replica("replica-3", "cpu") == ([], [])
    assert set(FIGURES) <= set(ReplicaSample.model_fields)


def test_decimation_keeps_every_peak_and_gap() -> None:
    times = [float(index) for index in range(3000)]
    values = [0.0] * 3000
    values[1234], values[2777] = 9.0, -9.0
    kept_times, kept = decimate((times, values), 60)
    assert len(kept) <= 120
    assert 9.0 in kept
    assert -9.0 in kept
    assert kept_times == sorted(kept_times)
    assert decimate(([1.0], [2.0]), 60) == ([1.0], [2.0])
    values[2000] = math.nan
    kept_times, kept = decimate((times, values), 60)
    assert 2000.0 in kept_times
    assert sum(math.isnan(value) for value in kept) == 1


# --- drawing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("top", "steps", "expected"),
    [(2.1, 4, 1.0), (0.53, 3, 0.2), (100, 4, 50), (20, 4, 5), (1, 4, 0.5)],
)
def test_axes_have_round_steps(top: float, steps: int, expected: float) -> None:
    assert math.isclose(round_step(top, steps), expected)


def test_counts_have_no_marks_between_whole_numbers() -> None:
    line = Line("1", ([-1.0, 0.0], [0.0, 1.0]))
    drawn = axes(Drawing([line], "", whole=True), width=60, height=14)
    assert [label for _, label in drawn.up] == ["0", "1"]


def test_names_lose_what_they_share() -> None:
    assert short_names(["replica-1", "replica-10"]) == ["1", "10"]
    assert short_names(["p50", "p95"]) == ["p50", "p95"]
    assert short_names(["replica-1"]) == ["replica-1"]
    assert short_names(["replica-1", "other-2"]) == ["replica-1", "other-2"]


def test_lines_that_are_the_same_are_all_seen() -> None:
    points = ([float(-second) for second in range(120, -1, -1)], [1.0] * 121)
    lines = [Line(name, points) for name in ("p50", "p95", "p99")]
    picture = plot(Drawing(lines, "", window=120.0), 80, 12)
    roles = {role for row in picture.rows for text, role in row if role.startswith("line")}
    assert roles == {"line0", "line1", "line2"}
    field = "".join("".join(text for text, _ in row[1:-1]) for row in picture.rows[:-1])
    for sign in "●▲◆":
        assert field.count(sign) >= 3
    legend = "  ".join(text for text, _ in picture.legend)
    assert legend == "● p50 1  ▲ p95 1  ◆ p99 1"


def test_lines_of_hours_have_their_names_at_their_ends() -> None:
    times = [float(-second) for second in range(7200, -1, -1)]
    lines = [Line(name, (times, [(25 - 7 * time) % 50 for time in times])) for name in ("1", "2")]
    rows = text_of(plot(Drawing(lines, "", window=7200.0), 80, 12))
    assert any(row.endswith("●1") for row in rows)
    assert any(row.endswith("▲2") for row in rows)


def test_no_line_crosses_a_gap() -> None:
    times = [-9.0, -8.0, -7.0, -7.0, -2.0, -1.0, 0.0]
    line = Line("p50", (times, [1.0, 1.0, 1.0, math.nan, 1.0, 1.0, 1.0]))
    row = next(row for row in text_of(plot(Drawing([line], ""), 63, 8)) if "⣀" in row or "⠉" in row)
    assert "   " in row.strip().lstrip("1┤").strip()


@pytest.mark.parametrize("width", [20, 40, 62, 80, 246])
@pytest.mark.parametrize("height", [1, 4, 8, 14, 60])
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("count", [1, 8, 20])
def test_every_size_is_filled_exactly(width: int, height: int, plain: bool, count: int) -> None:
    times = [float(-second) for second in range(300, -1, -1)]
    lines = [
        Line(f"replica-{number}", (times, [number + math.sin(time / 9) for time in times]))
        for number in range(1, count + 1)
    ]
    drawing = Drawing(lines, "", limit=("SLO p95", 2.0), window=300.0, now=1_770_000_000.0)
    for cursor in (None, -100.0):
        picture = plot(drawing, width, height, plain=plain, cursor=cursor)
        rows = text_of(picture)
        assert len(rows) == height
        assert all(len(row) <= width for row in rows)
        if plain:
            assert all(row.isascii() for row in rows)
            assert all(text.isascii() for text, _ in picture.legend)


def test_the_legend_of_eight_replicas_is_whole() -> None:
    lines = [Line(f"replica-{number}", ([-1.0, 0.0], [123.0, 123.0])) for number in range(1, 9)]
    for width in (40, 62, 140):
        picture = plot(Drawing(lines, ""), width, 12)
        words = [*picture.legend, *(run for row in picture.rows[-3:] for run in row)]
        text = " ".join(word for word, _ in words)
        assert all(f"{number} 123" in text for number in range(1, 9))


def test_twenty_lines_have_twenty_different_pairs_of_colour_and_sign() -> None:
    lines = [Line(f"replica-{number}", ([-1.0, 0.0], [1.0, 1.0])) for number in range(1, 21)]
    picture = plot(Drawing(lines, ""), 250, 40)
    pairs = {(words[0], int(role[4:]) % 8) for words, role in picture.legend}
    assert len(pairs) == 20


def test_the_cursor_tells_values_and_the_time() -> None:
    times = [float(-second) for second in range(60, -1, -1)]
    lines = [
        Line("p50", (times, [0.1] * 61)),
        Line("p95", (times[:10], [0.5] * 10)),
    ]
    drawing = Drawing(lines, "", now=1_770_000_060.0)
    picture = plot(drawing, 80, 12, cursor=-55.0)
    words = [text for text, _ in picture.legend]
    assert words[0].endswith(", 55 s ago")
    assert words[1:] == ["● p50 0.1", "▲ p95 0.5"]
    column = picture.first + round(5 / 60 * (picture.columns - 1))
    assert all(row[column] == "│" for row in text_of(picture)[:3])
    assert picture.value_at(column) == pytest.approx(-55.0, abs=0.6)
    words = [text for text, _ in plot(drawing, 80, 12, cursor=-20.0).legend]
    assert words[1:] == ["● p50 0.1", "▲ p95 –"]


def test_no_value_is_read_off_in_a_gap() -> None:
    points = ([0.0, 1.0, 9.0, 9.0], [5.0, 6.0, math.nan, 7.0])
    assert value_near(points, 9.0, 1.0) == 7.0
    assert value_near(points, 0.4, 1.0) == 5.0
    assert value_near(points, 5.0, 1.0) is None
    assert value_near(([], []), 5.0, 1.0) is None


# --- the widget -----------------------------------------------------------------------------------


class ChartApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Chart("latency, s", id="chart")


async def test_a_chart_without_data_says_what_to_do() -> None:
    app = ChartApp()
    async with app.run_test(size=(60, 16)) as pilot:
        chart = app.query_one(Chart)
        chart.show(Drawing(lines=[Line("p50", ([], []))], empty="Press l [now]."))
        chart.redraw()
        await pilot.pause()
        assert "Press&#160;l&#160;[now]." in app.export_screenshot()
        points = ([-2.0, -1.0, 0.0], [0.1, 0.4, 0.2])
        chart.show(Drawing([Line("p50", points)], empty="", limit=("SLO p95", 0.5)))
        assert chart.stale
        chart.redraw()
        await pilot.pause()
        assert not chart.stale
        assert "p50 0.2" in str(chart.border_subtitle)
        assert "SLO p95 0.5" in str(chart.border_subtitle)
        picture = app.export_screenshot()
        assert "now" in picture
        assert "Press" not in picture
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        assert chart.stale


async def test_a_replica_that_is_gone_leaves_the_legend_but_not_the_chart() -> None:
    app = ChartApp()
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


async def test_another_theme_changes_the_colours() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        chart = app.query_one(Chart)
        chart.show(Drawing([Line("p50", ([-2.0, 0.0], [0.1, 0.4]))], empty=""))
        chart.redraw()
        await pilot.pause()
        dark = str(chart.border_subtitle)
        app.theme = "textual-light"
        await pilot.pause()
        chart.redraw()
        await pilot.pause()
        assert str(chart.border_subtitle) != dark


async def test_only_rows_that_changed_are_drawn_anew_and_none_is_left_old() -> None:
    app = ChartApp()
    async with app.run_test(size=(80, 20)) as pilot:
        chart = app.query_one(Chart)
        times = [float(-second) for second in range(60, -1, -1)]
        for value in (3.0, 1.0, 2.0):
            # The last value stays: else the words in the border change, and with them all is drawn.
            values = [value] * 60 + [2.0]
            chart.show(Drawing([Line("1", (times, values))], "", lowest_top=3.0))
            chart.redraw()
            await pilot.pause()
            strips = chart.render_lines(chart.outer_size.region)
            rows = [strip.text[1:-1] for strip in strips[1:-1]]
            picture = chart.picture
            assert picture is not None
            assert rows == [row.ljust(chart.size.width) for row in text_of(picture)]
