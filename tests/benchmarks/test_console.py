"""The console's benchmark runs the real console in a terminal of its own."""

import argparse

import pytest

from benchmarks.console import Cost, measure, size_of, table


@pytest.mark.parametrize("scene", ["idle", "dashboard"])
def test_a_scene_is_measured_in_a_terminal(scene: str) -> None:
    cost = measure(scene, (100, 30), 2.0, warming=2.0)
    assert cost.cpu > 0
    assert cost.written > 0
    assert cost.redraws > 0
    assert 0 < cost.redraw_median <= cost.redraw_most
    assert cost.held_p99 <= cost.held_most


def test_the_table_has_a_row_a_scene() -> None:
    cost = Cost(3, 0.002, 0.004, 0.01, 0.06, 0.02, 0.025, 1234.0)
    rows = table([((140, 45), "idle", cost)]).splitlines()
    assert rows[-1] == (
        "| 140x45 | 4 charts, no load | 3 | 2.0 | 4.0 | 10.0 | 60.0 | 20.0 | 2.5% | 1.2 kB/s |"
    )


def test_sizes_are_read() -> None:
    assert size_of("140x45") == (140, 45)
    with pytest.raises(argparse.ArgumentTypeError, match="not a size"):
        size_of("large")
