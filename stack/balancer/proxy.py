"""The balancer's sockets: read a request's head, choose a replica, pass the bytes both ways.

Only the two heads are looked at. What follows is passed on unparsed, so that streams of any length
and messages of any size go through, and a session costs two copies and nothing else.
"""

import asyncio
import json
import logging
import re
import socket
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from stack.balancer.access import Access, AccessCounts
from stack.balancer.config import BalancerConfig, Target
from stack.balancer.strategy import order
from stack.protocol import REPLICA_HEADER
from stack.spec import Strategy

MAX_HEAD_BYTES: Final = 32 * 1024
HEAD_TIMEOUT: Final = 10.0
"""Seconds a client may take for its request's head."""
CONNECT_TIMEOUT: Final = 3.0
ANSWER_TIMEOUT: Final = 60.0
"""Seconds a replica may take for its answer's head."""
PENALTY: Final = 2.0
"""Seconds for which a replica that could not be reached is tried last."""
LINGER: Final = 5.0
"""Seconds in which the rest of an upload is read after its answer: a connection that is closed with
bytes unread is reset, and the answer is lost with it."""
BLOCK: Final = 64 * 1024
CLIENT_LEFT: Final = 499
"""As nginx calls a request whose client went before it had an answer."""
STATUS_PATH: Final = "/balancer/status"

_log = logging.getLogger("stack.balancer")


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _BadRequestError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Head:
    raw: bytes
    path: str
    upgrade: bool
    owner: str
    """The session's uid, or the key it comes with; empty without either."""


@dataclass(slots=True)
class _Course:
    """What becomes of a request on its way."""

    began: float = field(default_factory=time.monotonic)
    status: int | None = None
    """None: it is not to be counted."""
    replica: str = ""
    connects: list[float] = field(default_factory=list)


class Balancer:
    """Serves one port. ``configure`` changes where new sessions go and touches no open one."""

    def __init__(self, config: BalancerConfig) -> None:
        self._config = config
        self._turn = 0
        self._open: Counter[str] = Counter()
        self._total: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._avoid_until: dict[str, float] = {}
        self._accepted = 0
        self._requests = 0
        self._access = AccessCounts()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def configure(self, config: BalancerConfig) -> None:
        """Send new sessions by this configuration from now on."""
        self._config = config

    @property
    def open_sessions(self) -> int:
        """Connections that are being passed on."""
        return self._open.total()

    async def start(self, listening: socket.socket) -> None:
        """Serve a bound socket."""
        self._server = await asyncio.start_server(self._accept, sock=listening, backlog=1024)

    async def stop(self, deadline: float) -> None:
        """Take no new connection; the open ones may go on for ``deadline`` seconds."""
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=deadline)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._tasks.add(task)
        self._accepted += 1
        course = _Course()
        try:
            _no_delay(writer)
            await self._serve(reader, writer, course)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass  # either side went away: that is theirs to do
        except _BadRequestError as error:
            course.status = HTTPStatus.BAD_REQUEST
            await _refuse((reader, writer), "400 Bad Request", str(error))
        finally:
            self._note(course)
            self._tasks.discard(task)
            writer.close()

    def _note(self, course: _Course) -> None:
        """Count a request that has ended; connections without any are none."""
        if course.status is None:
            return
        now = time.monotonic()
        seconds = now - course.began
        self._access.add(now, Access(course.status, course.replica, course.connects, seconds))

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, course: _Course
    ) -> None:
        head = await _read_head(reader, HEAD_TIMEOUT)
        if head is None:
            return
        course.began = time.monotonic()
        request = _parse(head)
        self._requests += 1
        if request.path == STATUS_PATH:
            await _answer(writer, "200 OK", self.status())
            return
        course.status = CLIENT_LEFT
        peer = writer.get_extra_info("peername")
        address = str(peer[0]) if peer else "unknown"
        forwarded = _prepare(request, address)
        config = self._config
        now = time.monotonic()
        turn, self._turn = self._turn, self._turn + 1
        hashed = config.strategy is Strategy.CONSISTENT_HASH and request.owner
        key = request.owner if hashed else address
        candidates = order(config.strategy, config.targets, turn, self._open, key)
        # False sorts before True: those that could not be reached lately come last.
        candidates.sort(key=lambda target: self._avoid_until.get(target.name, 0.0) > now)
        for target in candidates:
            # Counted before the first await, so that sessions that come together spread.
            self._open[target.name] += 1
            try:
                asked = time.monotonic()
                course.replica = target.name
                upstream = await self._connect(target)
                if upstream is None:
                    continue
                course.connects.append(time.monotonic() - asked)
                self._total[target.name] += 1
                streams = (reader, writer), upstream
                answered = await self._pass_on(target, forwarded, *streams, course)
            finally:
                self._open[target.name] -= 1
            if not answered:
                course.status = HTTPStatus.BAD_GATEWAY
                why = f"{target.name} did not answer."
                await _refuse((reader, writer), "502 Bad Gateway", why)
            return
        course.status = HTTPStatus.SERVICE_UNAVAILABLE
        await _refuse(
            (reader, writer),
            "503 Service Unavailable",
            "No replica takes sessions now; try again in a moment.",
        )

    async def _connect(self, target: Target) -> Streams | None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await asyncio.open_connection(target.host, target.port, limit=BLOCK)
        except (OSError, TimeoutError) as error:
            self._failed[target.name] += 1
            self._avoid_until[target.name] = time.monotonic() + PENALTY
            _log.warning("%s can't be reached: %s", target.name, error or "time-out")
            return None

    async def _pass_on(
        self,
        target: Target,
        request: bytes,
        client: Streams,
        upstream: Streams,
        course: _Course,
    ) -> bool:
        """Pass bytes both ways until the replica's end; False if it never began to answer."""
        reader, writer = client
        upstream_reader, upstream_writer = upstream
        _no_delay(upstream_writer)
        upload: asyncio.Task[None] | None = None
        try:
            upstream_writer.write(request)
            # A request's body may follow before the answer's head comes.
            upload = asyncio.create_task(_upload(reader, upstream_writer))
            try:
                answer = await _read_head(upstream_reader, ANSWER_TIMEOUT)
            except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, _BadRequestError):
                answer = None
            if answer is None:
                self._failed[target.name] += 1
                return False
            course.status = _status_of(answer)
            writer.write(_name_replica(answer, target.name))
            # The replica's end is the end. A client that has only finished sending still listens.
            await _copy(upstream_reader, writer)
            return True
        finally:
            if upload is not None:
                await _end(upload)
            upstream_writer.close()

    def status(self) -> dict[str, object]:
        """Return the figures: open and total sessions and failures per replica, and connections.

        The connection that asks is not among the active ones.
        """
        names = {target.name for target in self._config.targets}
        names |= set(self._total) | set(self._failed)
        return {
            "strategy": self._config.strategy.value,
            "targets": [target.name for target in self._config.targets],
            "connections": {
                "active": self.open_sessions,
                "accepted": self._accepted,
                "handled": self._accepted,  # it drops none
                "requests": self._requests,
            },
            "replicas": {
                name: {
                    "open": self._open[name],
                    "total": self._total[name],
                    "failed": self._failed[name],
                }
                for name in sorted(names)
            },
            "access": asdict(self._access.answer(time.monotonic())),
        }


