"""One generator process's share of a step."""

import asyncio
import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Final

import numpy as np
from pydantic import BaseModel

from loadtest.events import ClientFinished, Progress, ShardFinished, ShardReady
from loadtest.generator.client import LoadClient, Surroundings
from loadtest.generator.frames import FrameLibrary
from loadtest.generator.opening import security_of
from loadtest.generator.pacer import Pacer
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
        self._latency: dict[int, list[float]] = {}
        self._shown: dict[int, str] = {}
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
        # One thread beside the one that sends: a session's result takes milliseconds to work out.
        self._judging = ThreadPoolExecutor(1)
        self._write(ShardReady())

    def stop(self) -> None:
        """End every session now; what was measured is still reported."""
        self._stopping.set()

    async def run(self, start_at: float) -> None:
        """Play all clients from ``start_at`` (monotonic seconds) on; return when all has ended."""
        # A collection in the middle of a step would make every client late at once.
        gc.collect()
        gc.freeze()
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
        self._write(ShardFinished(cpu_time=time.process_time()))

    async def _play(self, client: LoadClient, start_at: float) -> None:
        await client.play(start_at)
        loop = asyncio.get_running_loop()
        self._write_line(await loop.run_in_executor(self._judging, _finished, client))

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
                cpu_time=time.process_time(),
                backlog=backlog,
                latency=latency,
                transcripts=self._new_transcripts(),
            )
        )

    def _new_transcripts(self) -> dict[int, str]:
        new: dict[int, str] = {}
        for client in self._clients:
            if len(new) == _TRANSCRIPTS_A_REPORT:
                break
            if not client.active or client.measurement is None:
                continue
            text = client.measurement.transcript[-_TRANSCRIPT_CHARACTERS:]
            index = client.assignment.index
            if text and self._shown.get(index) != text:
                self._shown[index] = new[index] = text
        return new

    def _write(self, event: BaseModel) -> None:
        self._write_line(event.model_dump_json().encode() + b"\n")

    def _write_line(self, line: bytes) -> None:
        self._output.write(line)
        self._output.flush()


def _finished(client: LoadClient) -> bytes:
    """Return a session's last report."""
    event = ClientFinished(
        result=client.result(),
        slip_samples=np.round(client.slip, 6).tolist(),
        lateness_samples=np.round(client.lateness, 6).tolist(),
    )
    return event.model_dump_json().encode() + b"\n"
