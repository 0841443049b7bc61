"""A real replica in a thread: the offline model, a real socket, a port chosen by the system."""

import asyncio
import contextlib
import dataclasses
import json
import re
import threading
import uuid
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import jiwer
import numpy as np
import pytest
import websockets
from support.waiting import until

from stack.offline import MODEL_DIRECTORY
from stack.protocol import END_OF_AUDIO, Segments, parse_server_message
from stack.replica.server import Replica, Settings
from stack.replica.serving import listen, make_server
from stack.replica.transcriber import Transcriber
from test_audio import CLIPS_DIRECTORY

RATE = 16_000
DEADLINE = 30.0


@dataclasses.dataclass(frozen=True)
class Clip:
    path: Path
    samples: np.ndarray
    text: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    def wer(self, text: str) -> float:
        return jiwer.wer(normalise(self.text), normalise(text) or "nothing")


def normalise(text: str) -> str:
    return " ".join(re.sub(r"[^a-z ]", " ", text.lower()).split())


class Running:
    """A replica that serves in its own thread."""

    def __init__(self, settings: Settings, transcriber: Any) -> None:
        self._load = (lambda _: transcriber) if transcriber is not None else None
        self._settings = settings
        self._started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self.thread.start()
        assert self._started.wait(DEADLINE)
        self.url = f"ws://127.0.0.1:{self.port}/"
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=DEADLINE)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.replica = Replica(self._settings, self._load)
        opened = listen("127.0.0.1", 0)
        self.port = opened.getsockname()[1]
        self.server = make_server(self.replica)
        self._started.set()
        await self.server.serve(sockets=[opened])

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.loop.call_soon_threadsafe(function, *arguments)

    def status(self) -> dict[str, Any]:
        return self.http.get("/status").json()

    def metric(self, name: str) -> float:
        found = re.search(
            rf"^{re.escape(name)} (\S+)$", self.http.get("/metrics").text, re.MULTILINE
        )
        return float(found[1]) if found else 0.0

    def stop(self) -> None:
        self.http.close()
        self.server.should_exit = True
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive()


class Talk:
    """A hand-written client."""

    def __init__(self, socket: Any, uid: str) -> None:
        self.socket = socket
        self.uid = uid
        self.messages: list[dict[str, Any]] = []
        self.completed: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        raw = await asyncio.wait_for(self.socket.recv(), DEADLINE)
        message = json.loads(raw)
        assert message["uid"] == self.uid
        self.messages.append(message)
        parsed = parse_server_message(raw)
        if isinstance(parsed, Segments) and not parsed.final:
            self._check(message["segments"])
        return message

    def _check(self, segments: list[dict[str, Any]]) -> None:
        """Hold the protocol's promises for every list of segments."""
        flags = [segment["completed"] for segment in segments]
        assert False not in flags[:-1], "at most one unfinished segment, and it comes last"
        end = 0.0
        for segment in segments:
            start = float(segment["start"])
            assert end <= start <= float(segment["end"])
            end = float(segment["end"])
            if not segment["completed"]:
                assert not self.completed or start >= float(self.completed[-1]["end"])
            elif segment not in self.completed:
                if self.completed:
                    assert start >= float(self.completed[-1]["end"]), "nothing is taken back"
                self.completed.append(segment)

    async def until(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        while True:
            message = await self.receive()
            if condition(message):
                return message

    async def send(self, samples: np.ndarray, chunk: float = 0.1) -> None:
        step = int(chunk * RATE)
        for first in range(0, len(samples), step):
            await self.socket.send(samples[first : first + step].astype("<f4").tobytes())

    async def to_the_end(self) -> int:
        """Receive until the server closes and give the close code."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await self.receive()
        return self.socket.close_code

    async def finish(self) -> int:
        await self.socket.send(END_OF_AUDIO)
        return await self.to_the_end()

    @property
    def text(self) -> str:
        return "".join(segment["text"] for segment in self.completed).strip()


@contextlib.asynccontextmanager
async def talking(running: Running, ready: bool = True, **options: Any) -> AsyncIterator[Talk]:
    """Connect, send options, and wait for SERVER_READY unless that isn't expected."""
    headers = options.pop("headers", None)
    uid = options.pop("uid", str(uuid.uuid4()))
    async with websockets.connect(running.url, max_size=None, additional_headers=headers) as socket:
        talk = Talk(socket, uid)
        await socket.send(json.dumps({"uid": uid, "language": "en", **options}))
        if ready:
            message = await talk.receive()
            assert message["message"] == "SERVER_READY", message
        yield talk


@pytest.fixture(scope="session")
def clips() -> dict[str, Clip]:
    found = {}
    for path in sorted(CLIPS_DIRECTORY.glob("*.wav")):
        with wave.open(str(path)) as file:
            raw = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        found[path.stem] = Clip(path, raw.astype(np.float32) / 32768, text)
    return found


@pytest.fixture(scope="session")
def clip(clips: dict[str, Clip]) -> Clip:
    """Five sentences of 13 s, which the model hears without a mistake."""
    return clips["rooms-and-gates"]


@pytest.fixture(scope="session")
def transcriber() -> Transcriber:
    return Transcriber(
        MODEL_DIRECTORY, device="cpu", compute_type="default", threads=1, fitted=True
    )


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(
        model=str(MODEL_DIRECTORY), device="cpu", fitted=True, name="replica-under-test"
    )


@pytest.fixture(scope="session")
def start(settings: Settings) -> Callable[..., Any]:
    """Start a replica with other settings, as a context manager."""

    @contextlib.contextmanager
    def started(transcriber: Any = None, ready: bool = True, **changes: Any) -> Iterator[Running]:
        running = Running(dataclasses.replace(settings, **changes), transcriber)
        try:
            if ready:
                until(
                    lambda: running.http.get("/ready").status_code == 200,
                    "a warm replica",
                    DEADLINE,
                )
            yield running
        finally:
            running.stop()

    return started


@pytest.fixture(scope="session")
def running(start: Callable[..., Any]) -> Iterator[Running]:
    """One replica for all tests that change nothing in it."""
    with start() as one:
        yield one


@pytest.fixture(scope="session")
def talk() -> Any:
    return talking


@pytest.fixture(scope="session")
def wait_until() -> Any:
    return partial(until, deadline=DEADLINE)
