"""How figures are written."""

import pytest

from loadtest.figures import Unit, format_difference, format_figure


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.3456, Unit.SECONDS, "0.346 s"),
        (12.345, Unit.SECONDS, "12.35 s"),
        (123.4, Unit.SECONDS, "123 s"),
        (0.0312, Unit.FRACTION, "3.1 %"),
        (1.5, Unit.CORES, "1.50 cores"),
        (5 * 2**20, Unit.BYTES, "5 MiB"),
        (3.0, Unit.COUNT, "3"),
        (1.25, Unit.RATIO, "1.25×"),
        (None, Unit.SECONDS, "–"),
    ],
)
def test_figures_are_written_in_their_unit(value: float | None, unit: Unit, text: str) -> None:
    assert format_figure(value, unit) == text


def test_no_difference_has_no_minus() -> None:
    assert format_figure(-0.0001, Unit.SECONDS, signed=True) == "+0.000 s"
    assert format_figure(-0.00001, Unit.FRACTION) == "0.0 %"
    assert format_figure(-4096, Unit.BYTES, signed=True) == "+0 MiB"
    assert format_figure(-5 * 2**30, Unit.BYTES, signed=True) == "-5,120 MiB"


def test_a_difference_comes_with_its_interval_in_the_same_unit() -> None:
    assert format_difference(0.12, (0.08, 0.17), Unit.SECONDS) == "+0.120 s [+0.080, +0.170]"
    assert format_difference(-0.015, (-0.02, 0.01), Unit.FRACTION) == "-1.5 % [-2.0, +1.0]"
    assert format_difference(0.12, None, Unit.SECONDS) == "+0.120 s"
    assert format_difference(None, (0.0, 1.0), Unit.SECONDS) == "–"
