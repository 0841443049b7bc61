"""Servers of a few lines that leave no connection open: for what answers wrongly, or never."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a connection and keep it."""
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def listening(handler: Handler = never_answer) -> AsyncIterator[str]:
    """Serve a free port, given as ``host:port``, until the end; then end whatever is still open.

    asyncio's own server leaves open what it has accepted.
    """
    open_now: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_now[task] = writer
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            del open_now[task]

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        tasks, writers = list(open_now), list(open_now.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            with contextlib.suppress(OSError):
                await writer.wait_closed()
