"""Axes, and what of many values is drawn."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.figures import Unit
from loadtest.report.scale import (
    Scale,
    apart,
    axis,
    count_axis,
    known,
    log_axis,
    shortened,
    text_width,
    time_axis,
    visible,
)


@pytest.mark.parametrize(
    ("values", "unit", "labels"),
    [
        ([0.3, 1.9], Unit.SECONDS, ("0.0 s", "0.5 s", "1.0 s", "1.5 s", "2.0 s")),
        ([0.017], Unit.SECONDS, ("0 ms", "5 ms", "10 ms", "15 ms", "20 ms")),
        ([0.048], Unit.FRACTION, ("0 %", "1 %", "2 %", "3 %", "4 %", "5 %")),
        ([3], Unit.COUNT, ("0", "1", "2", "3")),
        ([0], Unit.COUNT, ("0", "1")),
        ([], Unit.FRACTION, ("0.0 %", "0.2 %", "0.4 %", "0.6 %", "0.8 %", "1.0 %")),
        ([300 * 2**20], Unit.BYTES, ("0 MiB", "100 MiB", "200 MiB", "300 MiB")),
        ([7 * 2**30], Unit.BYTES, ("0 GiB", "2 GiB", "4 GiB", "6 GiB", "8 GiB")),
        ([1700], Unit.COUNT, ("0", "500", "1,000", "1,500", "2,000")),
        ([-0.2, 0.9], Unit.SECONDS, ("-0.5 s", "0.0 s", "0.5 s", "1.0 s")),
    ],
)
def test_axes_begin_at_zero_and_end_at_round_numbers(
    values: list[float], unit: Unit, labels: tuple[str, ...]
) -> None:
    assert axis(values, unit).labels == labels


@given(
    st.lists(st.floats(min_value=-1e15, max_value=1e15), max_size=5),
    st.sampled_from(list(Unit)),
    st.integers(2, 10),
)
def test_an_axis_holds_zero_and_every_value_with_few_ticks(
    values: list[float], unit: Unit, most: int
) -> None:
    found = axis(values, unit, most=most)
    slack = 1e-6 * (found.high - found.low)
    assert all(found.low - slack <= value <= found.high + slack for value in [0.0, *values])
    assert 2 <= len(found.ticks) <= most + 3
    assert list(found.ticks) == sorted(set(found.ticks))
    assert found.high > found.low


@pytest.mark.parametrize(
    ("end", "first", "last", "high"),
    [
        (0.0, "0.0 s", "1.0 s", 1.0),
        (12.6, "0 s", "10 s", 12.6),
        (1000.0, "0 min", "15 min", 1000.0),
        (86400.0, "0 h", "20 h", 86400.0),
    ],
)
def test_time_is_written_in_what_suits_it(end: float, first: str, last: str, high: float) -> None:
    found = time_axis(end)
    assert (found.labels[0], found.labels[-1], found.high) == (first, last, high)
    assert found.ticks[-1] <= found.high


def test_a_logarithmic_axis_holds_everything_in_four_decades() -> None:
    found = log_axis([0.05, 0.3, 16.0])
    assert found.log
    assert found.low <= 0.05
    assert found.high == pytest.approx(20)
    assert "10 s" in found.labels
    scale = found.scale(0, 100)
    assert scale.at(16.0) < 100
    # What no logarithm has stands at the beginning.
    assert scale.at(0.0) == scale.at(-1.0) == 0
    assert log_axis([1e-12, 10.0]).low >= 0.5e-3


@given(st.lists(st.floats(min_value=1e-9, max_value=1e15), min_size=1, max_size=5))
def test_a_logarithmic_axis_ends_beyond_the_largest(values: list[float]) -> None:
    found = log_axis(values)
    assert found.low < found.high
    assert found.high >= max(values) * (1 - 1e-9)
    assert 1 <= len(found.ticks) <= 10


def test_labels_of_client_counts_do_not_overlap() -> None:
    found = count_axis(range(1, 201), 350.0, always=[137])
    scale = found.scale(0, 350.0)
    places = [
        (scale.at(tick), label)
        for tick, label in zip(found.ticks, found.labels, strict=True)
        if label
    ]
    assert {"1", "137", "200"} <= {label for _, label in places}
    for (left, one), (right, other) in pairwise(places):
        assert right - left > (text_width(one) + text_width(other)) / 2
    assert len(found.ticks) == 200
    alone = count_axis([7], 350.0)
    assert alone.scale(0, 100).at(7) == 50


def test_extremes_survive_when_many_points_become_few() -> None:
    points = [(float(place), math.sin(place / 500)) for place in range(100_000)]
    points[31_416] = (31_416.0, 9.0)
    points[77_777] = (77_777.0, -9.0)
    (piece,) = visible(points, Scale(0, 100_000, 0, 300))
    assert len(piece) <= 2 * 301
    assert (31_416.0, 9.0) in piece
    assert (77_777.0, -9.0) in piece
    assert [place for place, _ in piece] == sorted(place for place, _ in piece)


def test_gaps_stay_gaps_and_a_lonely_point_stays() -> None:
    points = [(0, 1.0), (1, 2.0), (2, None), (3, 5.0), (4, None), (5, None), (6, 1.0), (7, 1.0)]
    assert visible(points, Scale(0, 7, 0, 700)) == [
        [(0, 1.0), (1, 2.0)],
        [(3, 5.0)],
        [(6, 1.0), (7, 1.0)],
    ]
    assert visible([(0, None)], Scale(0, 7, 0, 700)) == []


def test_gaps_too_narrow_to_be_seen_do_not_make_it_large() -> None:
    points = [(float(place), 1.0 if place % 2 else None) for place in range(100_000)]
    pieces = visible(points, Scale(0, 100_000, 0, 200))
    assert sum(len(piece) for piece in pieces) <= 2 * 201


@pytest.mark.parametrize(
    ("value", "drawn"),
    [(1, 1.0), (None, None), (math.nan, None), (math.inf, None), (10**400, None), (1e16, None)],
)
def test_what_cannot_be_drawn_is_not_known(value: float | None, drawn: float | None) -> None:
    assert known(value) == drawn


@given(st.text(max_size=400), st.floats(min_value=40, max_value=200))
def test_names_fit(name: str, room: float) -> None:
    assert text_width(shortened(name, room)) <= room


def test_what_tells_names_apart_is_kept() -> None:
    names = [shortened(f"replica-of-a-very-long-name-{number}", 100) for number in (1, 2)]
    assert names[0] != names[1]
    assert names[0].startswith("repl")


@given(st.lists(st.floats(min_value=0, max_value=200), max_size=15).map(sorted))
def test_names_at_the_side_do_not_overlap(wanted: list[float]) -> None:
    places = apart(wanted, 13, 0, 200)
    assert all(place >= 0 for place in places)
    for one, other in pairwise(places):
        assert other - one >= 13 - 1e-6
    assert places == [] or places[-1] <= max(200, 13 * (len(places) - 1)) + 1e-6
