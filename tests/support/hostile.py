"""Clients that break the protocol, on purpose or not; each says what the server told it."""

import asyncio
import contextlib
import json
import socket as sockets
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import websockets

DEADLINE = 30.0


@dataclass(frozen=True)
class Told:
    """How a client's connection ended."""

    errors: tuple[str, ...]
    """Texts of its ERROR messages."""
    code: int | None
    reason: str

    @property
    def is_told(self) -> bool:
        """It got a sentence, or a close code that names the fault."""
        return bool(self.errors) or self.code in (1007, 1008, 1009) or bool(self.reason)


async def _end(socket: websockets.ClientConnection) -> Told:
    errors = []
    with contextlib.suppress(websockets.ConnectionClosed):
        async with asyncio.timeout(DEADLINE):
            async for raw in socket:
                message = json.loads(raw)
                if message.get("status") == "ERROR":
                    errors.append(message["message"])
    return Told(tuple(errors), socket.close_code, socket.close_reason or "")


async def first_message(url: str, message: str | bytes) -> Told:
    """Begin with something that is no options."""
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(message)
        return await _end(socket)


async def later_message(url: str, message: str | bytes, **options: object) -> Told:
    """Begin well and go on badly."""
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(json.dumps({"uid": "bad", "language": "en", **options}))
        await socket.recv()
        with contextlib.suppress(websockets.ConnectionClosed):
            await socket.send(message)
            await socket.send(b"END_OF_AUDIO")
        return await _end(socket)


BAD_FIRST: dict[str, str | bytes] = {
    "malformed JSON": '{"uid": ',
    "not an object": "[1, 2]",
    "a number": "7",
    "empty": "",
    "nested too deep": "[" * 30_000,
    "missing uid": '{"language": "en"}',
    "uid of a wrong type": '{"uid": {"a": 1}}',
    "uid too long": json.dumps({"uid": "u" * 300}),
    "wrong types": '{"uid": "x", "send_last_n_segments": "many", "use_vad": 17}',
    "bad audio format": '{"uid": "x", "audio_format": "mp3"}',
    "negative count": '{"uid": "x", "send_last_n_segments": -1}',
    "huge options": json.dumps({"uid": "x", "initial_prompt": "a" * 200_000}),
    "binary at first": bytes(range(256)),
    "invalid UTF-8": b"\xff\xfe{",
    "not a number": '{"uid": "x", "no_speech_thresh": NaN}',
}

BAD_AUDIO: dict[str, bytes] = {
    "odd byte count": b"\x00" * 6401,
    "one byte": b"\x00",
    "50 MB": b"\x00" * 50_000_000,
}

ODD_AUDIO: dict[str, bytes | str] = {
    "NaN samples": np.full(16_000, np.nan, "<f4").tobytes(),
    "infinite samples": np.full(16_000, np.inf, "<f4").tobytes(),
    "far too loud": np.full(16_000, 3e38, "<f4").tobytes(),
    "random bytes": np.random.default_rng(0).bytes(64_000),
    "text for audio": "these are no samples",
    "no samples": b"",
}
"""Strange, but no reason to end a session: it goes on and ends in order."""


async def close_early(url: str) -> None:
    """Leave before, in and after the options."""
    async with websockets.connect(url):
        pass
    async with websockets.connect(url) as socket:
        await socket.send('{"uid": "early"}')
    async with websockets.connect(url) as socket:
        await socket.send('{"uid": "early"}')
        await socket.recv()
        await socket.send(b"\x00" * 64_000)


async def vanish(url: str) -> None:
    """End the connection under the WebSocket, in the middle of a session."""
    socket = await websockets.connect(url)
    await socket.send('{"uid": "gone", "language": "en"}')
    await socket.recv()
    await socket.send(b"\x00" * 64_000)
    raw = socket.transport.get_extra_info("socket")
    # Linger 0: a reset instead of an orderly end.
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    socket.transport.abort()


async def half_a_handshake(port: int, sent: bytes) -> bytes:
    """Send bytes that are no WebSocket handshake and give the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    writer.write_eof()
    async with asyncio.timeout(DEADLINE):
        answer = await reader.read()
    writer.close()
    return answer


async def crowd(url: str, count: int) -> list[Told]:
    """Connect many at once, each with a session of its own and no audio."""

    async def one(index: int) -> Told:
        async with websockets.connect(url, open_timeout=DEADLINE) as socket:
            await socket.send(json.dumps({"uid": f"crowd-{index}", "language": "en"}))
            await socket.recv()
            with contextlib.suppress(websockets.ConnectionClosed):
                await socket.send(b"END_OF_AUDIO")
            return await _end(socket)

    return await asyncio.gather(*(one(index) for index in range(count)))


async def every_attack(url: str, port: int, note: Callable[[str, Told], None]) -> None:
    """Make every mistake once, one after another; ``note`` learns what bad clients were told."""
    for name, message in BAD_FIRST.items():
        note(name, await first_message(url, message))
    for name, data in BAD_AUDIO.items():
        note(name, await later_message(url, data))
    for odd in ODD_AUDIO.values():
        await later_message(url, odd)
    await close_early(url)
    for _ in range(5):
        await vanish(url)
    for sent in (b"\x16\x03\x01\x00\xa5", b"GET / HTTP/1.1\r\n", b"\x00" * 10_000):
        await half_a_handshake(port, sent)
