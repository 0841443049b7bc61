"""Who is heard next: one inference thread, and the order in which sessions get it.

Sessions and their order live on the event loop; only the model runs in the thread. So a session
is never touched from two threads and needs no lock.
"""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from stack.replica.metrics import Metrics
from stack.replica.session import Pass, Session
from stack.replica.transcriber import Heard, Request

FLUSH_HEAD_START: Final = 2.0
"""Seconds by which a session's last pass comes before others. Not without limit: a stream of them
must not starve those who still talk. A long file has to take its turns until its last pass."""

LAST_IDLE: Final = 5.0
"""Seconds without audio after which even the last segment is completed. Clients may send several
seconds at a time, and their pieces end within words."""

_T = TypeVar("_T")
_log = logging.getLogger("stack.replica")


class Model(Protocol):
    """What the scheduler needs of a transcriber."""

    def transcribe(self, request: Request) -> Heard:
        """Transcribe one piece of audio."""


class InferenceThread:
    """One daemon thread that runs what it is given, in order.

    A daemon, unlike an executor's threads: a model that is being downloaded must not hold up the
    end of the process.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="inference", daemon=True).start()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    async def call(self, function: Callable[..., _T], *arguments: Any) -> _T:
        """Run a function in the thread and wait for its result or exception."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def settle(result: _T | None, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                loop.call_soon_threadsafe(settle, result, error)

        self._work.put(work)
        return await future

    def stop(self) -> None:
        """End the thread after the work that it has."""
        self._work.put(None)


class Entry:
    """A session in the scheduler, with who wants to know of its progress."""

    def __init__(self, session: Session, on_progress: Callable[[], None]) -> None:
        self.session = session
        self.on_progress = on_progress
        self.failure: Exception | None = None
        self.due_since: float | None = None
        """Since when the session waits for the thread, for measuring."""


class Scheduler:
    """Gives the inference thread to sessions that are due, the longest-waiting first.

    A session is due with ``min_chunk`` seconds of new audio, with any new audio or open text once
    that has waited longer, and always when it is finishing.
    """

    def __init__(
        self, model: Model, thread: InferenceThread, metrics: Metrics, *, min_chunk: float
    ) -> None:
        self._model = model
        self._thread = thread
        self._metrics = metrics
        self._min_chunk = min_chunk
        self._entries: dict[int, Entry] = {}
        self._wake = asyncio.Event()

    def add(self, session: Session, on_progress: Callable[[], None]) -> Entry:
        """Take a session in; ``on_progress`` is called on the loop after each of its passes."""
        entry = Entry(session, on_progress)
        self._entries[id(entry)] = entry
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget a session and the work it has left."""
        self._entries.pop(id(entry), None)

    def notify(self, entry: Entry) -> None:
        """Look again: this session has new audio or is finishing."""
        now = time.monotonic()
        if entry.due_since is None and self._due_at(entry.session) <= now:
            entry.due_since = now
        self._wake.set()

    @property
    def queue_depth(self) -> int:
        """How many sessions are due now."""
        now = time.monotonic()
        return sum(self._due_at(entry.session) <= now for entry in self._entries.values())

    def _due_at(self, session: Session) -> float:
        """Give the moment from which the session is due; infinite when it waits for audio."""
        if session.finished:
            return float("inf")
        if session.finishing or session.unheard >= self._min_chunk:
            return 0.0
        if session.unheard > 0 or session.open_segments > 1:
            return session.waiting_since() + 2 * self._min_chunk
        if session.open_segments == 1:
            return session.waiting_since() + max(LAST_IDLE, 2 * self._min_chunk)
        return float("inf")

    @staticmethod
    def _waiting_since(entry: Entry) -> float:
        since = entry.session.waiting_since()
        return since - FLUSH_HEAD_START if entry.session.ending else since

    def _next(self) -> tuple[Entry | None, float | None]:
        """Choose the next session, or say after how many seconds to look again."""
        now = time.monotonic()
        due: list[Entry] = []
        soonest = float("inf")
        for entry in self._entries.values():
            moment = self._due_at(entry.session)
            if moment <= now:
                due.append(entry)
            else:
                soonest = min(soonest, moment)
        if due:
            return min(due, key=self._waiting_since), None
        return None, None if soonest == float("inf") else soonest - now

    async def run(self) -> None:
        """Serve sessions until cancelled."""
        while True:
            self._wake.clear()
            entry, pause = self._next()
            if entry is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), pause)
                continue
            await self._serve(entry)

    async def _serve(self, entry: Entry) -> None:
        session = entry.session
        if session.unheard == 0 and not session.finishing:
            session.settle(time.monotonic())
            entry.on_progress()
            return
        work = session.next_pass()
        heard_before = session.heard
        begun = time.monotonic()
        waited = begun - (entry.due_since or begun)
        entry.due_since = None
        try:
            heard = await self._hear(work)
            session.apply(work, heard, time.monotonic())
        except Exception as error:
            # One session's audio or options must not end the others.
            _log.exception("A pass failed; its session ends.")
            self._metrics.errors.labels("transcription").inc()
            entry.failure = error
            self.remove(entry)
        else:
            self._metrics.stage("queue", waited)
            self._metrics.heard(session.heard - heard_before)
            for stage, seconds in heard.stages.items():
                self._metrics.stage(stage, seconds)
        entry.on_progress()
        if self._due_at(session) <= time.monotonic():
            entry.due_since = time.monotonic()

    async def _hear(self, work: Pass) -> Heard:
        if work.silent:
            return Heard()
        begun = time.monotonic()
        heard = await self._thread.call(self._model.transcribe, work.request)
        self._metrics.transcription.observe(time.monotonic() - begun)
        return heard
