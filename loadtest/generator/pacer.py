"""Sends every client's messages when they are due: one timer for all sessions of a process.

A timer and a wake-up of its own for each of ten thousand messages a second costs more than sending
them. Here they wait in one heap, and whatever is due goes out in one turn of the event loop.
"""

import asyncio
import heapq
import time
from array import array
from collections.abc import Sequence
from itertools import count
from typing import Final

from loadtest.generator.connection import Connection
from loadtest.measurement import SessionMeasurement

_MESSAGES_A_TURN: Final = 64
"""Then the event loop looks for answers: a backlog of sends must not make their moments late."""


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
        """Whether it stands in a pacer's heap; never twice."""
        self._connection = connection
        self._frames = frames
        self._measured = measured
        self._slip = slip
        self._lateness = lateness
        self._next = start
        # What is sent a second time, after a lost connection, was not due now; and what was due
        # while there was no connection is late by the loss, not by the generator.
        self._first_new = len(slip)
        self._blocked_until = time.monotonic() if len(slip) else 0.0

    @property
    def due(self) -> float:
        """Monotonic second at which the next message is scheduled."""
        return self._measured.scheduled(self._next)

    def unblock(self) -> None:
        """Note that the server takes data again."""
        self.blocked = False
        self._blocked_until = time.monotonic()

    def send(self) -> bool:
        """Send the next message; return whether there is another."""
        if self.done.done() or not self._connection.open_for_audio:
            return False
        index, scheduled = self._next, self.due
        actual = time.monotonic()
        if index >= self._first_new:
            self._slip.append(actual - scheduled)
            # A server that takes no data makes messages slip, but not the generator late.
            if self._blocked_until <= scheduled:
                self._lateness.append(actual - scheduled)
        self._next = index + 1
        self._measured.sent(self._next)
        self._connection.send_frame(self._frames[index])
        if self._next == len(self._frames):
            self.done.set_result(None)
            return False
        return True


class Pacer:
    """The heap of all senders and the one timer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heap: list[tuple[float, int, Sender]] = []
        self._order = count()
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
        due = sender.due
        sender.queued = True
        heapq.heappush(self._heap, (due, next(self._order), sender))
        if due < self._timer_due:
            self._arm(due)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        # The event loop's clock is time.monotonic.
        self._timer = self._loop.call_at(due, self._turn)

    def _turn(self) -> None:
        self._timer, self._timer_due = None, float("inf")
        heap = self._heap
        try:
            for _ in range(_MESSAGES_A_TURN):
                if not heap or heap[0][0] > time.monotonic():
                    break
                _, _, sender = heapq.heappop(heap)
                sender.queued = False
                # Whoever unblocks a sender pushes it again; sending may block it, too.
                if not sender.blocked and sender.send() and not sender.blocked:
                    sender.queued = True
                    heapq.heappush(heap, (sender.due, next(self._order), sender))
        finally:
            # Whatever is wrong with one sender, the others go on.
            if heap:
                self._arm(heap[0][0])
