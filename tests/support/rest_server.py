"""A real HTTP server with a transcription endpoint whose speed and faults are known."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route


class RestServer:
    """Serves ``slots`` requests at once, each for ``delay`` seconds; others wait for their turn."""

    def __init__(self, *, slots: int = 4, delay: float = 0.0, text: str = "alpha") -> None:
        self.slots, self.delay, self.text = slots, delay, text
        self.limit: int | None = None
        """Requests in work beyond which others are told 429."""
        self.replicas: list[str] = []
        """Names that answers carry, in turn."""
        self.keys: list[str] = []
        """Authorization headers that came, in order."""
        self.files: list[str] = []
        """Names of the files that came, in order."""
        self.fields: list[dict[str, str]] = []
        self.certificate: Path | None = None
        """A file with key and certificate; without it plain HTTP."""
        self.working = 0
        self.port = 0
        self._free: asyncio.Semaphore | None = None
        self._server: uvicorn.Server | None = None

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def _transcribe(self, request: Request) -> Response:
        assert self._free is not None
        self.keys.append(request.headers.get("authorization", ""))
        headers = {}
        if self.replicas:
            headers["X-Replica"] = self.replicas[len(self.keys) % len(self.replicas)]
        async with request.form() as form:
            self.files.append(form["file"].filename)  # type: ignore[union-attr, arg-type]
            fields = {name: str(value) for name, value in form.items() if name != "file"}
            self.fields.append(fields)
        if self.limit is not None and self.working >= self.limit:
            return JSONResponse({"error": {"message": "full"}}, 429, headers=headers)
        self.working += 1
        try:
            async with self._free:
                await asyncio.sleep(self.delay)
        finally:
            self.working -= 1
        if fields.get("response_format") == "text":
            return PlainTextResponse(self.text, headers=headers)
        return JSONResponse({"text": self.text}, headers=headers)

    async def _status(self, request: Request) -> Response:
        status = int(request.path_params["code"])
        # Real servers repeat the key that they don't like.
        said = f"no good: {request.headers.get('authorization')}\x1b[31m"
        return JSONResponse({"error": {"message": said}}, status)

    async def _page(self, request: Request) -> Response:
        return Response("<html><body>Welcome</body></html>", media_type="text/html")

    async def _elsewhere(self, request: Request) -> Response:
        return RedirectResponse("https://example.invalid/v1/audio/transcriptions")

    async def _hang(self, request: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    async def _number(self, request: Request) -> Response:
        return JSONResponse({"text": 5})

    def app(self) -> Starlette:
        """The routes: one that works, and one for each fault."""
        path = "/v1/audio/transcriptions"
        post = ["POST"]
        return Starlette(
            routes=[
                Route(path, self._transcribe, methods=post),
                Route("/status/{code:int}" + path, self._status, methods=post),
                Route("/page" + path, self._page, methods=post),
                Route("/elsewhere" + path, self._elsewhere, methods=post),
                Route("/hang" + path, self._hang, methods=post),
                Route("/number" + path, self._number, methods=post),
                Route("/get" + path, self._page, methods=["GET"]),
            ]
        )

    async def _serve(self, listening: socket.socket) -> None:
        self._free = asyncio.Semaphore(self.slots)
        config = uvicorn.Config(
            self.app(),
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=1,
            ssl_certfile=self.certificate,
        )
        self._server = uvicorn.Server(config)
        await self._server.serve(sockets=[listening])

    @contextlib.contextmanager
    def running(self) -> Iterator["RestServer"]:
        """Serve on a thread with a loop of its own."""
        # asyncio sets TCP_NODELAY only where the protocol is named: without it each answer takes
        # 40 ms, until its head is acknowledged.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        self.port = listening.getsockname()[1]  # connections wait in the backlog until it serves
        thread = threading.Thread(target=asyncio.run, args=(self._serve(listening),))
        thread.start()
        try:
            yield self
        finally:
            while self._server is None:
                thread.join(0.01)
            self._server.should_exit = True
            thread.join(15)
            assert not thread.is_alive()


@contextlib.contextmanager
def hanging_up() -> Iterator[int]:
    """Serve a port whose connections are closed once a request has begun."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        listening.settimeout(0.05)
        while not ended.is_set():
            with contextlib.suppress(TimeoutError, OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(5)
                    connection.recv(1024)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        ended.set()
        thread.join(15)
        listening.close()


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def calibrated(*, slots: int, delay: float) -> Iterator[str]:
    """Serve from a process of its own and give the URL.

    On a thread of the measuring process the two would wait for one lock, 5 ms at a time.
    """
    command = [sys.executable, "-m", "support.rest_server", str(slots), str(delay)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def _main() -> None:
    server = RestServer(slots=int(sys.argv[1]), delay=float(sys.argv[2]))
    with server.running():
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    _main()
