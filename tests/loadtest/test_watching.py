"""Sessions seen while they run, through real generator processes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from support.runs import header_for

from loadtest.calibration.sink import Sink, serving
from loadtest.controller import LoadController
from loadtest.elsewhere import running_steps
from loadtest.events import ClientReady, LoadEvent, StepFinished, StepProgress
from loadtest.plan import LoadPlan
from loadtest.sessions import SessionBoard, said
from loadtest.watching import (
    LONGEST_WATCH_LINE,
    MAX_TEXT,
    ClientText,
    SessionsSeen,
    SessionState,
    WatchOrder,
    read_watch,
)

Plans = Callable[..., LoadPlan]


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with serving(Sink(delay=0.25, step=0.5)) as server:
        yield server


class Memory(SessionBoard):
    """A board that remembers what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[int, list[SessionState]] = {}
        self.texts: list[ClientText] = []
        self.lags: set[int] = set()

    def take(self, event: object) -> None:
        super().take(event)  # type: ignore[arg-type]
        for line in self.lines:
            seen = self.states.setdefault(line.client, [])
            if not seen or seen[-1] is not line.state:
                seen.append(line.state)
        if isinstance(event, SessionsSeen):
            self.lags |= set(event.lag)
            if event.text is not None:
                self.texts.append(event.text)


async def play(controller: LoadController) -> list[LoadEvent]:
    async with aclosing(controller.run()) as events:
        return [event async for event in events]


async def test_every_session_is_followed_and_one_is_read(make_plan: Plans, sink: Sink) -> None:
    controller = LoadController(make_plan(clients=(4,), port=sink.port, duration=3.0, ramp=2.0))
    controller.board = board = Memory()
    controller.watch(WatchOrder(sessions=True, client=2))
    events = await play(controller)
    (run,) = [event.run for event in events if isinstance(event, StepFinished)]
    for states in board.states.values():
        assert SessionState.TALKING in states
        assert states[-1] is SessionState.DONE
    assert board.states[3][0] is SessionState.WAITING
    assert board.counts()[SessionState.DONE] == 4
    # The text of the one that was asked for, growing, and of no other.
    assert {text.client for text in board.texts} == {2}
    heard = [text.heard for text in board.texts]
    assert heard == sorted(heard)
    assert len(set(heard)) > 2
    assert board.lags == {0, 1, 2, 3}
    text = board.text(2)
    assert text is not None
    assert (text.transcript, text.reference) == (
        run.clients[2].transcript,
        run.clients[2].reference,
    )
    assert text.over
    # What was shown is in no file: a run with a viewer is a run without one.
    assert "sessions_seen" not in run.model_dump_json()


async def test_nobody_is_told_what_nobody_asked_for(make_plan: Plans, sink: Sink) -> None:
    controller = LoadController(make_plan(clients=(2,), port=sink.port, duration=2.0))
    controller.board = board = Memory()
    await play(controller)
    assert not board.lags
    assert not board.texts
    # But who was let in, and how it ended, is told anyway.
    assert board.states[1][-2:] == [SessionState.TALKING, SessionState.DONE]


async def test_another_client_can_be_chosen_in_the_middle(make_plan: Plans, sink: Sink) -> None:
    controller = LoadController(make_plan(clients=(2,), port=sink.port, duration=4.0))
    controller.board = board = Memory()
    controller.watch(WatchOrder(sessions=True, client=0))
    async with aclosing(controller.run()) as events:
        async for event in events:
            if isinstance(event, StepProgress) and event.elapsed >= 2:
                controller.watch(WatchOrder(client=1))
    assert [text.client for text in board.texts] == sorted(text.client for text in board.texts)
    assert {text.client for text in board.texts} == {0, 1}


async def test_a_step_that_is_stopped_cuts_sessions_off(make_plan: Plans, sink: Sink) -> None:
    controller = LoadController(make_plan(clients=(2,), port=sink.port, duration=30.0))
    controller.board = board = Memory()
    controller.watch(WatchOrder(sessions=True))
    async with aclosing(controller.run()) as events:
        async for event in events:
            if isinstance(event, StepProgress):
                controller.stop()
    assert board.counts()[SessionState.CUT_OFF] == 2


async def test_a_step_of_another_process_is_known_from_its_journal(
    make_plan: Plans, sink: Sink
) -> None:
    plan = make_plan(clients=(2,), port=sink.port, duration=4.0, label="of [another]")
    seen = []
    run_id = ""
    async with aclosing(LoadController(plan).run()) as events:
        async for event in events:
            if isinstance(event, StepProgress):
                (step,) = await asyncio.to_thread(running_steps, plan.results_directory)
                seen.append(step)
                run_id = step.run_id
                own = frozenset({run_id})
                assert not await asyncio.to_thread(running_steps, plan.results_directory, own=own)
    assert (seen[0].clients, seen[0].step, seen[0].steps) == (2, 1, 1)
    assert seen[0].label == "of [another]"
    assert seen[0].address == f"127.0.0.1:{sink.port}"
    assert seen[-1].row is not None
    assert seen[-1].row.time > 1
    assert running_steps(plan.results_directory) == []


def test_a_dead_or_broken_journal_is_no_running_step(tmp_path: Path) -> None:
    (tmp_path / "run_x.json.journal").write_bytes(b"{\n")
    assert running_steps(tmp_path) == []
    assert running_steps(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    "line",
    [
        b"stop\n",
        b"watch\n",
        b"watch {\n",
        b'watch {"client": -1}\n',
        b'watch {"client": 1, "more": 2}\n',
        b"watch " + b" " * LONGEST_WATCH_LINE + b"{}\n",
    ],
)
def test_what_is_no_order_is_none(line: bytes) -> None:
    assert read_watch(line) is None


def test_an_order_is_read_as_it_was_written() -> None:
    order = WatchOrder(sessions=True, client=99_999)
    assert read_watch(order.line()) == order
    assert len(order.line()) < LONGEST_WATCH_LINE


def test_a_board_leaves_alone_what_is_of_no_session() -> None:
    board = SessionBoard()
    header = header_for("run_x", clients=2)
    board.begin(header.clients, 0.1)
    board.take(ClientReady(client_id=7, replica="replica-1", connection_time=0.1))
    board.take(SessionsSeen(states={SessionState.TALKING: [1, 9]}, lag={9: 1.0}))
    assert [line.state for line in board.lines] == [SessionState.WAITING, SessionState.TALKING]
    assert board.text(5) is None
    unheard = board.text(0)
    assert unheard is not None
    assert (unheard.transcript, unheard.reference, unheard.over) == ("", "Delta echo.", False)
    board.take(
        SessionsSeen(
            text=ClientText(client=1, transcript="x" * MAX_TEXT, whole=False, heard=1.0, sent=2.0)
        )
    )
    shown = board.text(1)
    assert shown is not None
    assert not shown.whole


def test_what_a_client_says_has_its_words_where_they_are_said(make_plan: Plans) -> None:
    (assignment,) = header_for("run_x").clients
    first = assignment.pieces[0].model_copy(update={"word_ends": (0.5, 1.0)})
    second = first.model_copy(update={"silence_before": 0.5})
    both = assignment.model_copy(update={"pieces": (first, second)})
    assert said(both, 0.1) == ("Delta echo. Delta echo.", (0.5, 1.0, 3.0, 3.5))
    silent = first.model_copy(update={"reference": None})
    assert said(assignment.model_copy(update={"pieces": (first, silent)}), 0.1) == (None, None)
