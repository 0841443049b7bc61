"""What containers use, from Docker's stream of statistics: one frame a second, read in threads.

A single question takes Docker one to two seconds, because it waits for two readings; a stream that
stays open gives one a second for little. Each stream has a thread, which ends when the container is
removed or when nobody has asked for a while.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import docker
from docker.errors import InvalidVersion

from stack.docker.client import connect
from stack.docker.frames import Limits, counters_of, limits_of, memory_of, read_at
from stack.spec import MAX_REPLICAS
from stack.status import PartSample
from stack.telemetry.rates import Counters

STALE: Final = 3.0
"""Seconds after which a frame is no figure of now: Docker sends one a second."""
FORGET: Final = 10.0
"""Seconds after which a stream that nobody reads ends."""
_TIMEOUT: Final = 5
"""Seconds that Docker may be silent before the stream is opened anew."""
_PAUSE: Final = 1.0
_LIMITS_AGE: Final = 10.0
"""Seconds after which the limits are asked for again: ``docker update`` changes them."""
_LARGEST_FRAME: Final = 256 * 1024
"""Bytes; a frame has about 2 KB, more with many cores and devices."""


@dataclass(slots=True)
class _Stream:
    """One container's stream, and what its last frames said."""

    container: str
    asked_at: float
    thread: threading.Thread | None = None
    counters: Counters = field(default_factory=Counters)
    memory: int | None = None
    limits: Limits = field(default_factory=Limits)
    limits_at: float = float("-inf")
    frame_at: float = float("-inf")
    """Monotonic second of the last frame that had figures."""


class StatsStreams:
    """Keeps a stream open for each container asked about. Implements ``sampler.UsageReader``."""

    name = "docker"
    settling = 2.5

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._connecting = threading.Lock()
        self._client: docker.DockerClient | None = None

    def read(self, parts: Iterable[str]) -> dict[str, PartSample]:
        """Return what each container used, by its id; one without a frame of now is left out."""
        now = time.monotonic()
        found = {}
        with self._lock:
            for container in parts:
                stream = self._streams.get(container)
                if stream is None:
                    stream = self._streams[container] = _Stream(container, now)
                stream.asked_at = now
                if stream.thread is None or not stream.thread.is_alive():
                    stream.thread = threading.Thread(
                        target=self._follow,
                        args=(stream,),
                        name=f"docker stats {container[:12]}",
                        daemon=True,
                    )
                    stream.thread.start()
                if now - stream.frame_at <= STALE:
                    found[container] = _sample(stream)
        return found

    @property
    def open_streams(self) -> int:
        """Streams whose threads live."""
        with self._lock:
            return sum(
                stream.thread is not None and stream.thread.is_alive()
                for stream in self._streams.values()
            )

    def _wanted(self, stream: _Stream) -> bool:
        """Tell whether somebody still asks; forgets the stream otherwise."""
        with self._lock:
            if time.monotonic() - stream.asked_at <= FORGET:
                return True
            if self._streams.get(stream.container) is stream:
                del self._streams[stream.container]
            idle = None
            if not self._streams:
                idle, self._client = self._client, None
        if idle is not None:
            idle.close()
        return False

    def _follow(self, stream: _Stream) -> None:
        """Read a container's stream until it is removed or nobody asks any more."""
        while self._wanted(stream):
            # Whatever goes wrong, a container that is gone and an engine that restarts among it:
            # its figures are missing, and it is tried again while somebody asks.
            with contextlib.suppress(Exception):
                self._read_stream(stream)
            if self._wanted(stream):
                time.sleep(_PAUSE)

    def _connect(self) -> docker.DockerClient:
        # With a lock of its own: nobody waits for an engine that hangs but who needs it.
        with self._connecting:
            if self._client is None:
                self._client = connect(timeout=_TIMEOUT, connections=MAX_REPLICAS + 1)
            return self._client

    def _read_stream(self, stream: _Stream) -> None:
        client = self._connect()
        api = client.api
        self._look_at_limits(client, stream)
        with contextlib.suppress(InvalidVersion):
            # At once, where the stream's first frame takes a second: rates come a second earlier.
            self._take(stream, api.stats(stream.container, stream=False, one_shot=True))
        rest = b""
        with contextlib.closing(api.stats(stream.container, stream=True, decode=False)) as chunks:
            for chunk in chunks:
                *frames, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LARGEST_FRAME:
                    raise ValueError("This is no stream of statistics.")
                for frame in frames:
                    if frame.strip():
                        self._take(stream, json.loads(frame))
                if not self._wanted(stream):
                    return
                if time.monotonic() - stream.limits_at > _LIMITS_AGE:
                    self._look_at_limits(client, stream)

    def _look_at_limits(self, client: docker.DockerClient, stream: _Stream) -> None:
        limits = limits_of(client.api.inspect_container(stream.container)["HostConfig"])
        with self._lock:
            stream.limits, stream.limits_at = limits, time.monotonic()

    def _take(self, stream: _Stream, frame: Any) -> None:
        """Take in a frame; one of a container that does not run has no figures."""
        at = read_at(frame) if isinstance(frame, Mapping) else None
        with self._lock:
            if at is None:
                stream.counters, stream.frame_at = Counters(), float("-inf")
                return
            stream.counters.add(at, counters_of(frame))
            stream.memory = memory_of(frame)
            stream.frame_at = time.monotonic()


def _sample(stream: _Stream) -> PartSample:
    rate = stream.counters.rate
    return PartSample(
        cpu=rate("cpu"),
        cpu_limit=stream.limits.cpu,
        throttled=rate("throttled"),
        memory=stream.memory,
        memory_limit=stream.limits.memory,
        network_received=rate("received"),
        network_sent=rate("sent"),
        disk_read=rate("read"),
        disk_written=rate("written"),
    )
