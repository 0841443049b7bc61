"""The list of saved runs: finding, marking, naming and throwing away; what goes wrong meanwhile."""

import html
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.console import running, until
from support.load import FakeController
from support.runs import client_result, example_run
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import WhisperctlApp
from console.screens.analysis import AnalysisScreen
from console.screens.compare import CompareScreen
from console.screens.dialogs import Question
from console.screens.run_dialogs import WordsDialog
from console.screens.runs import RunsScreen
from console.widgets.run_list import RunList
from console.widgets.run_pane import RunPane
from loadtest.rest.plan import RestKind, RestPlan
from loadtest.rest.report import RestReport, RestStatus
from loadtest.rest.store import RestStore
from loadtest.runfile import Run
from loadtest.store import RunStore, read_run

Apps = Callable[..., WhisperctlApp]


def picture(app: WhisperctlApp) -> str:
    return html.unescape(app.export_screenshot()).replace("\xa0", " ")


def made(
    number: int, *, clients: int = 2, series: str = "series_a", label: str = "", factor: float = 1.0
) -> Run:
    samples = [factor * (0.2 + 0.002 * index) for index in range(60)]
    results = [
        client_result(index, latency_samples=samples, replica=f"replica-{index % 2 + 1}")
        for index in range(clients)
    ]
    run = example_run(
        f"run_{number}",
        clients=clients,
        created=datetime(2026, 1, 1, 0, number // 60, number % 60, tzinfo=UTC),
        results=results,
        label=label,
        stack={"replica": {"model": "tiny.en"}},
    )
    run.series_id = series
    run.timeline = FakeController.rows(seconds=10, clients=clients, factor=factor)
    return run


@pytest.fixture
def store(results: RunStore) -> RunStore:
    """Two series, the second newer, and one run alone."""
    for path in results.directory.glob("*.json"):
        path.unlink()
    for number, clients in enumerate((2, 4, 8)):
        results.save(made(number, clients=clients, label="before", factor=(1, 2, 9)[number]))
    for number, clients in enumerate((2, 4), start=10):
        results.save(made(number, clients=clients, series="series_b", label="after [x]"))
    results.save(made(20, series="series_c", label="alone"))
    return results


def said(app: WhisperctlApp, sentence: str) -> bool:
    """Tell whether something was said that holds this."""
    return any(sentence in one.message for one in app._notifications)


async def opened(pilot: Pilot[None], app: WhisperctlApp, lines: int) -> RunList:
    await pilot.press("3")
    await until(pilot, lambda: isinstance(app.screen, RunsScreen))
    table = app.screen.query_one(RunList)
    await until(pilot, lambda: len(table.rows) == lines)
    return table


def names(table: RunList) -> list[str]:
    return [
        row.entry.run_id or row.entry.path.name if row.entry else row.series for row in table.rows
    ]


def here(table: RunList) -> str:
    return names(table)[table.cursor]


async def go_to(pilot: Pilot[None], table: RunList, name: str) -> None:
    await pilot.press("home")
    for _ in range(names(table).index(name)):
        await pilot.press("down")
    assert here(table) == name


async def test_runs_stand_below_their_series_and_can_be_folded(
    make_app: Apps, store: RunStore
) -> None:
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 8)
        assert names(table) == [
            *("run_20", "series_b", "run_11", "run_10"),
            *("series_a", "run_2", "run_1", "run_0"),
        ]
        await go_to(pilot, table, "series_a")
        await until(pilot, lambda: "Capacity: 4 clients" in picture(app))
        await pilot.press("enter")
        assert names(table)[-1] == "series_a"
        await pilot.press("right")
        await go_to(pilot, table, "run_1")
        await pilot.press("left")
        assert (here(table), len(table.rows)) == ("series_a", 5)
        await pilot.press("right", "g")
        assert names(table) == ["run_20", "run_11", "run_10", "run_2", "run_1", "run_0"]


