"""The listening socket and the HTTP server around a replica's application."""

import contextlib
import socket
from collections.abc import Generator
from typing import Final

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from stack.protocol import MAX_MESSAGE_BYTES
from stack.replica.server import Replica


class PortUnavailableError(Exception):
    """The port can't be opened; the text says why, in a sentence for people."""


SEND_BUFFER: Final = 128 * 1024
"""Bytes that the kernel keeps for a client that does not read. By itself it would let several MB
gather before the session is noticed to be slow."""

LINGER: Final = 10.0
"""Seconds after a session in which its last messages may still be read."""


class Protocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, without waiting for ever for a client that does not read."""

    async def run_asgi(self) -> None:
        """Serve the connection and see to its end."""
        await super().run_asgi()
        self.loop.call_later(LINGER, self.transport.abort)


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the process with the signal's code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the caller."""
        yield


def make_server(replica: Replica) -> Server:
    """Make the server of a replica; run it with ``serve(sockets=[listen(…)])``."""
    return Server(
        uvicorn.Config(
            replica.app,
            ws=Protocol,
            ws_max_size=MAX_MESSAGE_BYTES,
            # Pings end sessions that are merely slow, and reading pauses while a session's audio
            # waits, so a pong may be late for good reason. See listen for what ends dead ones.
            ws_ping_interval=None,
            ws_per_message_deflate=False,  # noise does not compress; it costs time on both sides
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; port 0 takes a free one. Raises PortUnavailableError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small messages at once (TCP_NODELAY) only on sockets that say they are TCP's;
    # without it the second of two answers waits up to 40 ms for the first to be acknowledged.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted sockets inherit the kernel's own probes. They notice machines that are gone, and are
    # answered however busy a program is.
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if hasattr(socket, "TCP_KEEPIDLE"):
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    try:
        opened.bind((host, port))
        # Two processes may bind one address; only one may listen.
        opened.listen(1024)
    except OSError as error:
        opened.close()
        reason = (error.strerror or str(error)).lower()
        raise PortUnavailableError(
            f"Port {port} on {host} can't be opened: {reason}; choose another with --port."
        ) from None
    return opened
