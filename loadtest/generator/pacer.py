"""Sends every client's messages when they are due: one timer for all sessions of a process.

A timer and a wake-up of its own for each of ten thousand messages a second costs more than sending
them. Here they wait in one queue, and whatever is due goes out in one turn of the event loop.
"""

import asyncio
import math
import time
from array import array
from bisect import insort
from collections import deque
from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from loadtest.generator.connection import Connection
from loadtest.measurement import SessionMeasurement

_MESSAGES_A_TURN: Final = 64
"""Then the event loop looks for answers: a backlog of sends must not make their moments late."""


_DUE: Final = attrgetter("due")


class Sender:
    """One session's messages, on their schedule, on one connection."""

    def __init__(
        self,
        connection: Connection,
        frames: Sequence[bytes],
        measured: SessionMeasurement,
        *,
        slip: "array[float]",
        lateness: "array[float]",
        start: int = 0,
    ) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the last message was sent."""
        self.blocked = False
        self.queued = False
        """Whether it stands in a pacer's queue; never twice."""
        self._connection = connection
        self._frames = frames
        self._count = len(frames)
        self._measured = measured
        self._slip = slip
        self._lateness = lateness
        self._next = start
        self.due = measured.scheduled(start)
        """Monotonic second at which the next message is scheduled."""
        # What is sent a second time, after a lost connection, was not due now; and what was due
        # while there was no connection is late by the loss, not by the generator.
        self._first_new = len(slip)
        self._blocked_until = time.monotonic() if len(slip) else 0.0

    def unblock(self) -> None:
        """Note that the server takes data again."""
        self.blocked = False
        self._blocked_until = time.monotonic()

    def send(self) -> bool:
        """Send the next message; return whether there is another."""
        index, scheduled = self._next, self.due
        actual = time.monotonic()
        if self.done.done() or not self._connection.open_for_audio:
            return False
        if index >= self._first_new:
            slip = actual - scheduled
            self._slip.append(slip)
            # A server that takes no data makes messages slip, but not the generator late.
            if self._blocked_until <= scheduled:
                self._lateness.append(slip)
        self._next = following = index + 1
        self._measured.sent_chunks = following
        self._connection.send_frame(self._frames[index])
        if following == self._count:
            self.done.set_result(None)
            return False
        self.due = self._measured.scheduled(following)
        return True


class Pacer:
    """The queue of all senders, by when they are due, and the one timer.

    All messages last equally long, so whoever has sent is due last: no heap is needed to know it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Sender] = deque()
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._timer_due = float("inf")

    def play(self, sender: Sender, connection: Connection) -> None:
        """Send a sender's messages from now on; ``sender.done`` tells of the end."""

        def paused(blocked: bool) -> None:
            if blocked:
                sender.blocked = True
            elif sender.blocked:
                sender.unblock()
                if not sender.queued:
                    self._push(sender)

        connection.paused = paused
        self._push(sender)

    def _push(self, sender: Sender) -> None:
        self._enqueue(sender)
        if sender.due < self._timer_due:
            self._arm(sender.due)

    def _enqueue(self, sender: Sender) -> None:
        sender.queued = True
        queue = self._queue
        if queue and sender.due < queue[-1].due:
            insort(queue, sender, key=_DUE)
        else:
            queue.append(sender)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        # The event loop's clock is time.monotonic. uvloop rounds to the nearest millisecond, and a
        # timer that is early would be set again and again until the message is due.
        delay = math.ceil((due - self._loop.time()) * 1000) / 1000
        self._timer = self._loop.call_later(max(0.0, delay), self._turn)

    def _turn(self) -> None:
        self._timer, self._timer_due = None, float("inf")
        queue = self._queue
        now = time.monotonic()
        try:
            for _ in range(_MESSAGES_A_TURN):
                if not queue:
                    break
                if queue[0].due > now and queue[0].due > (now := time.monotonic()):
                    break
                sender = queue.popleft()
                sender.queued = False
                # Whoever unblocks a sender pushes it again; sending may block it, too.
                if not sender.blocked and sender.send() and not sender.blocked:
                    self._enqueue(sender)
        finally:
            # Whatever is wrong with one sender, the others go on.
            if queue:
                self._arm(queue[0].due)
