"""A WhisperLive server that transcribes nothing and answers after a known delay.

Whenever ``step`` seconds of audio are complete it answers, ``delay`` seconds after the message that
completes them was read, with the next words of the text it was given. What a load generator reports
beyond that delay is its own. The sink notes how late its own answers were, so that its lateness
isn't taken for the generator's.

It has to outrun the generators that it measures, so it speaks just enough of RFC 6455 itself and
looks into no audio message: it counts their bytes.
"""

import asyncio
import base64
import hashlib
import json
import random
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from stack.protocol import END_OF_AUDIO, REPLICA_HEADER, SAMPLE_RATE, AudioFormat

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_TEXT, _CLOSE, _PING, _PONG = 0x1, 0x8, 0x9, 0xA
_LARGEST_READ: Final = 256 * 1024
_LARGEST_HEAD: Final = 64 * 1024
"""Bytes of a handshake, or of a message that is looked into."""


@dataclass
class Sink:
    """One server; ``port`` is known once it serves."""

    delay: float = 0.2
    """Seconds from a message to the answer that it completes."""
    jitter: float = 0.0
    """Largest seconds by which a delay is shorter or longer, evenly; under half a ``step``."""
    change: tuple[float, float] | None = None
    """From this second of a session's audio on, this delay instead."""
    step: float = 1.0
    """Seconds of audio to an answer."""
    service: float = 0.0
    """Seconds that the server is busy with each answer: it makes one after the other, of all
    sessions, so that latency grows as soon as more is asked than it can do."""
    flush: bool = True
    refuse: str | None = None
    """``wait``, ``error``, ``garbage``, ``silence``, ``close`` or ``never``."""
    text: Callable[[int], str] = lambda index: f"word{index}"
    replica: str | None = "replica-1"
    limit: int | None = None
    """Sessions at once; who comes beyond them is told to WAIT."""
    disconnect_after: float | None = None
    """Seconds of audio of a connection after which it is cut."""
    disconnects: int | None = None
    """How many connections are cut so; None: all."""
    api_key: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    active: int = 0
    received: dict[str, int] = field(default_factory=dict)
    """Bytes of audio by uid."""
    connections: dict[str, int] = field(default_factory=dict)
    """Handshakes by uid."""
    ended: set[str] = field(default_factory=set)
    injected: list[float] = field(default_factory=list)
    """Seconds from reading a message to having sent the answer that it completes, really."""
    late: list[float] = field(default_factory=list)
    """What of that the sink itself was late."""

    def __post_init__(self) -> None:
        self._busy_until = 0.0
        if self.jitter * 2 > self.step or self.jitter > self.delay:
            raise ValueError("jitter must be at most half a step and at most the delay")

    def delay_of(self, uid: str, end: float) -> float:
        """Return the delay of the answer to the audio up to ``end`` seconds of a session."""
        delay = self.delay
        if self.change is not None and end > self.change[0]:
            delay = self.change[1]
        if self.jitter:
            delay += random.Random(f"{uid}/{end:.3f}").uniform(-self.jitter, self.jitter)  # noqa: S311
        return delay

    def due(self, uid: str, end: float, received: float) -> float:
        """Return when the answer to audio that came at ``received`` is due."""
        self._busy_until = max(self._busy_until, received) + self.service
        return self._busy_until + self.delay_of(uid, end)


