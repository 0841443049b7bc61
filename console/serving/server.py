"""The web server of ``whisperctl serve``: pages and files of its own, a console a WebSocket."""

import asyncio
import html
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import textual_serve
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_runner import AppRunner, TCPSite
from textual_serve.server import Server

from console.serving.access import Access
from console.serving.session import MAX_MESSAGE, Session, bounded_size

_OWN: Final = Path(__file__).parent / "page"
_TEXTUAL: Final = Path(textual_serve.__file__).parent / "static"
_HEARTBEAT: Final = 15.0
"""Seconds between two looks whether a browser is still there."""
_GOODBYE: Final = 2.0
"""Seconds to wait for a browser's answer to our closing a WebSocket."""
_SHUTDOWN: Final = 30.0
"""Seconds that consoles have to end in."""


def _quiet_logger() -> logging.Logger:
    """Return a logger that says nothing of requests that are none: they may hold half a token."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_not_of_a_visitor)
    return logger


def _not_of_a_visitor(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


class ConsoleServer(Server):
    """Serves consoles to those whom ``access`` lets in, at most ``sessions`` at once."""

    def __init__(
        self, arguments: Sequence[str], *, access: Access, name: str, sessions: int
    ) -> None:
        super().__init__("whisperctl", title=name)
        self._arguments = tuple(arguments)
        self._access = access
        self._most = sessions
        self._sessions: set[Session] = set()
        self._runner: AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Begin to serve and return the port; raises OSError."""
        self._runner = AppRunner(
            await self._make_app(),
            access_log=None,
            logger=_quiet_logger(),
            handle_signals=False,
            shutdown_timeout=_SHUTDOWN,
            keepalive_timeout=15.0,
        )
        await self._runner.setup()
        try:
            await TCPSite(self._runner, host, port).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Serve nothing more, and end the consoles in order."""
        if self._runner is not None:
            await self._runner.cleanup()

    def give_up(self) -> None:
        """End all consoles at once."""
        for session in list(self._sessions):
            session.give_up()

    async def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._access.guard], client_max_size=1024)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/ws", self.handle_websocket),
                web.get("/download/{key}", self.handle_download),
                web.static("/page", _OWN),
                web.static("/static", _TEXTUAL),
            ]
        )
        app.on_response_prepare.append(self._access.add_headers)
        app.on_shutdown.append(self.on_shutdown)
        return app

    async def on_shutdown(self, app: web.Application) -> None:  # noqa: ARG002
        """Tell the browsers: their consoles end when they have gone."""
        leaving = (session.close() for session in self._sessions)
        await asyncio.gather(*leaving, return_exceptions=True)

    async def _page(self, request: web.Request) -> web.Response:
        if self._full:
            raise web.HTTPServiceUnavailable(text=self._too_many)
        text = (_OWN / "index.html").read_text()
        scheme = "wss" if request.headers.get("X-Forwarded-Proto") == "https" else "ws"
        text = text.replace("{websocket}", html.escape(f"{scheme}://{request.host}/ws"))
        return web.Response(
            text=text.replace("{name}", html.escape(self.title)),
            content_type="text/html",
            charset="utf-8",
        )

    @property
    def _full(self) -> bool:
        # Those that are ending take a while to save their runs; so many more may wait for that.
        visited = sum(session.visited for session in self._sessions)
        return visited >= self._most or len(self._sessions) >= 2 * self._most

    @property
    def _too_many(self) -> str:
        return (
            f"All consoles that --sessions allows ({self._most}) are open; close one and reload "
            "this page.\n"
        )

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run a console for as long as the browser is there."""
        if self._full:
            raise web.HTTPServiceUnavailable(text=self._too_many)
        try:
            size = bounded_size(request.query.get("width", "80"), request.query.get("height", "24"))
        except ValueError:
            raise web.HTTPBadRequest(text="width and height are whole numbers.\n") from None
        websocket = web.WebSocketResponse(
            timeout=_GOODBYE, heartbeat=_HEARTBEAT, max_msg_size=MAX_MESSAGE
        )
        session = Session(self._arguments, websocket, self.download_manager)
        self._sessions.add(session)
        try:
            await websocket.prepare(request)
            await session.play(*size)
        finally:
            self._sessions.discard(session)
        return websocket
