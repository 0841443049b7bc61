"""Servers that end connections at the worst moments: that costs their own sessions, not the run."""

import asyncio
import base64
import hashlib
import json
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from support.runs import write_clip

from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.generator.client import LoadClient, SessionFailedError
from loadtest.generator.connection import Connection
from loadtest.generator.frames import Stream
from loadtest.generator.pacer import Pacer
from loadtest.generator.surroundings import Surroundings
from loadtest.plan import ClientAssignment, LoadPlan, StepOrder
from loadtest.runfile import Failure, Run
from stack.protocol import AudioFormat

Plans = Callable[..., LoadPlan]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]]


@asynccontextmanager
async def rude(serve: Serve) -> AsyncIterator[int]:
    """Serve on a free port; ``serve`` gets the answer to the handshake and sends it itself."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            key = next(
                line.partition(b":")[2].strip()
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key")
            )
            digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324
            answer = (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
                + base64.b64encode(digest)
                + b"\r\n\r\n"
            )
            await serve(reader, writer, answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def text(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    assert len(data) < 126
    return bytes([0x81, len(data)]) + data


async def options_of(reader: asyncio.StreamReader) -> dict[str, Any]:
    head = await reader.readexactly(4)
    assert head[1] & 0x7F == 126
    length = int.from_bytes(head[2:4], "big")
    mask, masked = await reader.readexactly(4), await reader.readexactly(length)
    return cast(
        "dict[str, Any]",
        json.loads(bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))),
    )


async def one_run(plan: LoadPlan) -> Run:
    events = [event async for event in LoadController(plan).run()]
    (run,) = [event.run for event in events if isinstance(event, StepFinished)]
    return run


async def test_a_close_in_one_piece_with_the_handshake(make_plan: Plans) -> None:
    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes
    ) -> None:
        writer.write(answer + bytes([0x88, 2]) + (1013).to_bytes(2, "big"))
        await writer.drain()
        await reader.read()

    async with rude(serve) as port:
        run = await one_run(make_plan(clients=(3,), port=port))
    assert [client.failure for client in run.clients] == [Failure.HANDSHAKE] * 3
    assert "closed before SERVER_READY (close code 1013)" in run.clients[0].errors[-1]


async def test_an_end_right_at_the_last_chunk(make_plan: Plans, tmp_path: Path) -> None:
    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes
    ) -> None:
        writer.write(answer)
        options = await options_of(reader)
        ready = {"uid": options["uid"], "message": "SERVER_READY", "flush": True}
        writer.write(text(ready))
        # 10 messages of audio, 8 bytes of head each: the end comes as the last is being sent.
        await reader.readexactly(10 * (3200 * 2 + 8) - 100)
        writer.write_eof()
        await reader.read()

    clips = tmp_path / "one-clip"
    clips.mkdir()
    write_clip(clips, "only", seconds=1.0, words=["alpha"])
    async with rude(serve) as port:
        run = await one_run(make_plan(clients=(40,), port=port, audio_directory=clips))
    assert len(run.clients) == 40
    assert {client.failure for client in run.clients} == {Failure.DISCONNECTED}


async def test_times_that_are_no_numbers_break_the_protocol(make_plan: Plans) -> None:
    async def serve(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes
    ) -> None:
        writer.write(answer)
        uid = (await options_of(reader))["uid"]
        writer.write(text({"uid": uid, "message": "SERVER_READY"}))
        segment = {"start": "0", "end": "NaN", "text": " a", "completed": True}
        writer.write(text({"uid": uid, "segments": [segment]}))
        await reader.read()

    async with rude(serve) as port:
        run = await one_run(make_plan(port=port))
    assert run.clients[0].failure is Failure.PROTOCOL


class Deaf:
    """A connection whose server takes one message and then no more."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.open_for_audio = True
        self.close_code = None
        self.paused: Callable[[bool], None] | None = None

    def send_frame(self, frame: bytes) -> None:
        assert self.paused is not None
        self.paused(True)


async def test_a_server_that_reads_no_more_is_not_waited_for_for_ever() -> None:
    order = StepOrder(
        url="ws://127.0.0.1:9/",
        chunk=0.1,
        language="en",
        use_vad=True,
        audio_format=AudioFormat.FLOAT32,
        connect_timeout=1.0,
        finish_timeout=0.3,
        quiet=1.0,
        clients=(),
    )
    shared = Surroundings(
        order=order,
        pacer=Pacer(),
        security=None,
        stopping=asyncio.Event(),
        report_ready=lambda _: None,
        report_latency=lambda *_: None,
    )
    stream = Stream([b"frame"] * 5, 0.1, None, None, "clip.wav")
    assignment = ClientAssignment(index=0, uid="a", start_after=0.0, pieces=())
    client = LoadClient(shared, assignment, stream)
    connection = cast("Connection", Deaf())
    with pytest.raises(SessionFailedError, match="hadn't taken all audio") as caught:
        await asyncio.wait_for(client._stream(connection, flushes=True), 20)
    assert caught.value.failure is Failure.TIMEOUT
    assert client.slip == array("d", client.slip)
    assert len(client.slip) == 1


def test_a_clip_directory_is_not_part_of_a_session(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one chunk"):
        LoadPlan(
            clients=(1,),
            audio_directory=tmp_path,
            results_directory=tmp_path,
            duration=0.5,
            chunk=1.0,
        )
