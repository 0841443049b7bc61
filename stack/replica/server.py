"""The replica's one port: WebSocket sessions at ``/`` and HTTP beside them."""

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final

import psutil
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from stack.protocol import (
    BALANCED_HEADER,
    REPLICA_HEADER,
    ProtocolError,
    SessionOptions,
    Wait,
    render,
)
from stack.replica import rest
from stack.replica.admission import Departures
from stack.replica.commit import SENTENCE_PAUSE
from stack.replica.connection import (
    BAD_OPTIONS,
    Connection,
    End,
    receive_options,
    send_problem,
)
from stack.replica.fetching import LOADING, WARMING, doing
from stack.replica.hardware import give_back_memory
from stack.replica.inference import InferenceThread
from stack.replica.metrics import Metrics
from stack.replica.rest import Transcriptions
from stack.replica.scheduler import Pace, Scheduler
from stack.replica.terms import Terms
from stack.replica.transcriber import ModelUnavailableError, Transcriber
from stack.replica.voice import SPEECH_THRESHOLD
from stack.status import ReplicaState

MAX_HANDSHAKES: Final = 256
"""Connections that have not sent their options yet."""

TIDY_SECONDS: Final = 20.0
"""How often memory that is free is given back to the system; it takes some milliseconds."""

ESTIMATE_SECONDS: Final = 1.0
"""How long an estimate of the time to a free place is used."""

TRY_AGAIN_WAIT: Final = 0.5
"""Minutes that a client is told to wait for a replica that starts or goes."""

_log = logging.getLogger("stack.replica")


@dataclass(frozen=True)
class Settings:
    """What a replica runs with; see the command line's help."""

    model: str
    device: str = "auto"
    compute_type: str = "auto"
    threads: int = 1
    max_sessions: int = 64
    max_connection_time: float = 3600.0
    max_queue_wait: float = 5.0
    """Seconds that live sessions wait for their passes, above which no new one comes in."""
    pace: Pace = field(default_factory=Pace)
    vad_threshold: float = SPEECH_THRESHOLD
    sentence_pause: float = SENTENCE_PAUSE
    final_pass: bool = False
    """Hear each session a second time, at leisure, for its final text."""
    name: str = "replica-1"
    fitted: bool = False
    """Give the encoder only the frames that the audio fills."""
    model_label: str = "offline"
    """The model's name in /status; the path is nobody's business."""
    api_key: str | None = None


