"""Who is heard next."""

import asyncio
import contextlib
import threading
import time

import numpy as np
import pytest

from stack.protocol import SessionOptions
from stack.replica.hearing import Heard, HeardSegment
from stack.replica.inference import InferenceThread
from stack.replica.metrics import Metrics
from stack.replica.scheduler import Pace, Priority, Scheduler
from stack.replica.session import Session

RATE = 16_000
LOUD = np.sin(np.arange(30 * RATE) * 0.3).astype(np.float32) * 0.3


class Recording:
    """A model that takes a set time and notes whom it heard."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()

    def transcribe(self, requests):
        self.batches.append([request.hotwords for request in requests])
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds)
        segments = [HeardSegment(0, request.seconds, " text") for request in requests]
        return [Heard((one,), no_speech=0.0, batch=len(segments)) for one in segments]

    @property
    def order(self):
        return [name for batch in self.batches for name in batch]


@contextlib.asynccontextmanager
async def scheduling(model, min_chunk=1.0, max_batch=1, idle_chunk=60.0, **pace):
    thread = InferenceThread()
    pace = Pace(min_chunk=min_chunk, max_batch=max_batch, idle_chunk=idle_chunk, **pace)
    scheduler = Scheduler(model, thread, Metrics(), pace)
    running = asyncio.create_task(scheduler.run())
    try:
        yield scheduler
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        thread.stop()


def join(scheduler, name, seconds=0.0, now=None, *, window=5.0, length=0, **options):
    given = SessionOptions(uid=name, hotwords=name)
    session = Session(given, window=window, language="en", prompt_length=length)
    entry = scheduler.add(session, lambda: None, **options)
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


async def test_due_sessions_share_a_call():
    model = Recording()
    now = time.monotonic()
    async with scheduling(model, max_batch=3) as scheduler:
        joined = [join(scheduler, f"s{index}", 1.5, now - 9 + index) for index in range(5)]
        for _, entry in joined:
            scheduler.notify(entry)
        await reach(lambda: len(model.order) == 5)
    assert model.batches == [["s0", "s1", "s2"], ["s3", "s4"]]


async def test_only_what_one_call_can_take_is_batched():
    model = Recording()
    now = time.monotonic()
    async with scheduling(model, max_batch=8) as scheduler:
        for index, length in enumerate((0, 5, 0, 5)):
            _, entry = join(scheduler, f"s{index}", 1.5, now - 9 + index, length=length)
            scheduler.notify(entry)
        await reach(lambda: len(model.order) == 4)
    assert model.batches == [["s0", "s2"], ["s1", "s3"]]


async def test_a_call_is_held_back_to_fill_but_not_for_long():
    model = Recording()
    async with scheduling(model, max_batch=2, max_wait=0.3) as scheduler:
        begun = time.monotonic()
        _, first = join(scheduler, "first", 1.5)
        second, other = join(scheduler, "second")
        scheduler.notify(first)
        await asyncio.sleep(0.05)
        assert model.batches == []
        second.add(LOUD[: 2 * RATE], time.monotonic())
        scheduler.notify(other)
        await reach(lambda: model.batches)
        assert time.monotonic() - begun < 0.3
        assert model.batches == [["first", "second"]]
        second.add(LOUD[: 2 * RATE], time.monotonic())
        begun = time.monotonic()
        scheduler.notify(other)
        await reach(lambda: len(model.batches) == 2)
        assert time.monotonic() - begun >= 0.25, "the other may still come"


async def test_live_sessions_come_before_files():
    model = Recording(0.01)
    async with scheduling(model, min_chunk=0.1) as scheduler:
        file, entry = join(scheduler, "file", 25.0, window=1.0, priority=Priority.BATCH)
        file.finish()
        talking, other = join(scheduler, "talk")
        scheduler.notify(entry)
        await reach(lambda: len(model.order) > 2)
        assert set(model.order) == {"file"}, "it need not wait for nobody"
        for _ in range(5):
            behind = len(model.order)
            talking.add(LOUD[: RATE // 5], time.monotonic())
            scheduler.notify(other)
            await reach(lambda: talking.unheard == 0)
            # One pass of the file was under way at most.
            assert "talk" in model.order[behind : behind + 2]


async def test_a_file_goes_on_under_endless_live_load(monkeypatch):
    monkeypatch.setattr("stack.replica.scheduler.BATCH_PATIENCE", 0.2)
    model = Recording(0.005)
    async with scheduling(model, min_chunk=0.01) as scheduler:
        file, entry = join(scheduler, "file", 3.0, window=1.0, priority=Priority.BATCH)
        file.finish()
        scheduler.notify(entry)
        talking = [join(scheduler, f"talk{index}", window=30) for index in range(4)]
        end = time.monotonic() + 20
        while not file.finished and time.monotonic() < end:
            for session, other in talking:
                session.add(LOUD[: RATE // 50], time.monotonic())
                scheduler.notify(other)
            await asyncio.sleep(0.005)
    assert file.finished


async def test_silence_takes_no_turn():
    model = Recording()
    async with scheduling(model) as scheduler:
        session, entry = join(scheduler, "quiet")
        session.add(np.zeros(3 * RATE, np.float32), time.monotonic())
        scheduler.notify(entry)
        await reach(lambda: session.unheard == 0)
        assert scheduler.queue_depth == 0
    assert model.batches == []


async def test_the_end_of_speech_is_heard_at_once():
    """Upstream needs twelve equal passes to complete the last segment."""
    model = Recording()
    async with scheduling(model, min_chunk=30.0) as scheduler:
        session, entry = join(scheduler, "speaker", window=20)
        session.add(LOUD[:RATE], time.monotonic())
        scheduler.notify(entry)
        assert scheduler.queue_depth == 0
        session.add(np.zeros(RATE // 2, np.float32), time.monotonic())
        scheduler.notify(entry)
        await reach(lambda: model.order == ["speaker"])


async def test_a_failing_call_ends_the_sessions_in_it():
    class Broken(Recording):
        def transcribe(self, requests):
            raise RuntimeError("out of memory")

    async with scheduling(Broken(), max_batch=2) as scheduler:
        entries = [join(scheduler, f"s{index}", 2.0)[1] for index in range(2)]
        for entry in entries:
            scheduler.notify(entry)
        await reach(lambda: all(entry.failure for entry in entries))
    assert scheduler.longest_wait == 0.0


async def test_time_to_spare_brings_text_earlier():
    model = Recording()
    async with scheduling(model, min_chunk=1.0, idle_chunk=0.3) as scheduler:
        session, entry = join(scheduler, "alone", 1.0)
        scheduler.notify(entry)
        await reach(lambda: session.unheard == 0)
        for _ in range(3):
            session.add(LOUD[: RATE * 3 // 10], time.monotonic())
            scheduler.notify(entry)
            await reach(lambda: session.unheard == 0)
        assert len(model.batches) == 4
        session.add(LOUD[: RATE // 10], time.monotonic())
        scheduler.notify(entry)
        assert scheduler.queue_depth == 0


async def test_no_text_is_earlier_than_due_on_a_busy_replica():
    """Passes that are not due take half of the thread's time at most."""
    model = Recording(0.3)
    async with scheduling(model, min_chunk=1.0, idle_chunk=0.1) as scheduler:
        session, entry = join(scheduler, "alone", 1.0, window=30)
        begun = time.monotonic()
        while time.monotonic() - begun < 3.0:
            session.add(LOUD[: RATE // 10], time.monotonic())
            scheduler.notify(entry)
            await asyncio.sleep(0.02)
            # More comes than is heard: the session is due again and again only by idle_chunk.
            if session.unheard >= 0.9:
                break
        busy = sum(0.3 for _ in model.batches) / max(1.0, time.monotonic() - begun)
    assert busy <= 0.9


async def test_a_single_syllable_is_not_guessed_at():
    model = Recording()
    async with scheduling(model, min_chunk=1.0, idle_chunk=0.1) as scheduler:
        _, entry = join(scheduler, "begins", 0.5)
        scheduler.notify(entry)
        await asyncio.sleep(0)
        assert scheduler.queue_depth == 0
        assert not scheduler._may_be_early(entry)