async def test_sorting_goes_round(make_app: Apps, store: RunStore) -> None:
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 8)
        await pilot.press("g", "o")
        assert names(table)[-2:] == ["run_1", "run_2"]  # the slowest last
        await pilot.press("o", "o")
        assert names(table)[0] == "run_2"  # the most clients first
        assert "most clients first" in picture(app)
        await pilot.press("o")
        assert names(table)[0] == "run_20"


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("BEFORE", ["series_a", "run_2", "run_1", "run_0"]),
        ("[x] after", ["series_b", "run_11", "run_10"]),
        ("series_a missed", ["series_a", "run_2"]),
        ("tiny 8990 alone", ["run_20"]),
        ("second try", ["run_20"]),
        ("nothing like it", []),
    ],
)
async def test_a_filter_finds_by_words(
    make_app: Apps, store: RunStore, words: str, left: list[str]
) -> None:
    path = store.path_for("run_20")
    raw = json.loads(path.read_text())
    path.write_text(json.dumps(raw | {"note": "Second try"}))
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 8)
        await pilot.press("slash")
        app.screen.query_one("#finding", Input).value = words
        await until(pilot, lambda: names(table) == left)
        if not left:
            assert "Nothing holds all words" in picture(app)
        await pilot.press("enter")
        assert app.focused is table
        await pilot.press("escape")
        assert len(table.rows) == 8
        assert isinstance(app.screen, RunsScreen)


async def test_marks_outlive_a_filter_and_whole_series_are_compared(
    make_app: Apps, store: RunStore
) -> None:
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 8)
        await go_to(pilot, table, "run_1")
        await pilot.press("A")
        await pilot.press("slash", *"after", "enter")
        await until(pilot, lambda: len(table.rows) == 3)
        assert "3 marked, 3 not shown" in picture(app)
        await pilot.press("home", "space", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: "Capacity A: 4 clients" in picture(app))
        assert "Capacity B: 4 clients or more" in picture(app)
        await pilot.press("n")
        await until(pilot, lambda: "p95 over clients" in picture(app))
        await pilot.press("r")
        await until(pilot, lambda: "Of the runs with 4 clients" in picture(app))
        assert picture(app).count("replica-1") == 2
        await pilot.press("escape", "U")
        assert "marked" not in picture(app)


async def test_a_finished_step_appears_by_itself_and_moves_nothing(
    make_app: Apps, store: RunStore
) -> None:
    for number in range(100, 160):
        store.save(made(number, series=f"series_{number}"))
    app = make_app()
    async with running(app, size=(80, 24)) as pilot:
        table = await opened(pilot, app, 68)
        for _ in range(30):
            await pilot.press("down")
        await pilot.press("space", "up", "up")
        name, seen = here(table), table.cursor - round(table.scroll_y)
        store.save(made(200, series="series_200"))
        await until(pilot, lambda: len(table.rows) == 69)
        assert names(table)[0] == "run_200"
        assert (here(table), table.cursor - round(table.scroll_y)) == (name, seen)
        assert "1 marked" in picture(app)
        store.path_for("run_200").unlink()
        await until(pilot, lambda: len(table.rows) == 68)
        assert (here(table), table.cursor - round(table.scroll_y)) == (name, seen)


async def test_a_label_and_a_note_are_changed(make_app: Apps, store: RunStore) -> None:
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 8)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, WordsDialog))
        app.screen.query_one("#label", Input).value = "büro [/red]"
        app.screen.query_one("#note", Input).value = "after the move"
        await pilot.press("enter")
        await until(pilot, lambda: read_run(store.path_for("run_20")).note == "after the move")
        await until(pilot, lambda: "büro [/red] – after the move" in picture(app))
        await until(pilot, lambda: "Note: after the move" in picture(app))
        # The label of a whole series: each run keeps its note.
        await go_to(pilot, table, "series_a")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, WordsDialog))
        assert not app.screen.query("#note")
        app.screen.query_one("#label", Input).value = "baseline"
        await pilot.press("enter")
        await until(
            pilot,
            lambda: all(read_run(store.path_for(f"run_{n}")).label == "baseline" for n in range(3)),
        )


