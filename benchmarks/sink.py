"""A WhisperLive server whose answers come after a known delay, for tests of the load generator.

It transcribes nothing: whenever ``step`` seconds of audio are complete it answers, ``delay``
seconds after the chunk that completes them arrived, with the next words of the text it was given.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

BYTES_A_SECOND = 16_000 * 4


@dataclass
class Sink:
    """One server; ``port`` is known once it serves."""

    delay: float = 0.2
    step: float = 1.0
    flush: bool = True
    refuse: str | None = None
    """``wait``, ``error``, ``garbage``, ``silence``, ``close`` or ``never``."""
    text: Callable[[int], str] = lambda index: f"word{index}"
    replica: str | None = "replica-1"
    limit: int | None = None
    """Sessions at once; who comes beyond them is told to WAIT."""
    active: int = 0
    disconnect_after: float | None = None
    """Seconds of audio after which the connection is cut."""
    port: int = 0
    received: dict[str, int] = field(default_factory=dict)
    """Bytes of audio by uid."""
    ended: set[str] = field(default_factory=set)

    async def handle(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await self._session(connection)

    async def _session(self, connection: ServerConnection) -> None:
        options = json.loads(await connection.recv())
        uid = options["uid"]

        async def send(**body: object) -> None:
            await connection.send(json.dumps({"uid": uid} | body))

        match self.refuse:
            case "wait":
                return await send(status="WAIT", message=1.5)
            case "error":
                return await send(status="ERROR", message="no such model")
            case "garbage":
                return await connection.send("this is not JSON")
            case "close":
                return None
            case "never":
                return await connection.wait_closed()
        if self.limit is not None and self.active >= self.limit:
            return await send(status="WAIT", message=1.5)
        self.active += 1
        try:
            return await self._stream(connection, uid, send)
        finally:
            self.active -= 1

    async def _stream(
        self, connection: ServerConnection, uid: str, send: Callable[..., Awaitable[None]]
    ) -> None:
        await send(message="SERVER_READY", backend="faster_whisper", flush=self.flush)
        segments: list[dict[str, object]] = []
        answers: list[asyncio.Task[None]] = []

        async def answer(index: int, end: float) -> None:
            await asyncio.sleep(self.delay)
            segments.append(
                {
                    "start": f"{end - self.step:.3f}",
                    "end": f"{end:.3f}",
                    "text": f" {self.text(index)}",
                    "completed": True,
                }
            )
            await send(segments=segments[-10:])

        self.received[uid] = 0
        answered = 0
        async for message in connection:
            if message in (b"END_OF_AUDIO", "END_OF_AUDIO"):
                self.ended.add(uid)
                break
            self.received[uid] += len(message)
            seconds = self.received[uid] / BYTES_A_SECOND
            if self.disconnect_after is not None and seconds >= self.disconnect_after:
                connection.transport.abort()
                return
            while self.refuse != "silence" and seconds >= (answered + 1) * self.step - 1e-6:
                answered += 1
                answers.append(asyncio.create_task(answer(answered, answered * self.step)))
        await asyncio.gather(*answers)
        return


@asynccontextmanager
async def serving(sink: Sink) -> AsyncIterator[Sink]:
    """Serve a sink on a free loopback port."""

    def name_replica(connection: ServerConnection, request: object, response: object) -> None:
        if sink.replica:
            response.headers["X-Replica"] = sink.replica  # type: ignore[attr-defined]

    async with serve(
        sink.handle,
        "127.0.0.1",
        sink.port,
        process_response=name_replica,
        max_size=None,
        ping_interval=None,
        compression=None,
    ) as server:
        sink.port = server.sockets[0].getsockname()[1]
        yield sink
