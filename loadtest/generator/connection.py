"""A load client's WebSocket: websockets' protocol core, without I/O, on an asyncio transport.

A load generator has to send ten thousand messages a second from one core and to know exactly when
each answer came. So ready-made frames go straight to the transport, and a message's moment is taken
when its last byte is read, not when a task gets its turn.
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidMessage
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import SEND_EOF, State
from websockets.uri import WebSocketURI, parse_uri

from loadtest.generator.splitting import FrameSplitter
from stack.protocol import MAX_MESSAGE_BYTES

_HEAD_END: Final = b"\r\n\r\n"
_CONTROL: Final = frozenset({Opcode.CLOSE, Opcode.PING, Opcode.PONG})

Receive = Callable[[bytes, float], None]
"""Takes a whole message and the monotonic second at which its last byte was read."""


def encode_frame(data: bytes | memoryview) -> bytes:
    """Make a binary message's frame, masked as clients have to (RFC 6455, 5.3).

    The mask is drawn once for all who send the frame. It has to be unforeseeable only to scripts
    that could trick a proxy with bytes of their choosing; recorded speech can't.
    """
    return Frame(Opcode.BINARY, bytes(data)).serialize(mask=True)


class Connection(asyncio.Protocol):
    """One connection, from the TCP handshake to its end."""

    def __init__(self, target: WebSocketURI, headers: Mapping[str, str]) -> None:
        self._core = ClientProtocol(target, max_size=MAX_MESSAGE_BYTES)
        self._splitter = FrameSplitter(MAX_MESSAGE_BYTES)
        self._framed = False
        """Whether frames come; not before the handshake, nor after the server's last frame."""
        self._head_end = b""
        self._headers = headers
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self.open_for_audio = False
        """Whether what is sent still reaches anybody."""
        self._gone = asyncio.Event()
        self._at_end = False
        self._fragments: list[bytes] = []
        self._receive: Receive | None = None
        self._early: list[tuple[bytes, float]] = []
        self.ended = asyncio.Event()
        """Set when the server has closed, or the connection was lost."""
        self.response: Response | None = None
        self.paused: Callable[[bool], None] | None = None
        """Told when the server stops taking data, and when it goes on."""

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        security: ssl.SSLContext | None = None,
    ) -> "Connection":
        """Connect and shake hands within ``timeout`` seconds.

        Raises OSError (nobody listens, TLS fails), TimeoutError, and websockets' InvalidHandshake.
        """
        target = parse_uri(url)
        loop = asyncio.get_running_loop()
        connection = cls(target, headers or {})
        try:
            async with asyncio.timeout(timeout):
                await loop.create_connection(
                    lambda: connection,
                    target.host,
                    target.port,
                    ssl=security,
                    server_hostname=target.host if security else None,
                )
                await connection._opened
        except BaseException:
            connection.abort()
            raise
        return connection

    # --- asyncio.Protocol ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake's request."""
        # Another event loop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)
        request = self._core.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._core.send_request(request)
        self._write()

    def data_received(self, data: bytes) -> None:
        """Pass what came to the core, and on what comes out of it."""
        received = time.monotonic()
        if self.response is None and (data := self._read_head(data, received)) == b"":
            return
        if not self._framed:
            self._core.receive_data(data)
            self._events(received)
            return
        for is_message, part in self._splitter.split(data):
            if is_message and self._framed:
                self._deliver(part, received)
            else:
                self._core.receive_data(part)
                self._events(received)

    def _read_head(self, data: bytes, received: float) -> bytes:
        """Pass on what belongs to the handshake's response; return what comes after its head."""
        before, self._head_end = self._head_end, (self._head_end + data)[-len(_HEAD_END) + 1 :]
        place = (before + data).find(_HEAD_END)
        end = len(data) if place < 0 else place + len(_HEAD_END) - len(before)
        self._core.receive_data(data[:end])
        self._events(received)
        return data[end:]

    def eof_received(self) -> bool:
        """Take in the end of the server's data; the transport is closed then."""
        self._end_of_data()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake everybody who waits for this connection."""
        self._end_of_data()
        if not self._opened.done():
            self._opened.set_exception(
                InvalidMessage("the connection was lost") if exc is None else exc
            )
            # Nobody waits any more after a timeout.
            self._opened.exception()
        self.ended.set()
        self._gone.set()

    def _end_of_data(self) -> None:
        if not self._at_end:
            self._at_end = True
            self.open_for_audio = False
            self._core.receive_eof()
            self._events(time.monotonic())

    def pause_writing(self) -> None:
        """Pass on that the server takes no more data."""
        if self.paused is not None:
            self.paused(True)

    def resume_writing(self) -> None:
        """Pass on that it does again."""
        if self.paused is not None:
            self.paused(False)

    def _events(self, received: float) -> None:
        for event in self._core.events_received():
            if isinstance(event, Response):
                self.response = event
            elif isinstance(event, Frame) and event.opcode not in _CONTROL:
                self._fragments.append(bytes(event.data))
                if event.fin:
                    message = b"".join(self._fragments)
                    self._fragments.clear()
                    self._deliver(message, received)
        self._write()
        core = self._core
        self._framed = (
            core.state not in (State.CONNECTING, State.CLOSED)
            and core.close_rcvd is None
            and core.parser_exc is None
        )
        self._look_whether_open()
        if not self._opened.done():
            if self._core.handshake_exc is not None:
                self._opened.set_exception(self._core.handshake_exc)
                self._opened.exception()
                self.abort()
            elif self._core.state is not State.CONNECTING:
                self._opened.set_result(None)
        if self._core.state not in (State.CONNECTING, State.OPEN):
            self.ended.set()

    def _deliver(self, message: bytes, received: float) -> None:
        if self._receive is None:
            self._early.append((message, received))
        else:
            self._receive(message, received)

    def _write(self) -> None:
        transport = self._transport
        assert transport is not None  # noqa: S101
        for data in self._core.data_to_send():
            if data != SEND_EOF:
                transport.write(data)
            elif transport.can_write_eof() and not transport.is_closing():
                transport.write_eof()

    # --- for the client -----------------------------------------------------------------------

    def listen(self, receive: Receive) -> None:
        """Hand every message to ``receive``, those that came before first."""
        self._receive = receive
        early, self._early = self._early, []
        for message, received in early:
            receive(message, received)

    def _look_whether_open(self) -> None:
        self.open_for_audio = self._core.state is State.OPEN and not self._at_end

    def send_text(self, text: str) -> None:
        """Send a text message; nothing on a connection that is ending."""
        if not self.open_for_audio:
            return
        self._core.send_text(text.encode())
        self._write()

    def send_frame(self, frame: bytes) -> None:
        """Send a whole frame that ``encode_frame`` made; nothing on a connection that is ending."""
        if self.open_for_audio and self._transport is not None:
            self._transport.write(frame)

    @property
    def close_code(self) -> int | None:
        """The code of the server's close, 1006 where it went without one; None while open."""
        received = self._core.close_rcvd
        if received is not None:
            return int(received.code)
        return 1006 if self.ended.is_set() else None

    @property
    def breach(self) -> str | None:
        """How the server broke the WebSocket protocol, where it did."""
        error = self._core.parser_exc
        return None if error is None or isinstance(error, EOFError) else str(error)

    @property
    def close_reason(self) -> str:
        """What the server said when it closed."""
        return self._core.close_rcvd.reason if self._core.close_rcvd is not None else ""

    async def close(self, *, timeout: float = 1.0) -> None:
        """Close in order, or not in order after ``timeout`` seconds."""
        if self._core.state is State.OPEN:
            self._core.send_close(1000)
            self._look_whether_open()
            self._write()
        try:
            async with asyncio.timeout(timeout):
                await self._gone.wait()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Let go of the connection at once."""
        self.open_for_audio = False
        if self._transport is not None:
            self._transport.abort()
