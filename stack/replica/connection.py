"""One client on its WebSocket: reading audio, writing text, and the ways a session ends."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from stack.protocol import (
    BACKEND,
    END_OF_AUDIO,
    SAMPLE_RATE,
    AudioFormat,
    Disconnect,
    Language,
    Problem,
    ProtocolError,
    Ready,
    Segments,
    ServerMessage,
    SessionOptions,
    decode_audio,
    parse_options,
    render,
)
from stack.replica.metrics import Metrics, Profile
from stack.replica.scheduler import Scheduler
from stack.replica.second import SecondHearing
from stack.replica.terms import Terms
from stack.replica.voice import check_vad_parameters

OPTIONS_SECONDS: Final = 10.0
"""A client has this long for its first message."""

UNHEARD_LIMIT: Final = 60.0
"""Seconds of unheard audio above which a session's socket is not read: a client that sends faster
than the model hears is slowed down, loses nothing and takes bounded memory."""

SLICE_SECONDS: Final = 10
"""A large message is taken in pieces of this length, with the limit above between them."""

SLOW_READER: Final = 60.0
"""Seconds that a client may take to make room for one message, before its session ends."""

OVERTIME_FLUSH: Final = 30.0
"""Seconds for transcribing the rest when a session's time is over."""

NORMAL, GOING_AWAY, BAD_DATA, BAD_OPTIONS, INTERNAL = 1000, 1001, 1007, 1008, 1011

_log = logging.getLogger("stack.replica")


class End(StrEnum):
    """Why no more audio is taken."""

    AUDIO = "end of audio"
    TIME = "time over"
    SHUTDOWN = "shutdown"
    GONE = "client gone"
    BAD_AUDIO = "bad audio"
    FAILED = "failed"
    SLOW = "client does not read"


async def receive_options(websocket: WebSocket) -> SessionOptions:
    """Wait for the first message; raises ProtocolError, WebSocketDisconnect."""
    try:
        message = await asyncio.wait_for(websocket.receive(), OPTIONS_SECONDS)
    except TimeoutError:
        raise ProtocolError(
            f"No options came within {OPTIONS_SECONDS:.0f} s of the connection; "
            "send them first, as a JSON object."
        ) from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    text = message.get("text")
    return parse_options(text if text is not None else message.get("bytes") or b"")


