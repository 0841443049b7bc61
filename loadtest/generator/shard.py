"""One generator process's share of a step."""

import asyncio
import gc
import time
from typing import BinaryIO, Final

from pydantic import BaseModel

from loadtest.client import LoadClient, Stream
from loadtest.clips import read_samples
from loadtest.events import ClientFinished, ClientReady, Progress, ShardFinished, ShardReady
from loadtest.plan import ClientAssignment, Piece, StepOrder
from stack.protocol import SAMPLE_RATE, encode_audio

_REPORT_INTERVAL: Final = 0.25
"""Seconds between two progress reports."""
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
        # Clients that play the same pieces share one encoded copy.
        self._encoded: dict[tuple[Piece, ...], Stream] = {}
        self._clients = [self._client(assignment) for assignment in order.clients]
        self._write(ShardReady())

    def _client(self, assignment: ClientAssignment) -> LoadClient:
        return LoadClient(
            order=self._order,
            assignment=assignment,
            stream=self._stream(assignment.pieces),
            stopping=self._stopping,
            report_ready=self._write,
            report_latency=lambda client, new: self._latency.setdefault(client, []).extend(new),
        )

    def _stream(self, pieces: tuple[Piece, ...]) -> Stream:
        if pieces not in self._encoded:
            self._encoded[pieces] = encode_stream(pieces, self._order)
        return self._encoded[pieces]

    def stop(self) -> None:
        """End every session now; what was measured is still reported."""
        self._stopping.set()

    async def run(self, start_at: float) -> None:
        """Play all clients from ``start_at`` (monotonic seconds) on; return when all has ended."""
        # A collection in the middle of a step would make every client late at once.
        gc.collect()
        gc.freeze()
        gc.disable()
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
        result = await client.play(start_at)
        self._write(
            ClientFinished(
                result=result, slip_samples=client.slip, lateness_samples=client.lateness
            )
        )

    async def _report_regularly(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_INTERVAL)
            self._report()

    def _report(self) -> None:
        latency, self._latency = self._latency, {}
        active = audio_sent = 0.0
        for client in self._clients:
            active += client.active
            audio_sent += client.audio_sent
        self._write(
            Progress(
                active=int(active),
                audio_sent=audio_sent,
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

    def _write(self, event: BaseModel | ClientReady) -> None:
        self._output.write(event.model_dump_json().encode() + b"\n")
        self._output.flush()


def encode_stream(pieces: tuple[Piece, ...], order: StepOrder) -> Stream:
    """Read the pieces and cut them into messages of ``order.chunk`` seconds, or less at the end."""
    encoded = b"".join(
        encode_audio(read_samples(piece.path, piece.samples), order.audio_format)
        for piece in pieces
    )
    size = round(order.chunk * SAMPLE_RATE) * order.audio_format.sample_bytes
    view = memoryview(encoded)
    references = [piece.reference for piece in pieces]
    return Stream(
        messages=[view[start : start + size] for start in range(0, len(encoded), size)],
        chunk=order.chunk,
        duration=sum(piece.samples for piece in pieces) / SAMPLE_RATE,
        reference=(
            None
            if any(reference is None for reference in references)
            else " ".join(reference for reference in references if reference)
        ),
        word_ends=_word_ends(pieces),
        name="+".join(piece.path.name for piece in pieces),
    )


def _word_ends(pieces: tuple[Piece, ...]) -> tuple[float, ...] | None:
    """Give where the words of all pieces end in the stream; None if one piece has no word times."""
    ends: list[float] = []
    start = 0.0
    for piece in pieces:
        if piece.word_ends is None:
            return None
        ends.extend(start + end for end in piece.word_ends)
        start += piece.samples / SAMPLE_RATE
    return tuple(ends)