async def test_the_trash_asks_how_many_and_gives_back(make_app: Apps, store: RunStore) -> None:
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 8)
        await go_to(pilot, table, "run_0")
        await pilot.press("A", "slash", *"after", "enter", "x")
        await until(pilot, lambda: isinstance(app.screen, Question))
        assert "Move 3 runs to the trash? The filter hides 3 of them." in picture(app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert len(store.entries()) == 6
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("y")
        await until(pilot, lambda: len(store.entries()) == 3)
        assert len(list((store.directory / ".trash").iterdir())) == 3
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await pilot.press("escape", "z")
        await until(pilot, lambda: len(store.entries()) == 6)
        await until(pilot, lambda: len(table.rows) == 8)


async def test_the_path_is_copied(make_app: Apps, store: RunStore) -> None:
    app = make_app()
    async with running(app) as pilot:
        await opened(pilot, app, 8)
        await pilot.press("y")
        assert app.clipboard == str(store.path_for("run_20").resolve())


async def test_details_take_the_whole_screen(make_app: Apps, store: RunStore) -> None:
    app = make_app()
    async with running(app, size=(80, 24)) as pilot:
        table = await opened(pilot, app, 8)
        await until(pilot, lambda: "SLO met" in picture(app))
        await pilot.press("enter")
        await until(pilot, lambda: not table.display)
        pane = app.screen.query_one(RunPane)
        assert app.focused is pane
        await pilot.press("end")
        await until(pilot, lambda: "Configuration" in picture(app))
        await pilot.press("escape")
        await until(pilot, lambda: table.display)
        assert app.focused is table


async def test_rest_measurements_are_listed_and_read(make_app: Apps, store: RunStore) -> None:
    plan = RestPlan(
        kind=RestKind.SINGLE,
        url="http://127.0.0.1:9000",
        concurrencies=(1,),
        audio_directory=store.directory,
        label="int8",
    )
    report = RestReport(
        report_id="rest_single_1", status=RestStatus.COMPLETED, configuration=plan, clips=1
    )
    RestStore(store.directory).save(report)
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 9)
        await go_to(pilot, table, "rest_single_1")
        await until(pilot, lambda: "POST http://127.0.0.1:9000" in picture(app))
        assert "REST: single  int8" in picture(app)
        await pilot.press("space", "a")
        assert isinstance(app.screen, RunsScreen)
        assert "marked" not in picture(app)


async def test_a_run_that_vanishes_is_a_sentence(make_app: Apps, store: RunStore) -> None:
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 8)
        await go_to(pilot, table, "run_11")
        # Both before the list can know of it: reading it now fails.
        store.path_for("run_10").unlink()
        await pilot.press("down")
        await until(
            pilot, lambda: "run_10.json is gone" in picture(app) or "run_10" not in names(table)
        )
        await until(pilot, lambda: "run_10" not in names(table))
        await until(pilot, lambda: "SLO" in picture(app))


async def test_comparing_a_run_that_vanished_is_a_sentence(make_app: Apps, store: RunStore) -> None:
    app = make_app()
    async with running(app) as pilot:
        await opened(pilot, app, 8)
        await pilot.press("g", "space", "space")
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        screen.on_screen_suspend()  # the list looks no more
        store.path_for("run_20").unlink()
        await pilot.press("c")
        await until(pilot, lambda: said(app, "run_20.json is gone"))
        assert isinstance(app.screen, RunsScreen)


async def test_a_directory_that_cannot_be_read_is_a_sentence(
    make_app: Apps, tmp_path: Path
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    app = make_app()
    app.store = RunStore(Path("loop"))
    async with running(app) as pilot:
        await pilot.press("3")
        await until(pilot, lambda: "loop is unreadable" in picture(app))
        (tmp_path / "loop").unlink()
        await until(pilot, lambda: "No run in loop yet" in picture(app))


async def test_a_thousand_foreign_files_are_one_line_until_asked_for(
    make_app: Apps, store: RunStore
) -> None:
    for number in range(1000):
        (store.directory / f"foreign_{number:04}.json").write_text("[1, 2]")
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 9)
        await pilot.press("end")
        assert "1,000 files that can't be used" in picture(app)
        await pilot.press("x")
        assert isinstance(app.screen, RunsScreen)
        await pilot.press("right", "down")
        assert len(table.rows) == 1009
        await until(pilot, lambda: "foreign_0000.json is not a whisperctl run" in picture(app))
        assert sum(1 for _ in store.directory.glob("foreign_*.json")) == 1000


