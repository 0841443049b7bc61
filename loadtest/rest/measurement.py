"""The closed loop: so many clients, each of which sends its next request when it has an answer."""

import asyncio
import gc
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from loadtest.rest.client import Answer, Body
from loadtest.rest.plan import MAX_REQUESTS
from loadtest.rest.report import RequestSample
from loadtest.rest.summary import ClientLoad

PAUSE_AFTER_FAILURE: Final = 0.1
"""Seconds a client waits after a failed request: what refuses at once should not be stormed."""
_TICK: Final = 0.01
"""Seconds between two looks at the event loop's lateness."""

Send = Callable[[Body], Awaitable[Answer]]


@dataclass(slots=True)
class Measured:
    """What a loop measured; grows while it runs."""

    samples: list[RequestSample] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    cpu: float = 0.0
    """Fraction of one core that this process used."""
    in_flight: int = 0
    cut_off: int = 0
    started_at: float = 0.0
    """Monotonic seconds."""

    @property
    def client(self) -> ClientLoad:
        """What the client itself did."""
        return ClientLoad(lateness=self.lateness, cpu=self.cpu)


def order(bodies: Sequence[Body], seed: str) -> Iterator[Body]:
    """Yield bodies without end: every one once before any comes again, each time shuffled anew."""
    chooser = random.Random(seed)  # noqa: S311
    while True:
        waiting = list(bodies)
        chooser.shuffle(waiting)
        yield from waiting


class ClosedLoop:
    """Sends so many requests, or starts requests for so long, from so many clients at once."""

    def __init__(
        self,
        send: Send,
        bodies: Iterator[Body],
        *,
        concurrency: int,
        requests: int | None,
        duration: float | None = None,
    ) -> None:
        self._send = send
        self._bodies = bodies
        self._concurrency = concurrency
        self._limit = MAX_REQUESTS if requests is None else min(requests, MAX_REQUESTS)
        self._duration = duration
        self._numbers = itertools.count()
        self.measured = Measured()

    async def run(self, stopping: asyncio.Event) -> None:
        """Run to the end, or until ``stopping``: requests under way are then cut off."""
        measured = self.measured
        # A collection in the middle would make every client late at once; what is frozen is not
        # looked at.
        gc.collect()
        gc.freeze()
        watching = asyncio.create_task(self._watch())
        stop = asyncio.create_task(stopping.wait())
        cpu, measured.started_at = time.process_time(), time.monotonic()
        clients = [asyncio.create_task(self._client()) for _ in range(self._concurrency)]
        done = asyncio.create_task(_all(clients))
        try:
            await asyncio.wait((done, stop), return_when=asyncio.FIRST_COMPLETED)
            elapsed = time.monotonic() - measured.started_at
            measured.cpu = (time.process_time() - cpu) / elapsed if elapsed > 0 else 0.0
            if done.done():
                done.result()
            else:
                measured.cut_off = measured.in_flight
        finally:
            tasks = (*clients, done, watching, stop)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            gc.unfreeze()

    async def _client(self) -> None:
        measured = self.measured
        while True:
            elapsed = time.monotonic() - measured.started_at
            if self._duration is not None and elapsed >= self._duration:
                return
            # Taken without an await between: request i is the same clip at every concurrency.
            number = next(self._numbers)
            if number >= self._limit:
                return
            body = next(self._bodies)
            measured.in_flight += 1
            start = time.monotonic() - measured.started_at
            try:
                answer = await self._send(body)
            finally:
                measured.in_flight -= 1
            measured.samples.append(_sample(number, body, start, answer))
            if answer.failure is not None:
                await asyncio.sleep(PAUSE_AFTER_FAILURE)

    async def _watch(self) -> None:
        while True:
            due = time.monotonic() + _TICK
            await asyncio.sleep(_TICK)
            self.measured.lateness.append(max(0.0, time.monotonic() - due))


async def _all(clients: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*clients)


def _sample(number: int, body: Body, start: float, answer: Answer) -> RequestSample:
    return RequestSample(
        index=number,
        clip=body.clip.path.name,
        audio_duration=body.clip.duration,
        start=start,
        latency=answer.latency,
        status=answer.status,
        replica=answer.replica,
        failure=answer.failure,
        detail=answer.detail,
        transcript=answer.transcript,
        reference=body.clip.reference,
    )
