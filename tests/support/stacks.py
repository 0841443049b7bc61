"""Sessions on a running stack, and waiting for what becomes of it: for every engine's tests."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.plan import LoadPlan
from loadtest.runfile import Run
from stack.engine import Engine
from stack.status import StackStatus
from test_audio import CLIPS_DIRECTORY


@contextlib.asynccontextmanager
async def session(address: str, query: str = "") -> AsyncIterator[ClientConnection]:
    """Open a session and wait until the server is ready for it."""
    url = f"ws://{address}/{query}"
    async with connect(url, open_timeout=30, max_size=None) as connection:
        await connection.send(json.dumps({"uid": "one", "language": "en"}))
        first = json.loads(await asyncio.wait_for(connection.recv(), 30))
        assert first.get("message") == "SERVER_READY", first
        yield connection


def replica_of(connection: ClientConnection) -> str:
    """The replica that the handshake names."""
    assert connection.response is not None
    return str(connection.response.headers["X-Replica"])


async def reach(
    engine: Engine,
    condition: Callable[[StackStatus], Any],
    what: str,
    deadline: float = 60.0,
) -> StackStatus:
    """Wait until the stack's status meets the condition, and return it."""
    end = time.monotonic() + deadline
    while not condition(status := await engine.status()):
        assert time.monotonic() < end, f"not in time: {what}: {status}"
        await asyncio.sleep(0.02)
    return status


async def eventually(look: Callable[[], Any], what: str, deadline: float = 60.0) -> Any:
    """Look again and again, off the event loop, until there is something; return it."""
    end = time.monotonic() + deadline
    while not (found := await asyncio.to_thread(look)):
        assert time.monotonic() < end, f"not in time: {what}"
        await asyncio.sleep(0.1)
    return found


async def load(status: StackStatus, results: Path, **changes: Any) -> Run:
    """Put load on a stack's balancer and return the run."""
    assert status.balancer is not None
    host, _, port = status.balancer.address.rpartition(":")
    place = changes.pop("place", None)
    plan = LoadPlan(
        host=host,
        port=int(port),
        audio_directory=CLIPS_DIRECTORY,
        results_directory=results,
        **changes,
    )
    async with aclosing(LoadController(plan, place=place).run()) as events:
        async for event in events:
            if isinstance(event, StepFinished):
                return event.run
    raise AssertionError("the load ended without a run")
