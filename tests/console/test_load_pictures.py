"""How the Load screen looks: its form, and a load in the middle of a step."""

import asyncio
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support.console import at_rest, until
from support.load import FakeController
from support.runs import client_result, header_for
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import WhisperctlApp
from console.screens.load import LoadScreen
from loadtest.events import ClientFinished, ClientReady, Progress
from loadtest.plan import LoadPlan
from loadtest.runfile import Failure, Outcome
from loadtest.watching import ClientText, SessionsSeen, SessionState

Apps = Callable[..., WhisperctlApp]
Compare = Callable[..., bool]
Settle = Callable[[Pilot[Any]], Any]

ALL_SIZES = pytest.mark.parametrize(
    "size", [(80, 24), (140, 45), (250, 70)], ids=["80x24", "140x45", "250x70"]
)
pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures were taken with Python 3.11"
)
SAID = (
    "The harbour was quiet when the last boat came in, and nobody on the quay had expected it "
    "before Thursday. Twenty-five crates stood in the rain, each with a number in white paint."
)
HEARD = (
    "the harbor was quiet when the last boat came in and nobody on the key had had expected it "
    "before thursday. Twenty five crates stood"
)


@pytest.fixture
def app(make_app: Apps, monkeypatch: pytest.MonkeyPatch) -> WhisperctlApp:
    """An app over a running stack, in which no second passes."""
    monkeypatch.setattr("console.app.time.time", lambda: 1_770_000_060.0)
    made = make_app()

    async def sample_nothing() -> None:
        made.live = made.live.with_samples({}, ())

    monkeypatch.setattr(made, "_sample", lambda: made.run_worker(sample_nothing()))
    return made


def form_of(app: WhisperctlApp) -> LoadScreen:
    assert isinstance(app.screen, LoadScreen)
    return app.screen


async def open_form(pilot: Pilot[Any]) -> None:
    app = pilot.app
    assert isinstance(app, WhisperctlApp)
    await until(pilot, lambda: app.live.tick > 0 and app.live.status.ready_replicas == 2)
    await pilot.press("l")
    await until(pilot, lambda: isinstance(app.screen, LoadScreen))
    for field in app.screen.query(Input):
        field.cursor_blink = False
    await until(pilot, lambda: app.screen.query_one("#clients").has_focus)
    await at_rest(pilot)


@ALL_SIZES
def test_load_form(app: WhisperctlApp, snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(app, terminal_size=size, run_before=open_form)


@pytest.mark.parametrize("size", [(80, 24), (140, 45)], ids=["80x24", "140x45"])
def test_load_form_with_problems(
    app: WhisperctlApp, snap_compare: Compare, size: tuple[int, int]
) -> None:
    async def spoil(pilot: Pilot[Any]) -> None:
        await open_form(pilot)
        for name, text in (("clients", "1,x"), ("duration", "soon"), ("url", "http://[nowhere]")):
            app.screen.query_one(f"#{name}", Input).value = text
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=size, run_before=spoil)


def test_load_form_of_a_search_in_a_light_theme(app: WhisperctlApp, snap_compare: Compare) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await open_form(pilot)
        app.theme = "textual-light"
        await pilot.press("tab", "space")
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(140, 45), run_before=ask)


