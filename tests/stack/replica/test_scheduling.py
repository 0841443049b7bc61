"""Who is heard next."""

import asyncio
import contextlib
import threading
import time

import numpy as np
import pytest

from stack.protocol import SessionOptions
from stack.replica.metrics import Metrics
from stack.replica.scheduler import InferenceThread, Scheduler
from stack.replica.session import Session
from stack.replica.transcriber import Heard, HeardSegment

RATE = 16_000
LOUD = np.sin(np.arange(30 * RATE) * 0.3).astype(np.float32) * 0.3


class Recording:
    """A model that takes a set time and notes whom it heard."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.order: list[str] = []
        self.threads: set[int] = set()

    def transcribe(self, request):
        self.order.append(request.initial_prompt)
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        length = len(request.samples) / RATE
        return Heard((HeardSegment(0, length, " text"),), no_speech=0.0)


@contextlib.asynccontextmanager
async def scheduling(model, min_chunk=1.0):
    thread = InferenceThread()
    scheduler = Scheduler(model, thread, Metrics(), min_chunk=min_chunk)
    running = asyncio.create_task(scheduler.run())
    try:
        yield scheduler
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        thread.stop()


def join(scheduler, name, seconds=0.0, now=None, window=5.0):
    session = Session(SessionOptions(uid=name, initial_prompt=name), window=window, language="en")
    entry = scheduler.add(session, lambda: None)
    if seconds:
        session.add(LOUD[: int(seconds * RATE)], time.monotonic() if now is None else now)
    return session, entry


async def reach(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the state under test has no event
            await asyncio.sleep(0.005)


async def test_oldest_unheard_audio_goes_first_and_all_in_one_thread():
    model = Recording()
    now = time.monotonic()
    async with scheduling(model) as scheduler:
        for name, age in (("young", 1.0), ("old", 5.0), ("middle", 3.0)):
            _, entry = join(scheduler, name, 1.5, now - age)
            scheduler.notify(entry)
        assert scheduler.queue_depth == 3
        await reach(lambda: len(model.order) == 3 and scheduler.queue_depth == 0)
    assert model.order == ["old", "middle", "young"]
    assert len(model.threads) == 1


async def test_a_flush_goes_first_but_not_before_who_waits_long():
    model = Recording()
    now = time.monotonic()
    async with scheduling(model) as scheduler:
        entries = [
            join(scheduler, "waits", 1.5, now - 1.0)[1],
            join(scheduler, "starves", 1.5, now - 9.0)[1],
        ]
        session, entry = join(scheduler, "flush", 0.3, now)
        session.finish()
        for one in (*entries, entry):
            scheduler.notify(one)
        await reach(lambda: session.finished and len(model.order) == 3)
    assert model.order == ["starves", "flush", "waits"]


async def test_a_file_sent_at_once_takes_turns_with_who_talks():
    model = Recording(0.01)
    async with scheduling(model, min_chunk=0.5) as scheduler:
        file, entry = join(scheduler, "file", 25.0, window=2.0)
        file.finish()
        talking, other = join(scheduler, "talk", 0.6)
        scheduler.notify(entry)
        scheduler.notify(other)
        while not file.finished:
            await asyncio.sleep(0.005)
            if talking.unheard < 0.5:
                talking.add(LOUD[: RATE // 2], time.monotonic() - 3)
                scheduler.notify(other)
    assert model.order.count("talk") >= 3


async def test_less_than_a_chunk_waits_and_is_heard_in_the_end():
    model = Recording()
    async with scheduling(model, min_chunk=0.2) as scheduler:
        session, entry = join(scheduler, "short", 0.1)
        scheduler.notify(entry)
        assert scheduler.queue_depth == 0
        await reach(lambda: session.unheard == 0)
    assert model.order == ["short"]


async def test_a_session_that_left_is_not_heard():
    model = Recording()
    async with scheduling(model) as scheduler:
        _, gone = join(scheduler, "gone", 2.0)
        scheduler.remove(gone)
        scheduler.remove(gone)
        session, entry = join(scheduler, "here", 2.0)
        scheduler.notify(entry)
        await reach(lambda: session.unheard == 0)
    assert model.order == ["here"]


async def test_sessions_are_heard_evenly_under_load():
    """The interval stretches when the model can't keep up, and no session starves."""
    model = Recording(0.01)
    async with scheduling(model, min_chunk=0.05) as scheduler:
        joined = [join(scheduler, f"s{index}", window=30) for index in range(6)]
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            for session, entry in joined:
                if session.received < 25:
                    session.add(LOUD[: RATE // 10], time.monotonic())
                    scheduler.notify(entry)
            await asyncio.sleep(0.02)
    counts = [model.order.count(f"s{index}") for index in range(6)]
    assert min(counts) >= 2
    assert max(counts) - min(counts) <= 2


async def test_the_thread_hands_over_results_and_exceptions():
    thread = InferenceThread()
    assert await thread.call(lambda number: number + 1, 4) == 5
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 / 0)
    cancelled = asyncio.create_task(thread.call(time.sleep, 0.05))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    assert await thread.call(lambda: "next") == "next"
    thread.stop()