class _Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._transport: asyncio.Transport
        self._head = bytearray()
        self._skip = 0
        """Bytes of the present message's audio still to come."""
        self._upgraded = False
        self._uid = ""
        self._begun = False
        self._heard = 0
        self._answered = 0
        self._waiting = 0
        self._bytes_a_second = SAMPLE_RATE * 4
        self._segments: list[dict[str, object]] = []
        self._at_end = False

    # --- bytes --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = time.monotonic()
        view = memoryview(data)
        if self._skip:
            skipped = min(self._skip, len(view))
            self._skip -= skipped
            self._count(skipped, received)
            view = view[skipped:]
        if not view:
            return
        self._head += view
        if len(self._head) > _LARGEST_HEAD + _LARGEST_READ:
            self._transport.abort()
            return
        if not self._upgraded and not self._shake_hands():
            return
        while not self._transport.is_closing() and self._frame(received):
            pass

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._begun:
            self._begun = False
            self._sink.active -= 1

    def _shake_hands(self) -> bool:
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return False
        lines = bytes(self._head[:end]).split(b"\r\n")[1:]
        del self._head[: end + 4]
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(b":") for line in lines)
        }
        key = self._sink.api_key
        if key is not None and fields.get(b"authorization") != f"Bearer {key}".encode():
            self._transport.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
            self._transport.close()
            return False
        accept = hashlib.sha1(fields.get(b"sec-websocket-key", b"") + _GUID).digest()  # noqa: S324
        answer = [
            b"HTTP/1.1 101 Switching Protocols",
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Accept: " + base64.b64encode(accept),
        ]
        if self._sink.replica:
            answer.append(f"{REPLICA_HEADER}: {self._sink.replica}".encode())
        self._transport.write(b"\r\n".join(answer) + b"\r\n\r\n")
        self._upgraded = True
        return True

    def _frame(self, received: float) -> bool:
        """Take in the next frame; return False where more bytes are needed first."""
        head = self._head
        if len(head) < 2:
            return False
        opcode, length = head[0] & 0x0F, head[1] & 0x7F
        start = 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(head) < 2 + size:
                return False
            length = int.from_bytes(head[2 : 2 + size], "big")
            start += size
        start += 4  # the mask
        if opcode == 0x2 and length != len(END_OF_AUDIO):
            if len(head) < start:
                return False
            here = min(length, len(head) - start)
            self._skip = length - here
            del head[: start + here]
            self._count(here, received)
            return bool(head)
        if length > _LARGEST_HEAD:
            self._transport.abort()
            return False
        if len(head) < start + length:
            return False
        mask = head[start - 4 : start]
        data = bytes(byte ^ mask[i % 4] for i, byte in enumerate(head[start : start + length]))
        del head[: start + length]
        self._message(opcode, data)
        return True

    def _send(self, opcode: int, data: bytes) -> None:
        if self._transport.is_closing():
            return
        if len(data) < 126:
            head = struct.pack("!BB", 0x80 | opcode, len(data))
        else:
            head = struct.pack("!BBH", 0x80 | opcode, 126, len(data))
        self._transport.write(head + data)

    def _say(self, **body: object) -> None:
        self._send(_TEXT, json.dumps({"uid": self._uid} | body).encode())

    def _close(self, code: int = 1000) -> None:
        self._send(_CLOSE, struct.pack("!H", code))

    # --- the protocol -------------------------------------------------------------------------

    def _message(self, opcode: int, data: bytes) -> None:
        if opcode == _CLOSE:
            self._send(_CLOSE, data[:2])
            self._transport.close()
        elif opcode == _PING:
            self._send(_PONG, data)
        elif data == END_OF_AUDIO:
            self._sink.ended.add(self._uid)
            self._at_end = True
            self._close_when_answered()
        elif opcode == _TEXT and not self._begun:
            self._begin(data)

    def _begin(self, data: bytes) -> None:
        options = json.loads(data)
        sink, self._uid = self._sink, str(options["uid"])
        sink.connections[self._uid] = sink.connections.get(self._uid, 0) + 1
        sample_bytes = AudioFormat(options.get("audio_format", "float32")).sample_bytes
        self._bytes_a_second = SAMPLE_RATE * sample_bytes
        full = sink.limit is not None and sink.active >= sink.limit
        match "wait" if full else sink.refuse:
            case "wait":
                self._say(status="WAIT", message=1.5)
            case "error":
                self._say(status="ERROR", message="no such model")
            case "garbage":
                self._send(_TEXT, b"this is not JSON")
            case "close":
                pass
            case "never":
                return
            case _:
                self._begun = True
                sink.active += 1
                sink.received.setdefault(self._uid, 0)
                self._say(message="SERVER_READY", backend="faster_whisper", flush=sink.flush)
                return
        self._close()

    def _count(self, nbytes: int, received: float) -> None:
        """Take in so many bytes of audio, and see to the answers that they complete."""
        sink = self._sink
        if not self._begun:
            return
        self._heard += nbytes
        sink.received[self._uid] += nbytes
        if self._skip:
            return  # the message isn't whole
        seconds = self._heard / self._bytes_a_second
        cuts = sink.disconnects is None or sink.disconnects > 0
        if sink.disconnect_after is not None and seconds >= sink.disconnect_after and cuts:
            if sink.disconnects is not None:
                sink.disconnects -= 1
            self._transport.abort()
            return
        while sink.refuse != "silence" and seconds >= (self._answered + 1) * sink.step - 1e-6:
            self._answered += 1
            self._waiting += 1
            end = self._answered * sink.step
            due = sink.due(self._uid, end, received)
            asyncio.get_running_loop().call_at(
                due, self._answer, self._answered, end, received, due
            )

    def _answer(self, index: int, end: float, received: float, due: float) -> None:
        sink = self._sink
        if self._transport.is_closing():
            return
        self._waiting -= 1
        self._segments.append(
            {
                "start": f"{end - sink.step:.3f}",
                "end": f"{end:.3f}",
                "text": f" {sink.text(index)}",
                "completed": True,
            }
        )
        del self._segments[:-10]
        self._say(segments=self._segments)
        sent = time.monotonic()
        sink.injected.append(sent - received)
        sink.late.append(sent - due)
        self._close_when_answered()

    def _close_when_answered(self) -> None:
        if self._at_end and not self._waiting:
            self._close()


@asynccontextmanager
async def serving(sink: Sink, security: ssl.SSLContext | None = None) -> AsyncIterator[Sink]:
    """Serve a sink on its port, a free one where that is 0; with ``security`` over TLS."""
    server = await asyncio.get_running_loop().create_server(
        lambda: _Session(sink),
        sink.host,
        sink.port,
        backlog=4096,
        ssl=security,
    )
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        server.close()