class Replica:
    """A replica's parts, and the ASGI application that serves them.

    ``load`` is what makes the transcriber, in the inference thread.
    """

    def __init__(
        self, settings: Settings, load: Callable[[Settings], Transcriber] | None = None
    ) -> None:
        self.settings = settings
        self.state = ReplicaState.STARTING
        self.metrics = Metrics()
        self.failure: ModelUnavailableError | None = None
        """Why the model could not be loaded, if so."""
        self._stage = LOADING
        self.changed = asyncio.Event()
        """Set whenever the state or the failure changes."""
        self._load = load or load_transcriber
        self._thread = InferenceThread()
        self._terms: Terms | None = None
        self._scheduler: Scheduler | None = None
        self._running: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._connections: set[Connection] = set()
        self._departures = Departures()
        self._estimated = (0.0, 0.0)
        """When the time to a free place was last estimated, and the seconds."""
        self._handshakes = 0
        self._left = asyncio.Event()
        self._files = Transcriptions(
            allowed=self._allowed,
            needs_key=settings.api_key is not None,
            parts=self._parts,
            metrics=self.metrics,
            changed=self._left.set,
        )
        self._started = time.time()
        self.app = Starlette(
            routes=[
                WebSocketRoute("/", self._session),
                Route("/health", self._health),
                Route("/ready", self._ready),
                Route("/metrics", self._metrics),
                Route("/status", self._status),
                Route("/drain", self._drain, methods=["POST"]),
                Route(rest.PATH, self._files.serve, methods=["POST"]),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:  # noqa: ARG002
        starting = asyncio.create_task(self._start())
        try:
            yield
        finally:
            tasks = [task for task in (starting, self._running, self._tidying) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._thread.stop()

    async def _start(self) -> None:
        begun = time.monotonic()
        try:
            transcriber = await self._thread.call(self._load, self.settings)
            self._stage = WARMING
            await self._thread.call(transcriber.warm)
        except ModelUnavailableError as error:
            self.failure = error
            self.changed.set()
            return
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            self.failure = ModelUnavailableError(
                f"Model '{self.settings.model_label}' fails on its first audio: {reason}; "
                "try another --device or --compute-type."
            )
            self.changed.set()
            return
        self._terms = Terms(
            transcriber=transcriber,
            max_connection_time=self.settings.max_connection_time,
            vad_threshold=self.settings.vad_threshold,
            sentence_pause=self.settings.sentence_pause,
            final_pass=self.settings.final_pass,
        )
        self._stage = ""
        self._scheduler = Scheduler(transcriber, self._thread, self.metrics, self.settings.pace)
        self._running = asyncio.create_task(self._scheduler.run())
        self._tidying = asyncio.create_task(self._tidy())
        if self.state is ReplicaState.STARTING:
            self.state = ReplicaState.READY
        self.changed.set()
        _log.info("Ready after %.1f s.", time.monotonic() - begun)

    async def _tidy(self) -> None:
        """Give memory back now and then, in the thread that needs most of it, between two calls."""
        while await self._thread.call(give_back_memory):  # noqa: ASYNC110 - there is no event in it
            await asyncio.sleep(TIDY_SECONDS)

    def drain(self) -> None:
        """Take no new session; those there are go on."""
        if self.state is not ReplicaState.DRAINING:
            self.state = ReplicaState.DRAINING
            self.changed.set()
            _log.info("Draining; sessions that go on: %d.", self._busy)

    async def shut_down(self, deadline: float) -> None:
        """Drain, flush every session and close it; returns after ``deadline`` seconds at most."""
        self.drain()
        for connection in self._connections:
            connection.stop(End.SHUTDOWN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(deadline):
                while self._busy:
                    self._left.clear()
                    await self._left.wait()

    @property
    def _busy(self) -> int:
        """Sessions and files in work."""
        return len(self._connections) + self._files.running

    def _parts(self) -> tuple[Terms, Scheduler] | None:
        """Give what sessions are made of while new ones are taken."""
        if self.state is not ReplicaState.READY or self._terms is None or self._scheduler is None:
            return None
        return self._terms, self._scheduler

    # What is served

    def _allowed(self, connection: HTTPConnection) -> bool:
        key = self.settings.api_key
        if key is None:
            return True
        offered = [connection.query_params.get("token", "")]
        scheme, _, value = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            offered.append(value.strip())
        protocols = _subprotocols(connection)
        if protocols[:1] == ["bearer"] and len(protocols) > 1:
            offered.append(protocols[1])
        # Compared in constant time, so that time tells nothing of the key.
        return any(hmac.compare_digest(one.encode(), key.encode()) for one in offered)

    async def _session(self, websocket: WebSocket) -> None:
        name = {REPLICA_HEADER: self.settings.name}
        if not self._allowed(websocket):
            self.metrics.refused("unauthorised")
            text = "The API key is missing or wrong; send it as 'Authorization: Bearer KEY'.\n"
            await websocket.send_denial_response(PlainTextResponse(text, 401, headers=name))
            return
        if self._handshakes >= MAX_HANDSHAKES:
            self.metrics.refused("handshakes")
            text = "Too many connections wait to send their options; try again later.\n"
            await websocket.send_denial_response(PlainTextResponse(text, 503, headers=name))
            return
        if self.state is not ReplicaState.READY and BALANCED_HEADER in websocket.headers:
            # Whoever comes by way of a balancer can go to another one instead of waiting.
            self.metrics.refused(self.state.value)
            text = f"This replica is {self.state.value}; try another one.\n"
            await websocket.send_denial_response(PlainTextResponse(text, 503, headers=name))
            return
        protocol = "bearer" if _subprotocols(websocket)[:1] == ["bearer"] else None
        headers = [(key.encode(), value.encode()) for key, value in name.items()]
        self._handshakes += 1
        try:
            await websocket.accept(protocol, headers)
            options = await receive_options(websocket)
        except ProtocolError as error:
            self.metrics.errors.labels("options").inc()
            await send_problem(websocket, error.uid, str(error), BAD_OPTIONS)
            return
        except WebSocketDisconnect:
            return
        finally:
            self._handshakes -= 1
        await self._admit(websocket, options)

    async def _admit(self, websocket: WebSocket, options: SessionOptions) -> None:
        minutes, reason = self._wait_minutes()
        if minutes is not None or self._terms is None or self._scheduler is None:
            self.metrics.refused(reason)
            wait = Wait(uid=options.uid, minutes=minutes or TRY_AGAIN_WAIT)
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await websocket.send_text(render(wait))
                await websocket.close(1000)
            return
        if (
            self._terms.multilingual
            and (options.language or "en") not in self._terms.transcriber.languages
        ):
            text = f"Option 'language' is not usable: the model has no '{options.language}'."
            self.metrics.errors.labels("options").inc()
            await send_problem(websocket, options.uid, text, BAD_OPTIONS)
            return
        begun = time.monotonic()
        connection = Connection(websocket, options, self._terms, self._scheduler, self.metrics)
        self._connections.add(connection)
        self.metrics.connections.inc()
        self.metrics.active.set(len(self._connections))
        try:
            reason = await connection.run()
        finally:
            self._connections.discard(connection)
            self.metrics.active.set(len(self._connections))
            self._departures.ended(time.monotonic() - begun)
            self._estimated = (0.0, 0.0)
            self._left.set()
        seconds = connection.session.received
        summary = connection.profile.summary(seconds)
        _log.info(
            "Session %.64r over: %s, %.1f s of audio; %s.", options.uid, reason, seconds, summary
        )

    def _wait_minutes(self) -> tuple[float | None, str]:
        """Say how long a new client should wait and why, or None when it may come in."""
        if self.state is not ReplicaState.READY or self._scheduler is None:
            return TRY_AGAIN_WAIT, self.state.value
        if len(self._connections) >= self.settings.max_sessions:
            return self._minutes_to_a_place(), "full"
        # A queue that is empty again is no reason to refuse anybody, however long it was.
        wait = self._scheduler.longest_wait
        if wait > 0:
            wait = max(wait, self.metrics.queue_wait)
        if wait > self.settings.max_queue_wait:
            return self._minutes_to_a_place(), "busy"
        return None, ""

    def _minutes_to_a_place(self) -> float:
        now = time.monotonic()
        asked, seconds = self._estimated
        if now - asked > ESTIMATE_SECONDS:
            # Kept for a moment: a crowd at the door must not cost those inside.
            ages = [(now - one.began, one.deadline - now) for one in self._connections]
            asked, seconds = self._estimated = now, self._departures.first(ages)
        return round(max(0.0, seconds - (now - asked)) / 60, 3)

    async def _health(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse({"status": "ok"})

    async def _ready(self, request: Request) -> Response:  # noqa: ARG002
        if self.state is ReplicaState.READY:
            return JSONResponse({"ready": True})
        reason = {
            ReplicaState.STARTING: "The model is being loaded.",
            ReplicaState.DRAINING: "The replica is draining and takes no new session.",
        }[self.state]
        return JSONResponse({"ready": False, "reason": reason}, 503)

    async def _metrics(self, request: Request) -> Response:  # noqa: ARG002
        self.metrics.queue_depth.set(self._queue_depth)
        self.metrics.ready.set(self.state is ReplicaState.READY)
        self.metrics.memory.set(_resident())
        return Response(self.metrics.render(), media_type="text/plain; version=0.0.4")

    async def _status(self, request: Request) -> Response:  # noqa: ARG002
        stage = self._stage
        if stage:
            stage = await asyncio.to_thread(doing, stage, self.settings.model)
        return JSONResponse(
            {
                "name": self.settings.name,
                "state": self.state.value,
                "doing": stage,
                "sessions": self._busy,
                "max_sessions": self.settings.max_sessions,
                "queue_depth": self._queue_depth,
                "model": self.settings.model_label,
                "audio_seconds_total": round(self.metrics.audio_seconds, 3),
                "rss": _resident(),
                **self.metrics.totals(),
                "started_at": self._started,
            }
        )

    async def _drain(self, request: Request) -> Response:
        # A web page that someone visits can post to a loopback port: browsers name its origin.
        if "origin" in request.headers or not self._allowed(request):
            return JSONResponse({"error": "Not allowed."}, 403)
        self.drain()
        return JSONResponse({"state": self.state.value, "sessions": self._busy})

    @property
    def _queue_depth(self) -> int:
        return self._scheduler.queue_depth if self._scheduler is not None else 0


def load_transcriber(settings: Settings) -> Transcriber:
    """Load the model that the settings name; raises ModelUnavailableError."""
    return Transcriber(
        settings.model,
        device=settings.device,
        compute_type=settings.compute_type,
        threads=settings.threads,
        fitted=settings.fitted,
    )


def _subprotocols(connection: HTTPConnection) -> list[str]:
    offered = connection.headers.get("sec-websocket-protocol", "")
    return [one.strip() for one in offered.split(",") if one.strip()]


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)