def _status_of(head: bytes) -> int:
    """Return an answer's status; one that has none is no gateway's."""
    found = re.match(rb"HTTP/1\.\d (\d{3})\b", head)
    return int(found[1]) if found else int(HTTPStatus.BAD_GATEWAY)


async def _read_head(reader: asyncio.StreamReader, timeout: float) -> bytes | None:
    """Read up to and with the empty line; None when the peer closed before the first byte."""
    async with asyncio.timeout(timeout):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                return None
            raise
        except asyncio.LimitOverrunError:
            raise _BadRequestError(f"The head is over {MAX_HEAD_BYTES} bytes.") from None
    if len(head) > MAX_HEAD_BYTES:
        raise _BadRequestError(f"The head is over {MAX_HEAD_BYTES} bytes.")
    return head


def _parse(head: bytes) -> _Head:
    lines = head.split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        raise _BadRequestError("This is no HTTP/1.1 request.")
    fields = {
        name.strip().lower(): value.strip().lower()
        for name, _, value in (line.partition(b":") for line in lines[1:])
    }
    path, _, query = parts[1].decode("latin-1").partition("?")
    try:
        asked = parse_qs(query, max_num_fields=100)
    except ValueError:
        raise _BadRequestError("The query has too many fields.") from None
    owner = (
        *asked.get("uid", ()),
        fields.get(b"authorization", b"").decode("latin-1"),
        *asked.get("token", ()),
    )
    return _Head(head, path, fields.get(b"upgrade") == b"websocket", next(filter(None, owner), ""))


def _prepare(request: _Head, peer: str) -> bytes:
    """Return the head to send on: who asked, and for plain HTTP an end after one answer."""
    lines = request.raw[:-4].split(b"\r\n")
    kept = [
        line
        for line in lines[1:]
        if not line.lower().startswith(b"x-forwarded-for:")
        and (request.upgrade or not line.lower().startswith(b"connection:"))
    ]
    kept.append(b"X-Forwarded-For: " + peer.encode("latin-1", "replace"))
    if not request.upgrade:
        kept.append(b"Connection: close")
    return b"\r\n".join([lines[0], *kept]) + b"\r\n\r\n"


def _name_replica(head: bytes, name: str) -> bytes:
    """Add X-Replica to an answer's head, unless the replica has named itself."""
    header = REPLICA_HEADER.encode().lower() + b":"
    if any(line.lower().startswith(header) for line in head.split(b"\r\n")[1:]):
        return head
    return head[:-2] + f"{REPLICA_HEADER}: {name}\r\n\r\n".encode()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the end, no faster than they are taken."""
    while block := await reader.read(BLOCK):
        writer.write(block)
        await writer.drain()
    if writer.can_write_eof():
        with suppress(OSError):
            writer.write_eof()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _upload(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass a client's bytes on; a client that broke off breaks the replica's connection too."""
    try:
        await _copy(reader, writer)
    except OSError:
        writer.transport.abort()


async def _refuse(client: Streams, status: str, why: str) -> None:
    """Answer what goes to no replica, or came back from none, and read what still comes of it."""
    reader, writer = client
    await _answer(writer, status, {"error": why})
    with suppress(OSError, TimeoutError):
        if writer.can_write_eof():
            writer.write_eof()
        async with asyncio.timeout(LINGER):
            while await reader.read(BLOCK):
                pass


async def _answer(writer: asyncio.StreamWriter, status: str, body: dict[str, object]) -> None:
    data = json.dumps(body).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    )
    with suppress(ConnectionError):
        writer.write(head.encode() + data)
        await writer.drain()


def _no_delay(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
