"""One visitor's console: a process of its own, and the WebSocket between it and the browser."""

import asyncio
import json
import os
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

TOKEN_VARIABLE: Final = "WHISPERCTL_SERVE_TOKEN"  # noqa: S105 - the name of it
MAX_MESSAGE: Final = 64 * 1024
"""Bytes of one message from a browser."""
_COLUMNS: Final = (1, 500)
_ROWS: Final = (1, 300)
_UNSENT: Final = 8 * 1024 * 1024
"""Bytes that may wait for a browser that does not take them."""
_ENDING: Final = 20.0
"""Seconds a console has to save what its load has measured."""
_TERMINATING: Final = 3.0
_HEAD: Final = 5
"""Bytes before each packet of Textual's web driver: its type, and its length."""


def bounded_size(width: object, height: object) -> tuple[int, int]:
    """Return a terminal's size as a browser gives it, within reason; raises ValueError."""
    if not isinstance(width, int | str) or not isinstance(height, int | str):
        raise ValueError("not a size")
    return (
        min(max(int(width), _COLUMNS[0]), _COLUMNS[1]),
        min(max(int(height), _ROWS[0]), _ROWS[1]),
    )


class Session(AppService):
    """Runs a console for one WebSocket."""

    def __init__(
        self,
        arguments: Sequence[str],
        websocket: web.WebSocketResponse,
        downloads: DownloadManager,
    ) -> None:
        super().__init__(
            "whisperctl",
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=self.close,
            download_manager=downloads,
        )
        self._arguments = tuple(arguments)
        self._websocket = websocket
        self._packets: deque[tuple[bytes, bytes]] = deque()
        self._unsent = 0
        self._more = asyncio.Event()
        self._over = False
        """Nothing more will be sent."""
        self.visited = True
        """Whether there is still a browser to it; without one it only ends."""

    async def play(self, width: int, height: int) -> None:
        """Run a console until it, or the browser, has gone; it has ended when this returns."""
        await self._open_app_process(width, height)
        tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._send())]
        try:
            await self._obey()
        finally:
            self.visited = False
            tasks.append(asyncio.create_task(self.close()))
            await self._end(tasks)

    # --- the process ------------------------------------------------------------------------------

    async def _open_app_process(
        self, width: int = 80, height: int = 24
    ) -> asyncio.subprocess.Process:
        environment = self._build_environment(width, height)
        environment.pop(TOKEN_VARIABLE, None)
        environment["TEXTUAL_FPS"] = "30"
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            # Ctrl-C at our terminal is for us; we end it in order.
            start_new_session=True,
        )
        self._stdin = self._process.stdin
        return self._process

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        assert self._process is not None  # noqa: S101
        await self._download_manager.cancel_app_downloads(self.app_service_id)
        await self.send_meta({"type": "quit"})
        self._websocket_gone()
        for seconds, harder in (
            (_ENDING, self._process.terminate),
            (_TERMINATING, self._process.kill),
        ):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), seconds)
                break
            with suppress(ProcessLookupError):
                harder()
        await self._process.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def give_up(self) -> None:
        """End the console at once; a series that runs is recovered from its journal."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, 9)

    # --- from the console to the browser ----------------------------------------------------------

    async def _receive(self) -> None:
        """Take what the console draws, at once: one whose output waits can't do anything else."""
        assert self._process is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        stdout = self._process.stdout
        with suppress(asyncio.IncompleteReadError, ValueError):
            while await stdout.readline() not in {b"", b"__GANGLION__\n"}:
                pass
            while True:
                head = await stdout.readexactly(_HEAD)
                payload = await stdout.readexactly(int.from_bytes(head[1:], "big"))
                if self._unsent + len(payload) > _UNSENT:
                    self._websocket_gone()
                if not self._over:
                    self._unsent += len(payload)
                    self._packets.append((head[:1], payload))
                    self._more.set()
        self._packets.append((b"", b""))
        self._more.set()

    async def _send(self) -> None:
        with suppress(ConnectionError, RuntimeError):
            while not self._over:
                await self._more.wait()
                self._more.clear()
                while self._packets:
                    kind, payload = self._packets.popleft()
                    self._unsent -= len(payload)
                    match kind:
                        case b"D":
                            await self.on_data(payload)
                        case b"M":
                            await self.on_meta(payload)
                        case b"P":
                            await self.on_packed(payload)
                        case _:
                            self._over = True
        await self.close()

    def _websocket_gone(self) -> None:
        """Send nothing more: nobody is there, or nobody takes it."""
        self._over = True
        self._packets.clear()
        self._unsent = 0
        self._more.set()

    async def close(self) -> None:
        """Close the WebSocket; the console ends then."""
        with suppress(ConnectionError, RuntimeError):
            await self._websocket.close()

    # --- from the browser to the console ----------------------------------------------------------

    async def _obey(self) -> None:
        """Pass on what the browser sends, until it says nothing more or something senseless."""
        async for message in self._websocket:
            if message.type is not WSMsgType.TEXT:
                return
            try:
                await self._pass_on(json.loads(message.data))
            except (ValueError, TypeError, LookupError, RecursionError):
                return

    async def _pass_on(self, envelope: object) -> None:
        match envelope:
            case ["stdin", str(keys)]:
                await self.send_bytes(keys.encode("utf-8", "replace"))
            case ["resize", dict(size)]:
                await self.set_terminal_size(*bounded_size(size["width"], size["height"]))
            case ["ping", str(moment)] if len(moment) < 100:
                with suppress(ConnectionError, RuntimeError):
                    await self._websocket.send_json(["pong", moment])
            case ["blur"]:
                await self.blur()
            case ["focus"]:
                await self.focus()
            case _:
                raise ValueError("unknown message")
