"""A Unix socket that passes everything on to another one, until it is cut."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self


class Relay:
    """Stands before a server so that a test can take it away and give it back."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def cut(self) -> None:
        """End every connection and take none any more."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_unix_connection(self._target)
        self._writers |= {writer, upstream_writer}
        try:
            await asyncio.gather(
                self._copy(reader, upstream_writer), self._copy(upstream_reader, writer)
            )
        finally:
            self._writers -= {writer, upstream_writer}
            for one in (writer, upstream_writer):
                one.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while block := await reader.read(65536):
                writer.write(block)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, path: Path, target: str) -> AsyncIterator[Self]:
        """Stand before ``target`` at ``path``."""
        relay = cls(path, target)
        await relay.open()
        try:
            yield relay
        finally:
            await relay.cut()
