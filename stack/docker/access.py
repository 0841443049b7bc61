"""nginx's access log, followed line by line in a thread: what became of the requests of now.

Docker sends a line as it is written, so that a quiet balancer costs a thread that waits. The stream
begins at the first look and ends with its container, or when nobody has looked for a while.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from stack.balancer.access import LONGEST_LINE, AccessAnswer, AccessCounts, parse_access
from stack.docker.client import connect

FORGET: Final = 10.0
"""Seconds after which a log that nobody looks at is not followed any more."""
_PAUSE: Final = 1.0
"""Seconds from the end of a stream, as of a container that restarts, until it is opened anew; and
between two looks whether anybody still wants it."""
_CAUGHT_UP: Final = 10_000
"""Lines that are read at most of what was written meanwhile."""


class LogStream(Protocol):
    """Blocks of a container's log, each line with the time of its writing before it."""

    def __iter__(self) -> Iterator[bytes]:
        """Wait for the next block; the end is the container's."""
        ...

    def close(self) -> None:
        """End it, from whatever thread: who waits for a block sees its end."""
        ...


Opener = Callable[[str, float, int], LogStream]
"""Takes a container's id, the second of the epoch to begin at, and the most earlier lines."""


@dataclass(slots=True)
class _Log:
    container: str
    asked_at: float
    counts: AccessCounts = field(default_factory=AccessCounts)
    last: str = ""
    """The time that the last line has: what is read again after a gap is not counted again."""
    began: float = field(default_factory=time.time)
    open_now: LogStream | None = None
    known: bool = False
    """It has been opened once, so that its counts are counts."""
    wanted: bool = True


class AccessLogs:
    """Follows the access log of each container asked about."""

    def __init__(self, opener: Opener | None = None) -> None:
        self._open = opener or _docker_stream
        self._lock = threading.Lock()
        self._logs: dict[str, _Log] = {}
        self._reaper: threading.Thread | None = None

    def read(self, container: str) -> AccessAnswer | None:
        """Return the figures of now; None until the log could be opened. Waits for nothing."""
        now = time.monotonic()
        with self._lock:
            log = self._logs.get(container)
            if log is None:
                log = self._logs[container] = _Log(container, now)
                self._start(self._follow, f"access log {container[:12]}", log)
            log.asked_at = now
            if self._reaper is None:
                self._reaper = self._start(self._reap, "access logs")
            return log.counts.answer(now) if log.known else None

    @property
    def followed(self) -> int:
        """Logs that are followed."""
        with self._lock:
            return len(self._logs)

    def close(self) -> None:
        """Let go of all of them; the next look begins anew."""
        with self._lock:
            for log in self._logs.values():
                log.asked_at = float("-inf")
        self._let_go()

    def _start(self, work: Callable[..., None], name: str, *arguments: Any) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
        thread.start()
        return thread

    def _reap(self) -> None:
        while True:
            time.sleep(_PAUSE)
            self._let_go()
            with self._lock:
                if not self._logs:
                    self._reaper = None
                    return

    def _let_go(self) -> None:
        """End the streams that nobody looks at any more."""
        now = time.monotonic()
        with self._lock:
            idle = [log for log in self._logs.values() if now - log.asked_at > FORGET]
            for log in idle:
                log.wanted = False
                del self._logs[log.container]
            streams = [log.open_now for log in idle if log.open_now is not None]
        for stream in streams:
            # Its thread may be about to close it itself.
            with contextlib.suppress(Exception):
                stream.close()

    def _follow(self, log: _Log) -> None:
        while log.wanted:
            # Whatever goes wrong, a container that is gone and an engine that restarts among it:
            # it is tried again while somebody asks.
            with contextlib.suppress(Exception):
                self._read_stream(log)
            if log.wanted:
                time.sleep(_PAUSE)

    def _read_stream(self, log: _Log) -> None:
        stream = self._open(log.container, log.began, _CAUGHT_UP if log.known else 0)
        with contextlib.closing(stream):
            with self._lock:
                log.open_now, log.known = stream, True
            try:
                if log.wanted:
                    self._read_blocks(log, stream)
            finally:
                with self._lock:
                    log.open_now = None

    def _read_blocks(self, log: _Log, stream: LogStream) -> None:
        rest, known = b"", log.last
        for block in stream:
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > LONGEST_LINE:
                rest = b""  # what comes of it is no line of ours
            for line in lines:
                self._take(log, line, known)

    def _take(self, log: _Log, raw: bytes, known: str) -> None:
        """Count a line, unless an earlier stream, whose last line was of ``known``, had it."""
        stamp, _, text = raw.decode("utf-8", "replace").partition(" ")
        if stamp <= known:
            return
        access = parse_access(text)
        with self._lock:
            log.last = stamp
            if access is not None:
                log.counts.add(time.monotonic(), access)


class _DockerStream:
    """A stream with a connection of its own: it waits for as long as nobody talks to the stack."""

    def __init__(self, container: str, since: float, tail: int) -> None:
        self._client = connect(timeout=None)
        try:
            self._stream: Any = self._client.api.logs(
                container,
                stdout=True,
                stderr=False,
                stream=True,
                follow=True,
                timestamps=True,
                since=since,
                tail=tail,
            )
        except BaseException:
            self._client.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._stream.close()
        self._client.close()


def _docker_stream(container: str, since: float, tail: int) -> LogStream:
    return _DockerStream(container, since, tail)