def fill(app: WhisperctlApp, clients: int) -> None:
    """Put sessions in every state on the board."""
    board = app.loading.board
    header = header_for("run_x", clients=clients)
    piece = header.clients[0].pieces[0].model_copy(update={"reference": SAID, "samples": 176_000})
    board.begin([one.model_copy(update={"pieces": (piece,)}) for one in header.clients], 0.1)
    chooser = random.Random(7)
    states: dict[SessionState, list[int]] = {}
    weights = {
        SessionState.TALKING: 12,
        SessionState.FINISHING: 2,
        SessionState.CONNECTING: 1,
        SessionState.WAITING: 1,
    }
    for number in range(clients):
        (state,) = chooser.choices(list(weights), list(weights.values()))
        states.setdefault(state if number else SessionState.TALKING, []).append(number)
    talking = states[SessionState.TALKING]
    for number in talking:
        board.take(
            ClientReady(client_id=number, replica=f"replica-{number % 2 + 1}", connection_time=0.1)
        )
    latency = {number: [0.3 + chooser.random()] for number in talking}
    board.take(Progress(active=clients, audio_sent=1.0, latency=latency))
    lag = {number: chooser.random() * 2 for number in talking} if clients <= 64 else {}
    text = ClientText(client=0, transcript=HEARD, whole=True, heard=7.4, sent=8.1)
    board.take(SessionsSeen(states=states, lag=lag, text=text))
    for number in range(3, clients, 7):
        board.take(ClientFinished(result=client_result(number)))
    for number in range(5, clients, 11):
        failed = client_result(
            number,
            outcome=Outcome.FAILED,
            success=False,
            failure=Failure.TIMEOUT,
            errors=["No SERVER_READY within 30 s."],
        )
        board.take(ClientFinished(result=failed))


def in_the_middle(app: WhisperctlApp, clients: int, monkeypatch: pytest.MonkeyPatch) -> Settle:
    monkeypatch.setattr(FakeController, "hold", asyncio.Event())

    async def settle(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: app.live.tick > 0 and app.live.status.ready_replicas == 2)
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        plan = app.plan.model_copy(update={"clients": (clients, 2 * clients, 4 * clients)})
        app.start_load(LoadPlan.model_validate(plan.model_dump()), elsewhere=False)
        await until(pilot, lambda: app.live.load is not None and app.live.load.elapsed == 12.0)
        fill(app, clients)
        await until(pilot, lambda: "harbor" in app.export_screenshot())
        await at_rest(pilot)

    return settle


@ALL_SIZES
def test_load_running(
    app: WhisperctlApp,
    snap_compare: Compare,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settle = in_the_middle(app, 8, monkeypatch)
    assert snap_compare(app, terminal_size=size, run_before=settle)


@ALL_SIZES
def test_load_running_with_a_thousand(
    app: WhisperctlApp,
    snap_compare: Compare,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settle = in_the_middle(app, 1000, monkeypatch)
    assert snap_compare(app, terminal_size=size, run_before=settle)


def test_load_running_in_a_light_theme(
    app: WhisperctlApp, snap_compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = in_the_middle(app, 30, monkeypatch)

    async def light(pilot: Pilot[Any]) -> None:
        app.theme = "textual-light"
        await settle(pilot)
        await pilot.press("down", "down", "up", "up")
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(140, 45), run_before=light)


@pytest.mark.parametrize("size", [(80, 24), (140, 45)], ids=["80x24", "140x45"])
def test_load_over(app: WhisperctlApp, snap_compare: Compare, size: tuple[int, int]) -> None:
    async def play(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: app.live.tick > 0 and app.live.status.ready_replicas == 2)
        await pilot.press("l")
        await until(pilot, lambda: isinstance(app.screen, LoadScreen))
        await until(pilot, lambda: app.screen.query_one("#clients").has_focus)
        await pilot.press("enter")
        await until(pilot, lambda: app.loading.verdict is not None)
        fill(app, 2)
        for number in range(2):
            result = client_result(number, transcript="Delta golf.", wer=None)
            app.loading.board.take(ClientFinished(result=result))
        await until(pilot, lambda: "golf" in app.export_screenshot())
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=size, run_before=play)


def test_load_saved_plans(app: WhisperctlApp, snap_compare: Compare) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        plans = app.plans
        plans.save("nightly 1-2-4", app.plan, elsewhere=False)
        search = app.plan.model_copy(update={"find_capacity": 60, "label": "how [many]"})
        plans.save("search", search, elsewhere=False)
        (plans.directory / "torn.json").write_text("{")
        await open_form(pilot)
        await pilot.press("ctrl+o")
        await until(pilot, lambda: "nightly" in app.export_screenshot())
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=ask)
