"""Who is heard next, and with whom: the order in which sessions get the inference thread.

Sessions and their order live on the event loop; only the model runs in the thread. So a session
is never touched from two threads and needs no lock.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from stack.replica.hearing import Heard, Pass, Request
from stack.replica.inference import InferenceThread
from stack.replica.metrics import Metrics, Profile, Recent
from stack.replica.session import Session

FLUSH_HEAD_START: Final = 2.0
"""Seconds by which a session's last pass comes before others. Not without limit: a stream of them
must not starve those who still talk. A long file has to take its turns until its last pass."""

SPARE_BELOW: Final = 0.5
"""Share of the time up to which the inference thread works so that text comes earlier than it has
to. The other half is for those who come next, and for other programs on the machine."""

SPARE_SECONDS: Final = 1.0
"""Over how many seconds that share is taken."""

BATCH_PATIENCE: Final = 10.0
"""Seconds after which work that nobody watches is treated as live: it yields, but goes on."""

_log = logging.getLogger("stack.replica")


class Model(Protocol):
    """What the scheduler needs of a transcriber."""

    def transcribe(self, requests: Sequence[Request]) -> list[Heard | Exception]:
        """Transcribe pieces of audio in one call; an answer for each, in their order."""


class Priority(IntEnum):
    """Whose audio is heard first."""

    LIVE = 0
    """Somebody talks and reads along."""
    BATCH = 1
    """A file, or a second hearing for better text."""


@dataclass(frozen=True)
class Pace:
    """When sessions are heard.

    ``min_chunk``: seconds of new audio that make a session due. ``idle_chunk``: the same while the
    inference thread has time to spare. ``max_batch``: passes in one call of the model.
    ``max_wait``: seconds that a call is held back to fill.
    """

    min_chunk: float = 1.0
    idle_chunk: float = 0.3
    max_batch: int = 4
    max_wait: float = 0.0


class Entry:
    """A session in the scheduler, with who wants to know of its progress."""

    def __init__(
        self,
        session: Session,
        on_progress: Callable[[], None],
        priority: Priority,
        min_chunk: float,
    ) -> None:
        self.session = session
        self.on_progress = on_progress
        self.priority = priority
        self.min_chunk = min_chunk
        self.failure: Exception | None = None
        self.due_since: float | None = None
        """Since when the session waits for the thread, for measuring."""
        self.profile = Profile()

    @property
    def due_at(self) -> float:
        """The moment from which it is due; infinite when it waits for audio."""
        return self.session.due_at(self.min_chunk)

    def order(self, now: float) -> tuple[int, float]:
        """Give its rank, least first: live sessions, and of those the oldest unheard audio."""
        since = self.session.waiting_since()
        if self.session.ending:
            since -= FLUSH_HEAD_START
        patient = self.priority is Priority.BATCH and now - since < BATCH_PATIENCE
        return (1 if patient else 0), since


class Scheduler:
    """Gives the inference thread to sessions that are due, several at a time."""

    def __init__(self, model: Model, thread: InferenceThread, metrics: Metrics, pace: Pace) -> None:
        self._model = model
        self._thread = thread
        self._metrics = metrics
        self._pace = pace
        self._entries: dict[int, Entry] = {}
        self._wake = asyncio.Event()
        self._alarm = float("inf")
        """When sessions are looked at again in any case."""
        self._busy = Recent(SPARE_SECONDS)

    def add(
        self,
        session: Session,
        on_progress: Callable[[], None],
        *,
        priority: Priority = Priority.LIVE,
        min_chunk: float | None = None,
    ) -> Entry:
        """Take a session in; ``on_progress`` is called on the loop after each of its passes."""
        entry = Entry(session, on_progress, priority, min_chunk or self._pace.min_chunk)
        self._entries[id(entry)] = entry
        return entry

    def remove(self, entry: Entry) -> None:
        """Forget a session and the work it has left; its audio goes."""
        self._entries.pop(id(entry), None)
        entry.on_progress = _nobody
        entry.session.close()

    def notify(self, entry: Entry) -> None:
        """Look again: this session has new audio or is finishing."""
        now = time.monotonic()
        moment = entry.due_at
        if moment <= now and entry.due_since is None:
            entry.due_since = now
        if moment < self._alarm or self._may_be_early(entry):
            self._wake.set()

    @property
    def queue_depth(self) -> int:
        """How many sessions are due now."""
        now = time.monotonic()
        return sum(entry.due_at <= now for entry in self._entries.values())

    @property
    def longest_wait(self) -> float:
        """Seconds since which the live session waits that waits longest."""
        since = [
            entry.due_since
            for entry in self._entries.values()
            if entry.due_since is not None and entry.priority is Priority.LIVE
        ]
        return time.monotonic() - min(since) if since else 0.0

    def _choose(self) -> tuple[list[Entry], float | None]:
        """Choose who is heard next, or say after how many seconds to look again."""
        now = time.monotonic()
        due: list[Entry] = []
        soonest = float("inf")
        for entry in list(self._entries.values()):
            moment = entry.due_at
            if moment <= now and self._settle(entry, now):
                moment = entry.due_at
            if moment <= now:
                entry.due_since = entry.due_since or now
                due.append(entry)
            else:
                soonest = min(soonest, moment)
        early = False
        if not due:
            due = [entry for entry in self._entries.values() if self._may_be_early(entry)]
            early = bool(due)
        if not due:
            return [], None if soonest == float("inf") else soonest - now
        due.sort(key=lambda entry: entry.order(now))
        group = due[0].session.group
        batch = [entry for entry in due if entry.session.group == group][: self._pace.max_batch]
        waited = now - min(entry.due_since or now for entry in batch)
        others = len(self._entries) > len(due) and not early
        if others and len(batch) < self._pace.max_batch and waited < self._pace.max_wait:
            return [], min(self._pace.max_wait - waited, soonest - now)
        return batch, None

    def _may_be_early(self, entry: Entry) -> bool:
        """Say whether there is time to hear a live session before it is due."""
        session, pace = entry.session, self._pace
        return (
            entry.priority is Priority.LIVE
            and not session.in_flight
            and session.unheard >= pace.idle_chunk
            # With less the model guesses at single syllables.
            and session.unsettled >= entry.min_chunk
            and self._busy.total < SPARE_BELOW * SPARE_SECONDS
        )

    def _settle(self, entry: Entry, now: float) -> bool:
        """Do what needs no model; say whether that was all."""
        heard_before = entry.session.heard
        if not entry.session.settle(now):
            return False
        heard = entry.session.heard - heard_before
        if heard:
            entry.profile.spared += 1
            self._metrics.spared.inc()
            self._count_heard(entry, heard)
        entry.due_since = None
        entry.on_progress()
        return True

    def _count_heard(self, entry: Entry, seconds: float) -> None:
        if entry.priority is Priority.LIVE:
            self._metrics.heard(seconds)

    async def run(self) -> None:
        """Serve sessions until cancelled."""
        while True:
            self._wake.clear()
            batch, pause = self._choose()
            if batch:
                await self._serve(batch)
                continue
            self._alarm = float("inf") if pause is None else time.monotonic() + pause
            # Not wait_for: in Python 3.11 it can swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _serve(self, batch: list[Entry]) -> None:
        begun = time.monotonic()
        works = [entry.session.next_pass() for entry in batch]
        for entry in batch:
            waited = begun - (entry.due_since or begun)
            entry.due_since = None
            entry.profile.add("queue", waited)
            self._metrics.waited(waited, live=entry.priority is Priority.LIVE)
        answers: Sequence[Heard | Exception]
        try:
            answers = await self._thread.call(
                self._model.transcribe, [work.request for work in works]
            )
        except Exception as error:
            answers = [error] * len(batch)
        seconds = time.monotonic() - begun
        self._metrics.called(seconds)
        self._busy.add(seconds)
        for entry, work, answer in zip(batch, works, answers, strict=True):
            if id(entry) in self._entries:  # it may have left meanwhile
                self._take(entry, work, answer, seconds)

    def _take(self, entry: Entry, work: Pass, answer: Heard | Exception, seconds: float) -> None:
        """Give a session what its pass heard."""
        session = entry.session
        heard_before = session.heard
        now = time.monotonic()
        try:
            if isinstance(answer, Exception):
                raise answer
            session.apply(work, answer, now)
        except Exception as error:
            # One session's audio or options must not end the others.
            _log.exception("A pass failed; its session ends.")
            self._metrics.errors.labels("transcription").inc()
            entry.failure = error
        else:
            self._metrics.passed(answer, work.request.seconds, seconds)
            self._count_heard(entry, session.heard - heard_before)
            entry.profile.passed(answer)
        entry.on_progress()
        if entry.failure is not None:
            self.remove(entry)
        elif entry.due_at <= now:
            entry.due_since = now


def _nobody() -> None:
    """Tell nobody of a session's progress: it has left."""
