"""One load client: plays its audio to a server in real time and measures the answers."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from loadtest.events import ClientReady
from loadtest.measurement import SessionMeasurement
from loadtest.plan import ClientAssignment, StepOrder
from loadtest.runfile import ClientResult, Failure, Outcome
from loadtest.statistics import distribution
from loadtest.wer import normalise, word_errors
from stack.protocol import (
    END_OF_AUDIO,
    MAX_MESSAGE_BYTES,
    REPLICA_HEADER,
    Disconnect,
    Language,
    Problem,
    ProtocolError,
    Ready,
    Segments,
    Wait,
    parse_server_message,
)

_NORMAL_CLOSE_CODES: Final = frozenset({1000, 1001, 1005})
_MAX_ERRORS: Final = 20


class SessionFailedError(Exception):
    """The session failed for one of the fixed reasons."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Stream:
    """A client's audio, cut into messages once, before the step starts."""

    messages: list[memoryview]
    chunk: float
    duration: float
    """Seconds."""
    reference: str | None
    word_ends: tuple[float, ...] | None
    """Where each word of the normalised reference ends, seconds; None where that is not known."""
    name: str


@dataclass(slots=True)
class LoadClient:
    """One session, start to end. ``play`` never raises for what a server does."""

    order: StepOrder
    assignment: ClientAssignment
    stream: Stream
    stopping: asyncio.Event
    """Set when the run is being stopped: the session is left as incomplete."""
    report_ready: Callable[[ClientReady], None]
    report_latency: Callable[[int, list[float]], None]
    measurement: SessionMeasurement | None = None
    slip: list[float] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    replica: str | None = None
    connection_time: float | None = None
    active: bool = False
    _start_at: float = 0.0
    _ended_at: float | None = None
    _flushes: bool = False
    _all_sent: bool = False

    async def play(self, start_at: float) -> ClientResult:
        """Play the whole session of a step that starts at ``start_at`` (monotonic seconds)."""
        self._start_at = start_at
        started = start_at + self.assignment.start_after
        if await _sleep_until(started, self.stopping):
            return self._result(started, Outcome.INCOMPLETE, None)
        started = time.monotonic()
        self.active = True
        failure: Failure | None = None
        session = asyncio.create_task(self._session(started))
        stop = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({session, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not session.done():
                session.cancel()
                await asyncio.gather(session, return_exceptions=True)
                return self._result(started, Outcome.INCOMPLETE, None)
            session.result()
        except SessionFailedError as error:
            failure = error.failure
            self._note(str(error))
        finally:
            stop.cancel()
            self.active = False
            self._ended_at = time.monotonic()
        if failure is None and not (self.measurement and self.measurement.transcript):
            failure = Failure.PROTOCOL
            self._note("The session ended in order, but the server sent no text.")
        outcome = Outcome.FAILED if failure else Outcome.SUCCESS
        return self._result(started, outcome, failure)

    @property
    def audio_sent(self) -> float:
        """Seconds of audio sent so far; the last chunk may be shorter than the others."""
        if self.measurement is None:
            return 0.0
        return min(self.stream.duration, self.measurement.sent_chunks * self.stream.chunk)

    def _note(self, text: str) -> None:
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(text[:500])

    async def _session(self, started: float) -> None:
        connection = await self._connect()
        try:
            await self._become_ready(connection, started)
            await self._stream(connection)
        finally:
            # The close handshake of a dead server must not hold up the run.
            await connection.close()

    async def _connect(self) -> ClientConnection:
        try:
            return await connect(
                # For balancers that keep a session's uid to one replica: they see no message.
                f"{self.order.url}?uid={self.assignment.uid}",
                open_timeout=self.order.connect_timeout,
                close_timeout=1,
                # A busy server that answers pings late is slow, not dead: latency says so.
                ping_interval=None,
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                max_queue=64,
                proxy=None,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            body = (error.response.body or b"")[:200].decode("utf-8", "replace")
            reason = Failure.REFUSED if status == 503 else Failure.HANDSHAKE
            raise SessionFailedError(reason, f"HTTP {status} in the handshake. {body}") from None
        except (InvalidHandshake, InvalidMessage, InvalidURI) as error:
            raise SessionFailedError(Failure.HANDSHAKE, f"The handshake failed: {error}.") from None
        except TimeoutError:
            raise SessionFailedError(
                Failure.TIMEOUT, f"No handshake within {self.order.connect_timeout:g} s."
            ) from None
        except (EOFError, ConnectionResetError, WebSocketException) as error:
            raise SessionFailedError(
                Failure.HANDSHAKE, f"The connection ended in the handshake: {error}."
            ) from None
        except OSError as error:
            raise SessionFailedError(Failure.REFUSED, f"No connection: {error}.") from None

    async def _become_ready(self, connection: ClientConnection, started: float) -> None:
        """Send the options and wait for SERVER_READY."""
        response = connection.response
        self.replica = response.headers.get(REPLICA_HEADER) if response else None
        options = {
            "uid": self.assignment.uid,
            "language": self.order.language,
            "task": "transcribe",
            "model": "small",
            "use_vad": self.order.use_vad,
            "send_last_n_segments": 10,
            "no_speech_thresh": 0.45,
            "clip_audio": False,
            "same_output_threshold": 10,
        }
        if self.order.audio_format != "float32":
            options["audio_format"] = self.order.audio_format.value
        remaining = self.order.connect_timeout - (time.monotonic() - started)
        try:
            async with asyncio.timeout(max(0.0, remaining)):
                await connection.send(json.dumps(options))
                while True:
                    message = self._parse(await connection.recv())
                    if isinstance(message, Ready):
                        break
                    self._refusals(message)
        except TimeoutError:
            raise SessionFailedError(
                Failure.TIMEOUT, f"No SERVER_READY within {self.order.connect_timeout:g} s."
            ) from None
        except ConnectionClosed as error:
            raise SessionFailedError(
                Failure.HANDSHAKE, f"The server closed before SERVER_READY: {error}."
            ) from None
        self._flushes = message.flush
        self.connection_time = time.monotonic() - started
        self.report_ready(
            ClientReady(
                client_id=self.assignment.index,
                replica=self.replica,
                connection_time=self.connection_time,
            )
        )

    async def _stream(self, connection: ClientConnection) -> None:
        """Send the audio on schedule while reading; return when the session ended in order."""
        self.measurement = SessionMeasurement(
            first_send=time.monotonic(),
            chunk=self.stream.chunk,
            chunks=len(self.stream.messages),
        )
        reader = asyncio.create_task(self._read(connection, self.measurement))
        sender = asyncio.create_task(self._send(connection, self.measurement))
        try:
            await asyncio.wait({reader, sender}, return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                # The reader ends when the server has closed, or failed: that decides.
                sender.cancel()
                await asyncio.gather(sender, return_exceptions=True)
                reader.result()
                return
            sender.result()
            deadline = self.order.finish_timeout
            try:
                await asyncio.wait_for(asyncio.shield(reader), deadline)
            except TimeoutError:
                raise SessionFailedError(
                    Failure.TIMEOUT,
                    f"The server didn't end the session within {deadline:g} s after the audio.",
                ) from None
        finally:
            for task in (reader, sender):
                task.cancel()
            await asyncio.gather(reader, sender, return_exceptions=True)

    async def _send(self, connection: ClientConnection, measured: SessionMeasurement) -> None:
        blocked_until = 0.0
        try:
            for index, message in enumerate(self.stream.messages):
                scheduled = measured.scheduled(index)
                delay = scheduled - time.monotonic()
                # Always yield, also when late: otherwise one client's backlog starves the others.
                await asyncio.sleep(max(0.0, delay))
                actual = time.monotonic()
                self.slip.append(actual - scheduled)
                if blocked_until <= scheduled:
                    self.lateness.append(actual - scheduled)
                measured.sent_chunks = index + 1
                await connection.send(message)
                blocked_until = time.monotonic()
            if not self._flushes:
                await self._wait_for_quiet(measured)
            self._all_sent = True
            await connection.send(END_OF_AUDIO)
        except ConnectionClosed:
            # The reader sees the same close and knows the reason.
            await asyncio.Event().wait()

    async def _wait_for_quiet(self, measured: SessionMeasurement) -> None:
        """Wait until no new text has come for ``quiet`` seconds, within ``finish_timeout``."""
        last_sent = time.monotonic()
        deadline = last_sent + self.order.finish_timeout
        while True:
            latest = max(measured.last_text_at or 0.0, last_sent)
            until = min(latest + self.order.quiet, deadline)
            delay = until - time.monotonic()
            if delay <= 0:
                return
            await asyncio.sleep(delay)

    async def _read(self, connection: ClientConnection, measured: SessionMeasurement) -> None:
        try:
            async for raw in connection:
                received = time.monotonic()
                message = self._parse(raw)
                if isinstance(message, Segments) and message.final:
                    measured.replace(message.segments, received)
                elif isinstance(message, Segments):
                    new = measured.update(message.segments, received)
                    if new:
                        self.report_latency(self.assignment.index, new)
                else:
                    self._refusals(message)
        except ConnectionClosed:
            pass  # the close code below says what it was
        code, reason = connection.close_code, connection.close_reason
        if code == 1011:
            raise SessionFailedError(
                Failure.SERVER_ERROR, f"The server closed with an error: {reason or code}."
            )
        if not self._all_sent or code not in _NORMAL_CLOSE_CODES:
            sent = measured.sent_chunks * measured.chunk
            raise SessionFailedError(
                Failure.DISCONNECTED,
                f"The connection ended after {sent:.1f} of {self.stream.duration:.1f} s of audio "
                f"(close code {code}).",
            )

    def _parse(self, raw: str | bytes) -> Ready | Wait | Problem | Language | Segments | Disconnect:
        try:
            message = parse_server_message(raw)
        except ProtocolError as error:
            raise SessionFailedError(Failure.PROTOCOL, str(error)) from None
        if message.uid != self.assignment.uid:
            raise SessionFailedError(
                Failure.PROTOCOL, "The server sent a message for another session's uid."
            )
        return message

    def _refusals(self, message: object) -> None:
        """Raise for messages that end a session badly; note warnings."""
        match message:
            case Wait(minutes=minutes):
                raise SessionFailedError(
                    Failure.WAIT, f"The server is full: WAIT, {minutes:.1f} minutes."
                )
            case Problem(status="ERROR", text=text):
                raise SessionFailedError(Failure.SERVER_ERROR, f"The server said: {text}")
            case Problem(text=text):
                self._note(f"Warning of the server: {text}")
            case Disconnect():
                raise SessionFailedError(
                    Failure.DISCONNECTED, "The server ended the session: its time was over."
                )

    def _result(self, started: float, outcome: Outcome, failure: Failure | None) -> ClientResult:
        measured = self.measurement
        ended = self._ended_at or time.monotonic()
        transcript = measured.transcript if measured else ""
        reference = self.stream.reference
        errors = None
        # Words lost by a session that broke off count; a session that was never let in says
        # nothing of the text, and one cut off by the end of the run has no whole reference.
        if reference is not None and measured and outcome is not Outcome.INCOMPLETE:
            errors = word_errors([(reference, transcript)])
        shown, certain = self._word_latencies()
        return ClientResult(
            client_id=self.assignment.index,
            uid=self.assignment.uid,
            outcome=outcome,
            success=outcome is Outcome.SUCCESS,
            failure=failure,
            errors=self.errors,
            replica=self.replica,
            message_count=measured.message_count if measured else 0,
            audio_file=self.stream.name,
            audio_duration=self.stream.duration,
            audio_sent=self.audio_sent,
            started_at=started - self._start_at,
            processing_time=ended - measured.first_send if measured else None,
            connection_time=self.connection_time,
            first_result=measured.first_result if measured else None,
            finish=measured.finish if measured else None,
            transcript=transcript,
            reference=reference,
            wer=errors,
            latency=distribution(measured.latency if measured else []),
            final_latency=distribution(measured.final_latency if measured else []),
            slip=distribution(self.slip),
            latency_samples=measured.latency if measured else [],
            final_latency_samples=measured.final_latency if measured else [],
            word_latency_samples=shown,
            word_final_latency_samples=certain,
        )

    def _word_latencies(self) -> tuple[list[float], list[float]]:
        stream, measured = self.stream, self.measurement
        if measured is None or stream.reference is None or stream.word_ends is None:
            return [], []
        return measured.word_latencies(normalise(stream.reference).split(), stream.word_ends)


async def _sleep_until(moment: float, stopping: asyncio.Event) -> bool:
    """Sleep until the monotonic ``moment``; return True if the run was stopped before."""
    try:
        await asyncio.wait_for(stopping.wait(), max(0.0, moment - time.monotonic()))
    except TimeoutError:
        return False
    return True
