"""One generator process's share of a step."""

import asyncio
import gc
import sys
import time
from contextlib import suppress
from typing import BinaryIO, Final

from pydantic import BaseModel

from loadtest.events import ClientFinished, Progress, ShardFinished, ShardReady
from loadtest.generator.aside import Aside
from loadtest.generator.client import LoadClient
from loadtest.generator.frames import FrameLibrary
from loadtest.generator.opening import security_of
from loadtest.generator.pacer import Pacer
from loadtest.generator.surroundings import Surroundings
from loadtest.generator.view import SessionsView
from loadtest.lateness import Lateness
from loadtest.plan import StepOrder

_REPORT_INTERVAL: Final = 0.25
"""Seconds between two progress reports."""
_SWITCH_INTERVAL: Final = 0.0005
_TRANSCRIPTS_A_REPORT: Final = 8
_TRANSCRIPT_CHARACTERS: Final = 2000


class Shard:
    """Plays the clients of one order and writes events as they come."""

    def __init__(self, order: StepOrder, output: BinaryIO) -> None:
        self._order = order
        self._output = output
        self._stopping = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._cpu_at_start = 0.0
        self._latency: dict[int, list[float]] = {}
        self._shown: dict[int, str] = {}
        self._ended_at: float | None = None
        self._next_shown = 0
        # One thread beside the one that sends: working out a session's result takes milliseconds,
        # and whoever reads what is written may be slow.
        self._aside = Aside(failed=self._stopping_from_aside)
        self._pending: list[BaseModel | LoadClient] = []
        """What is to be written, in order; of a client that is over, its result."""
        library = FrameLibrary(order.clients, order.chunk, order.audio_format)
        shared = Surroundings(
            order=order,
            pacer=Pacer(),
            security=security_of(order),
            stopping=self._stopping,
            report_ready=self._write,
            report_latency=lambda client, new: self._latency.setdefault(client, []).extend(new),
        )
        self._clients = [
            LoadClient(shared, assignment, library.stream(assignment.pieces))
            for assignment in order.clients
        ]
        self.view = SessionsView(self._clients)
        self._write(ShardReady())
        self._hand_over()

    def stop(self) -> None:
        """End every session now; what was measured is still reported."""
        self._stopping.set()

    async def run(self, start_at: float) -> None:
        """Play all clients from ``start_at`` (monotonic seconds) on; return when all has ended."""
        # A collection in the middle of a step would make every client late at once.
        gc.collect()
        gc.freeze()
        # What starting up and encoding took is none of the step's.
        self._cpu_at_start = time.process_time()
        gc.disable()
        # The thread that judges must let go of the interpreter as soon as a message is due.
        sys.setswitchinterval(_SWITCH_INTERVAL)
        reporting = asyncio.create_task(self._report_regularly())
        try:
            async with asyncio.TaskGroup() as group:
                for client in self._clients:
                    group.create_task(self._play(client, start_at))
        finally:
            reporting.cancel()
            gc.enable()
        self._report()
        await self._aside.finish()
        # Working out the results is in it.
        cpu_time = time.process_time() - self._cpu_at_start
        self._write_event(ShardFinished(cpu_time=cpu_time, ended_at=self._ended_at))

    async def _play(self, client: LoadClient, start_at: float) -> None:
        await client.play(start_at)
        self._ended_at = time.monotonic()
        self._pending.append(client)

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_INTERVAL)
            self._report()

    def _report(self) -> None:
        latency, self._latency = self._latency, {}
        active = audio_sent = backlog = 0.0
        for client in self._clients:
            audio_sent += client.audio_sent
            if client.active:
                active += 1
                backlog += client.measurement.backlog if client.measurement else 0.0
        self._write(
            Progress(
                active=int(active),
                audio_sent=audio_sent,
                cpu_time=time.process_time() - self._cpu_at_start,
                backlog=backlog,
                latency=latency,
                transcripts=self._new_transcripts(),
            )
        )
        self._hand_over()

    def _new_transcripts(self) -> dict[int, str]:
        """Return some of the texts that have changed, another time others'."""
        new: dict[int, str] = {}
        count = len(self._clients)
        for step in range(count):
            client = self._clients[(self._next_shown + step) % count]
            if not client.active or client.measurement is None:
                continue
            text = client.measurement.transcript[-_TRANSCRIPT_CHARACTERS:]
            index = client.assignment.index
            if text and self._shown.get(index) != text:
                self._shown[index] = new[index] = text
            if len(new) == _TRANSCRIPTS_A_REPORT:
                self._next_shown = (self._next_shown + step + 1) % count
                break
        return new

    def _write(self, event: BaseModel) -> None:
        """Have an event written with the next report, after those before it."""
        self._pending.append(event)

    def _hand_over(self) -> None:
        """Have what waits written: waking the other thread for each costs more than to write it."""
        if self._pending:
            pending, self._pending = self._pending, []
            self._aside.do(self._write_all, pending)

    def _write_all(self, pending: "list[BaseModel | LoadClient]") -> None:
        for one in pending:
            if isinstance(one, LoadClient):
                self._write_result(one)
            else:
                self._write_event(one)
        if self.view.wanted and (seen := self.view.look()) is not None:
            self._write_event(seen)

    def _write_result(self, client: LoadClient) -> None:
        self._write_event(
            ClientFinished(
                result=client.result(),
                slip=Lateness.of(client.slip),
                lateness=Lateness.of(client.lateness),
            )
        )

    def _write_event(self, event: BaseModel) -> None:
        try:
            self._output.write(event.model_dump_json().encode() + b"\n")
            self._output.flush()
        except BrokenPipeError:
            # Whoever asked for the load is gone; the end of our input says so, too.
            self._stopping_from_aside()

    def _stopping_from_aside(self) -> None:
        with suppress(RuntimeError):  # the loop is over
            self._loop.call_soon_threadsafe(self.stop)