async def test_a_list_that_was_read_before_is_not_read_again(
    make_app: Apps, store: RunStore, tmp_path: Path
) -> None:
    RunStore(store.directory, index_directory=tmp_path / "state").entries()
    index = next((tmp_path / "state").iterdir())
    index.write_text(index.read_text().replace('"before"', '"from the index"'))
    app = make_app()
    app.store = RunStore(store.directory, index_directory=tmp_path / "state")
    async with running(app) as pilot:
        await opened(pilot, app, 8)
        assert picture(app).count("from the index") == 4


async def test_an_analysis_is_written_in_every_form(make_app: Apps, store: RunStore) -> None:
    app = make_app()
    async with running(app) as pilot:
        table = await opened(pilot, app, 8)
        await go_to(pilot, table, "series_a")
        for key, suffix in (("m", "md"), ("h", "html"), ("p", "svg")):
            await pilot.press("a")
            await until(pilot, lambda: isinstance(app.screen, AnalysisScreen))
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, Question))
            await pilot.press(key)
            path = store.directory / f"analysis_series_a.{suffix}"
            await until(pilot, path.exists)
            await until(pilot, lambda: isinstance(app.screen, AnalysisScreen))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        text = (store.directory / "analysis_series_a.md").read_text()
        assert text.startswith("## series\\_a before")
        page = (store.directory / "analysis_series_a.html").read_text()
        assert "default-src" in page
        assert "4 clients" in page
        drawn = html.unescape((store.directory / "analysis_series_a.svg").read_text())
        assert "Broke" in drawn
        assert "Export this view" not in drawn.replace("\xa0", " ")
        assert len(table.rows) == 8  # what was exported is no run


async def test_a_comparison_is_written_and_never_over_another(
    make_app: Apps, store: RunStore
) -> None:
    app = make_app()
    async with running(app) as pilot:
        await opened(pilot, app, 8)
        await pilot.press("g", "space", "space", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        for number in (1, 2):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, Question))
            await pilot.press("h")
            again = "" if number == 1 else "_2"
            path = store.directory / f"compare_run_20_run_11{again}.html"
            await until(pilot, path.exists)
            await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        page = path.read_text()
        assert page.startswith("<!doctype html>")
        assert "after [x]" in page
        assert "Latency p95 over the run" in page
        assert "http" not in page.replace("http-equiv", "")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("m")
        path = store.directory / "compare_run_20_run_11.md"
        await until(pilot, path.exists)
        assert "### Sessions per replica" in path.read_text()
        assert not list(store.directory.glob(".*.part"))


async def test_an_export_that_cannot_be_written_is_a_sentence(
    make_app: Apps, store: RunStore
) -> None:
    app = make_app()
    async with running(app) as pilot:
        await opened(pilot, app, 8)
        await pilot.press("g", "space", "space", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        app.store.directory = store.path_for("run_20")  # a file
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("m")
        await until(pilot, lambda: said(app, "can't be written"))


async def test_the_parts_of_a_comparison_are_reached_by_keys(
    make_app: Apps, store: RunStore
) -> None:
    app = make_app()
    async with running(app, size=(80, 24)) as pilot:
        await opened(pilot, app, 8)
        await pilot.press("g", "space", "space", "c")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        for expected in ("time", "replicas", "figures"):
            await pilot.press("tab")
            assert screen.section == expected
        await pilot.press("n")
        assert screen.section == "figures"  # only series have a part over clients
        await pilot.press("p")
        assert screen.section == "time"
        await until(pilot, lambda: "latency p95 over the run" in picture(app))
        await pilot.press("shift+tab")
        assert screen.section == "figures"
