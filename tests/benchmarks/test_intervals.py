"""The simulation behind the table of intervals."""

import sys

import pytest

from benchmarks import intervals


def test_every_row_of_the_table_is_simulated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["intervals", "--repetitions", "5", "--sessions", "5", "6"])
    intervals.main()
    lines = capsys.readouterr().out.splitlines()[1:]
    assert len(lines) == 2 * 7
    for line in lines:
        shares = line.partition("x1.")[2].partition("samples")[0].split()[1:]
        figures = [float(share) for share in shares]
        assert len(figures) == (1 if "WER" in line else 3)
        assert all(0 <= figure <= 100 for figure in figures)


def test_a_factor_is_a_true_difference() -> None:
    # With twenty sessions nearly every interval holds a true difference as large as their own.
    missed = intervals.latencies(20, intervals.even, 1.5, 40, paired=False).split()[0]
    assert float(missed) < 30