async def send_problem(websocket: WebSocket, uid: str, text: str, code: int) -> None:
    """Tell a client what is wrong and close; one that does not read is not waited for."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(SLOW_READER):
            await websocket.send_text(render(Problem(uid=uid, status="ERROR", text=text)))
            await websocket.close(code)


class Connection:
    """A session on its socket, from SERVER_READY to the close."""

    def __init__(
        self,
        websocket: WebSocket,
        options: SessionOptions,
        terms: Terms,
        scheduler: Scheduler,
        metrics: Metrics,
    ) -> None:
        self._websocket = websocket
        self._options = options
        self._terms = terms
        self._scheduler = scheduler
        self._metrics = metrics
        vad_parameters, self._unusable = check_vad_parameters(options.vad_parameters)
        self.session = terms.session(options, vad_parameters)
        self._entry = scheduler.add(self.session, self._on_progress)
        self._second = SecondHearing(terms, options, scheduler) if terms.final_pass else None
        self._end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._progress = asyncio.Event()
        self._room = asyncio.Event()
        self._complaint = ""
        self.began = time.monotonic()
        self.deadline = self.began + terms.max_connection_time
        """When the session's time is over, monotonic seconds."""

    @property
    def profile(self) -> Profile:
        """Where the session's time went."""
        return self._entry.profile

    def stop(self, reason: End) -> None:
        """Take no more audio, for this reason; the first reason counts."""
        if not self._end.done():
            self._end.set_result(reason)

    async def run(self) -> End:
        """Serve the session to its end and say why it ended."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._greet()
            reader = asyncio.create_task(self._guard(self._read))
            writer = asyncio.create_task(self._guard(self._write))
            tasks = [reader, writer]
            reason = await self._audio_over()
            if reason is not End.GONE:
                reason = await self._finish(reason, writer)
        except WebSocketDisconnect:
            reason = End.GONE
        except TimeoutError:
            reason = End.SLOW
        finally:
            self._scheduler.remove(self._entry)
            if self._second is not None:
                self._second.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return reason

    async def _greet(self) -> None:
        uid = self._options.uid
        await self._send(Ready(uid=uid, backend=BACKEND, flush=True))
        if not self._terms.multilingual:
            wanted = self._options.language
            if wanted not in (None, "en"):
                await self._warn(f"This replica's model hears English only, not '{wanted}'.")
            if wanted is None:
                await self._send(Language(uid=uid, language="en", probability=1.0))
            if self._options.task == "translate":
                await self._warn("This replica's model can't translate; it transcribes.")
        if self._unusable:
            names = ", ".join(sorted(self._unusable)[:8])
            await self._warn(f"These vad_parameters are not usable and ignored: {names}.")

    async def _warn(self, text: str) -> None:
        await self._send(Problem(uid=self._options.uid, status="WARNING", text=text))

    async def _send(self, message: ServerMessage) -> None:
        begun = time.perf_counter()
        async with asyncio.timeout(SLOW_READER):
            await self._websocket.send_text(render(message))
        self._note("send", time.perf_counter() - begun)

    def _note(self, stage: str, seconds: float) -> None:
        self._metrics.stage(stage, seconds)
        self._entry.profile.add(stage, seconds)

    async def _audio_over(self) -> End:
        try:
            remaining = self.deadline - time.monotonic()
            return await asyncio.wait_for(asyncio.shield(self._end), remaining)
        except TimeoutError:
            self.stop(End.TIME)
            return self._end.result()

    async def _finish(self, reason: End, writer: asyncio.Task[None]) -> End:
        """Flush what was heard, tell the client why it ends, and close."""
        self.session.finish()
        self._scheduler.notify(self._entry)
        self._on_progress()
        gone = asyncio.create_task(self._gone.wait())
        limit = None if reason in (End.AUDIO, End.BAD_AUDIO) else OVERTIME_FLUSH
        if reason is End.AUDIO:
            # A flush in order ends by itself, but not later than the session's time and the grace.
            limit = max(0.0, self.deadline - time.monotonic()) + OVERTIME_FLUSH
        try:
            await asyncio.wait({writer, gone}, timeout=limit, return_when="FIRST_COMPLETED")
        finally:
            gone.cancel()
        if self._gone.is_set():
            return End.GONE
        if reason is End.SLOW:
            return reason
        if self._entry.failure is not None:
            text = "The transcription failed; the replica's log has the reason."
            await send_problem(self._websocket, self._options.uid, text, INTERNAL)
            return End.FAILED
        if reason is End.BAD_AUDIO:
            await send_problem(self._websocket, self._options.uid, self._complaint, BAD_DATA)
            return reason
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            if reason is End.TIME:
                await self._send(Disconnect(uid=self._options.uid))
            async with asyncio.timeout(SLOW_READER):
                await self._websocket.close(GOING_AWAY if reason is End.SHUTDOWN else NORMAL)
        return reason

    def _on_progress(self) -> None:
        self._progress.set()
        self._room.set()
        if self._entry.failure is not None:
            self.stop(End.FAILED)

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except WebSocketDisconnect:
            self._gone.set()
            self.stop(End.GONE)
        except TimeoutError:
            self.stop(End.SLOW)
        except Exception as error:
            _log.exception("A session failed.")
            self._metrics.errors.labels("session").inc()
            self._entry.failure = error
            self._on_progress()

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1006))
            if self._end.done():
                continue  # audio after the end is ignored, but a close has to be noticed
            text, data = message.get("text"), message.get("bytes")
            if data == END_OF_AUDIO or (text or "").strip() == END_OF_AUDIO.decode():
                self.stop(End.AUDIO)
            elif data is not None:
                await self._take_audio(data)
            # Other text after the options has no meaning in the protocol: ignored, as upstream.

    async def _take_audio(self, data: bytes) -> None:
        audio_format: AudioFormat = self._options.audio_format
        step = audio_format.sample_bytes * SAMPLE_RATE * SLICE_SECONDS
        for first in range(0, len(data), step):
            begun = time.perf_counter()
            try:
                samples = decode_audio(data[first : first + step], audio_format)
            except ProtocolError as error:
                self._complaint = str(error)
                self.stop(End.BAD_AUDIO)
                return
            now = time.monotonic()
            self.session.add(samples, now)
            if self._second is not None:
                self._second.add(samples, now)
            self._metrics.received(len(samples) / SAMPLE_RATE)
            self._note("receive", time.perf_counter() - begun)
            self._scheduler.notify(self._entry)
            while self.session.unheard > UNHEARD_LIMIT and not self._end.done():
                self._room.clear()
                await self._room.wait()

    async def _write(self) -> None:
        """Send what changed; while the client's socket is full, changes fold into the newest."""
        uid = self._options.uid
        while True:
            await self._progress.wait()
            self._progress.clear()
            done = self.session.finished or self._entry.failure is not None
            language = self.session.take_language()
            if language is not None:
                await self._send(Language(uid=uid, language=language[0], probability=language[1]))
            for segments in self.session.take_updates():
                await self._send(Segments(uid=uid, segments=segments))
                for segment in segments:
                    self._metrics.segments.labels(str(segment.completed).lower()).inc()
            if done:
                await self._send_final_text()
                return

    async def _send_final_text(self) -> None:
        if self._second is None or self._entry.failure is not None:
            return
        segments = await self._second.segments()
        if segments is None:
            await self._warn("The second hearing was given up; the text sent is the final one.")
        elif segments:
            await self._send(Segments(uid=self._options.uid, segments=segments, final=True))
