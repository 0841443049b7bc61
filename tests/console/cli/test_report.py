"""``whisperctl report``: one page on a series."""

from pathlib import Path

import pytest
from support.commands import Command
from support.series import gpu_series

from loadtest.store import RunStore


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A results directory with one series."""
    store = RunStore(tmp_path / "results")
    for run in gpu_series():
        store.save(run)
    return store.directory


def test_the_page_is_written_beside_the_runs_and_replaced(run: Command, series: Path) -> None:
    done = run("report", "latest", "--results-dir", series)
    path = series / "report_series_x.html"
    assert (done.code, done.out.strip()) == (0, str(path))
    page = path.read_text()
    assert page.startswith("<!doctype html>")
    assert run("report", "series_x", "--results-dir", series, "--headroom", "0.5").code == 0
    assert path.read_text() != page
    # Nobody takes it for a run.
    assert "report" not in run("runs", "--results-dir", series).out


def test_it_goes_where_it_is_told(run: Command, series: Path, tmp_path: Path) -> None:
    printed = run("report", "run_40", "--results-dir", series, "--output", "-")
    output = tmp_path / "made" / "page.html"
    arguments = ("report", "--results-dir", series, "--output", output)
    assert run(*arguments).code == 0
    assert output.read_text() == printed.out
    again = run(*arguments)
    assert again.code == 1
    assert "--force" in again.err
    assert run(*arguments, "--force").code == 0
    assert not (series / "report_series_x.html").exists()


def test_texts_only_when_asked(run: Command, series: Path) -> None:
    arguments = ("report", "--results-dir", series, "--output", "-")
    assert "delta echo" not in run(*arguments).out
    assert "delta echo" in run(*arguments, "--with-texts").out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing",), 1, "whisperctl runs"),
        (("latest", "--headroom", "2"), 2, "headroom"),
        (("latest", "--output", "/proc/none/page.html"), 1, "can't be written"),
    ],
)
def test_bad_reports_are_a_sentence(
    run: Command, series: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    failed = run("report", *arguments, "--results-dir", series)
    assert failed.code == code
    assert words in failed.err
    assert "Traceback" not in failed.err
