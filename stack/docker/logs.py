"""Reading the containers' logs: the end of each, and what comes, also of containers that come."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from typing import Any, Final

import docker
import requests
from docker.errors import APIError, DockerException

from stack.balancer.access import for_people
from stack.docker.client import connect
from stack.docker.containers import (
    BALANCER,
    GENERATOR,
    LABEL_PART,
    of_stack,
)
from stack.docker.errors import explained
from stack.status import LogLine

_LOOK_INTERVAL: Final = 1.0
_QUEUE: Final = 10_000
"""Lines kept for a reader that is slower than the containers; then they wait."""


def parts(client: docker.DockerClient, stack: str) -> list[str]:
    """Return the names of the parts that have a container."""
    return sorted(_containers(client, stack), key=lambda part: (len(part), part))


def _containers(client: docker.DockerClient, stack: str) -> dict[str, str]:
    with explained("list containers"):
        found = client.api.containers(all=True, filters=of_stack(stack))
    ids = {one["Labels"].get(LABEL_PART, ""): str(one["Id"]) for one in found}
    return {part: container for part, container in ids.items() if part and part != GENERATOR}


def last_line(client: docker.DockerClient, container: str) -> str:
    """Return the last line that a container wrote, or nothing."""
    try:
        said = client.api.logs(container, tail=5)
    except (DockerException, requests.RequestException):
        return ""
    lines = said.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[:400] if lines else ""


async def read(
    client: docker.DockerClient, stack: str, part: str | None, *, follow: bool, tail: int
) -> AsyncIterator[LogLine]:
    """Yield the last ``tail`` lines of one part or of all, in the order they were written."""
    known = await asyncio.to_thread(_wanted, client, stack, part)
    ends = await asyncio.gather(
        *(asyncio.to_thread(_tail, client, name, ident, tail) for name, ident in known.items())
    )
    stamped = sorted((line for lines in ends for line in lines), key=lambda line: line[0])
    for _, line in stamped[-tail:]:
        yield line
    if not follow:
        return
    since = {name: lines[-1][0] if lines else "" for name, lines in zip(known, ends, strict=True)}
    async for line in _follow(client, stack, part, since):
        yield line


def _wanted(client: docker.DockerClient, stack: str, part: str | None) -> dict[str, str]:
    known = _containers(client, stack)
    return known if part is None else {name: known[name] for name in known if name == part}


def _tail(
    client: docker.DockerClient, name: str, container: str, tail: int
) -> list[tuple[str, LogLine]]:
    try:
        said = client.api.logs(container, tail=tail, timestamps=True)
    except APIError:
        return []  # it has gone
    return [_stamped(name, line) for line in said.decode("utf-8", "replace").splitlines()]


def _stamped(name: str, line: str) -> tuple[str, LogLine]:
    stamp, _, text = line.partition(" ")
    if name == BALANCER and text.startswith("{"):
        text = f"{stamp[:19].replace('T', ' ')} {for_people(text)}"
    return stamp, LogLine(source=name, text=text)


async def _follow(
    client: docker.DockerClient, stack: str, part: str | None, since: dict[str, str]
) -> AsyncIterator[LogLine]:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[LogLine] = asyncio.Queue(_QUEUE)
    streams: dict[str, Any] = {}
    over = threading.Event()

    def pass_on(name: str, raw: str) -> None:
        stamp, line = _stamped(name, raw)
        # A follower that has to begin anew repeats nothing.
        if stamp > since.get(name, ""):
            since[name] = stamp
            asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()

    def pump(name: str, container: str) -> None:
        """Pass on what one container writes until it ends."""
        # A stream of its own connection: it waits for as long as the container is silent.
        with contextlib.suppress(Exception), contextlib.closing(connect(timeout=None)) as own:
            streams[container] = stream = own.api.logs(
                container, stream=True, follow=True, timestamps=True, tail="all"
            )
            rest = b""
            for block in stream:
                *lines, rest = (rest + block).split(b"\n")
                for raw in lines:
                    if over.is_set():
                        return
                    pass_on(name, raw.decode("utf-8", "replace"))
        streams.pop(container, None)

    try:
        followed: dict[str, threading.Thread] = {}
        while True:
            for name, container in (await asyncio.to_thread(_wanted, client, stack, part)).items():
                if container not in followed or not followed[container].is_alive():
                    thread = threading.Thread(
                        target=pump,
                        args=(name, container),
                        name=f"log of {name}",
                        daemon=True,
                    )
                    followed[container] = thread
                    thread.start()
            deadline = loop.time() + _LOOK_INTERVAL
            while (left := deadline - loop.time()) > 0:
                with contextlib.suppress(TimeoutError):
                    line = await asyncio.wait_for(queue.get(), left)
                    yield line
    finally:
        over.set()
        for stream in list(streams.values()):
            with contextlib.suppress(Exception):
                stream.close()
