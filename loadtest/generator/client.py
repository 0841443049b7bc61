"""One load client: plays its audio to a server in real time and measures the answers."""

import asyncio
import time
from array import array
from dataclasses import dataclass, field
from typing import Any, Final

from loadtest.events import ClientReady
from loadtest.generator.answers import parse_answer, warning_of
from loadtest.generator.connection import Connection, encode_frame
from loadtest.generator.frames import Stream
from loadtest.generator.opening import SessionFailedError, connect, options_message
from loadtest.generator.pacer import Sender
from loadtest.generator.surroundings import Surroundings
from loadtest.measurement import SessionMeasurement
from loadtest.plan import ClientAssignment
from loadtest.runfile import ClientResult, Failure, Outcome
from loadtest.statistics import distribution
from loadtest.wer import normalise, word_errors
from stack.protocol import END_OF_AUDIO, REPLICA_HEADER, Ready, Segments
from stack.segments import ReadSegments, read_segments

_NORMAL_CLOSE_CODES: Final = frozenset({1000, 1001, 1005})
_MAX_ERRORS: Final = 20
_END_FRAME: Final = encode_frame(END_OF_AUDIO)
_RECONNECTS: Final = 10
"""Attempts in a row; then the session has failed."""
_BACK_OFF: Final = 0.1
_MAX_BACK_OFF: Final = 2.0
_LASTING: Final = frozenset({Failure.PROTOCOL, Failure.SERVER_ERROR})
"""Failures that another attempt would only repeat."""


@dataclass(slots=True)
class LoadClient:
    """One session, start to end. ``play`` never raises for what a server does."""

    shared: Surroundings
    assignment: ClientAssignment
    stream: Stream
    measurement: SessionMeasurement | None = None
    slip: "array[float]" = field(default_factory=lambda: array("d"))
    lateness: "array[float]" = field(default_factory=lambda: array("d"))
    errors: list[str] = field(default_factory=list)
    replicas: list[str] = field(default_factory=list)
    """Those that served the session, in order."""
    connection_time: float | None = None
    active: bool = False
    reconnects: int = 0
    gap: float = 0.0
    """Seconds without a connection."""
    _start_at: float = 0.0
    _started: float = 0.0
    _ended_at: float | None = None
    _outcome: Outcome = Outcome.INCOMPLETE
    _failure: Failure | None = None
    _ready: "asyncio.Future[Ready] | None" = None
    _broken: SessionFailedError | None = None
    _all_sent: bool = False

    async def play(self, start_at: float) -> None:
        """Play the whole session of a step that starts at ``start_at`` (monotonic seconds)."""
        self._start_at = start_at
        self._started = start_at + self.assignment.start_after
        if await _sleep_until(self._started, self.shared.stopping):
            return
        self._started = time.monotonic()
        self.active = True
        session = asyncio.create_task(self._session())
        stop = asyncio.create_task(self.shared.stopping.wait())
        try:
            await asyncio.wait({session, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not session.done():
                session.cancel()
                await asyncio.gather(session, return_exceptions=True)
                return
            session.result()
            self._outcome = Outcome.SUCCESS
        except SessionFailedError as error:
            self._fail(error.failure, str(error))
        except Exception as error:
            self._fail(Failure.PROTOCOL, f"The load client failed: {type(error).__name__}: {error}")
        finally:
            stop.cancel()
            self.active = False
            self._ended_at = self._ended_at or time.monotonic()
        if self._failure is None and not (self.measurement and self.measurement.transcript):
            self._fail(Failure.PROTOCOL, "The session ended in order, but the server sent no text.")

    def _fail(self, failure: Failure, detail: str) -> None:
        self._outcome, self._failure = Outcome.FAILED, failure
        self._note(detail)

    @property
    def audio_sent(self) -> float:
        """Seconds of audio sent so far."""
        return self.measurement.furthest * self.stream.chunk if self.measurement else 0.0

    def _note(self, text: str) -> None:
        if len(self.errors) < _MAX_ERRORS:
            self.errors.append(text[:500])

    async def _session(self) -> None:
        """Play on one connection, and on further ones where the plan wants that."""
        attempts = 0
        lost_at = 0.0
        before = 0.0
        while True:
            served = len(self.replicas)
            try:
                await self._connection(lost_at)
            except SessionFailedError as error:
                # Who was never let in has nothing to come back to.
                if self.measurement is None or not self.shared.order.reconnect:
                    raise
                if len(self.replicas) > served:
                    lost_at = time.monotonic()
                # To be let in is no progress: a server may do that for ever.
                progress = self.measurement.progress
                attempts = 1 if progress > before else attempts + 1
                before = max(before, progress)
                lasting = error.failure in _LASTING
                over = self._all_sent and error.failure is Failure.TIMEOUT
                if lasting or over or attempts > _RECONNECTS:
                    raise
                self._note(f"{error} Reconnecting.")
                await asyncio.sleep(min(_MAX_BACK_OFF, _BACK_OFF * 2 ** (attempts - 1)))
            else:
                return

    async def _connection(self, lost_at: float) -> None:
        """Connect, wait for SERVER_READY and play what is left; ``lost_at`` is 0 at first."""
        self._ready = asyncio.get_running_loop().create_future()
        self._broken, self._all_sent = None, False
        began = time.monotonic()
        connection = await connect(self.shared.order, self.assignment.uid, self.shared.security)
        try:
            flushes = (await self._become_ready(connection, began)).flush
            if lost_at:
                self.reconnects += 1
                self.gap += time.monotonic() - lost_at
            else:
                self.connection_time = time.monotonic() - began
                self.shared.report_ready(
                    ClientReady(
                        client_id=self.assignment.index,
                        replica=self.replicas[0] or None,
                        connection_time=self.connection_time,
                    )
                )
            await self._stream(connection, flushes=flushes)
        finally:
            # The close handshake of a dead server must not hold up the run.
            await connection.close()

    async def _become_ready(self, connection: Connection, began: float) -> Ready:
        """Send the options and wait for SERVER_READY."""
        order = self.shared.order
        named = connection.response.headers.get(REPLICA_HEADER) if connection.response else None
        ready = self._ready
        assert ready is not None  # noqa: S101
        connection.listen(lambda raw, received: self._take(connection, raw, received))
        connection.send_text(options_message(order, self.assignment.uid))
        remaining = order.connect_timeout - (time.monotonic() - began)
        ended = asyncio.create_task(connection.ended.wait())
        try:
            waits: set[asyncio.Future[Any]] = {ready, ended}
            await asyncio.wait(
                waits, timeout=max(0.0, remaining), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ended.cancel()
        if self._broken is not None:
            raise self._broken
        if ready.done():
            self.replicas.append(named or "")
            return ready.result()
        if connection.ended.is_set():
            raise SessionFailedError(
                Failure.HANDSHAKE,
                f"The server closed before SERVER_READY (close code {connection.close_code}).",
            )
        raise SessionFailedError(
            Failure.TIMEOUT, f"No SERVER_READY within {order.connect_timeout:g} s."
        )

    async def _stream(self, connection: Connection, *, flushes: bool) -> None:
        """Send the audio on schedule; return when the session ended in order."""
        if self.measurement is None:
            start = 0
            self.measurement = SessionMeasurement(
                first_send=time.monotonic(),
                chunk=self.stream.chunk,
                chunks=len(self.stream.frames),
            )
        else:
            start = min(self.measurement.resume(), len(self.stream.frames) - 1)
        sender = Sender(
            connection,
            self.stream.frames,
            self.measurement,
            slip=self.slip,
            lateness=self.lateness,
            start=start,
        )
        self.shared.pacer.play(sender, connection)
        ended = asyncio.create_task(connection.ended.wait())
        deadline = self.shared.order.finish_timeout
        # A server that reads no more holds the sender up for ever, and says nothing.
        left = self.measurement.scheduled(len(self.stream.frames)) - time.monotonic()
        try:
            waits: set[asyncio.Future[Any]] = {sender.done, ended}
            await asyncio.wait(
                waits, timeout=max(0.0, left) + deadline, return_when=asyncio.FIRST_COMPLETED
            )
            if not sender.done.done() and not connection.ended.is_set():
                raise SessionFailedError(
                    Failure.TIMEOUT,
                    f"The server still hadn't taken all audio {deadline:g} s after its end.",
                )
            if not connection.ended.is_set() and not flushes:
                await self._wait_for_quiet(self.measurement, ended)
            if not connection.ended.is_set():
                self._all_sent = True
                connection.send_frame(_END_FRAME)
                await asyncio.wait({ended}, timeout=deadline)
                if not connection.ended.is_set():
                    raise SessionFailedError(
                        Failure.TIMEOUT,
                        f"The server didn't end the session within {deadline:g} s after the audio.",
                    )
        finally:
            ended.cancel()
            sender.done.cancel()
        self._check_end(connection)
        # Closing takes its own time, which is none of the session's.
        self._ended_at = time.monotonic()

    async def _wait_for_quiet(
        self, measured: SessionMeasurement, ended: "asyncio.Task[Any]"
    ) -> None:
        """Wait until no new text has come for ``quiet`` seconds, within ``finish_timeout``."""
        order = self.shared.order
        last_sent = time.monotonic()
        deadline = last_sent + order.finish_timeout
        while not ended.done():
            latest = max(measured.last_text_at or 0.0, last_sent)
            delay = min(latest + order.quiet, deadline) - time.monotonic()
            if delay <= 0:
                return
            await asyncio.wait({ended}, timeout=delay)

    def _take(self, connection: Connection, raw: bytes, received: float) -> None:
        """Take in one message; what is wrong with it ends the connection."""
        if self._broken is not None:
            return
        try:
            # Nearly all messages are these.
            if (
                self.measurement is not None
                and (heard := read_segments(raw)) is not None
                and heard.uid == self.assignment.uid
            ):
                self._hear(self.measurement, heard, received)
                return
            message = parse_answer(raw, self.assignment.uid)
            if isinstance(message, Ready) and self._ready is not None and not self._ready.done():
                self._ready.set_result(message)
            elif isinstance(message, Segments) and self.measurement is not None:
                self._hear(self.measurement, message, received)
            elif (warning := warning_of(message)) is not None:
                self._note(warning)
        except SessionFailedError as error:
            self._broken = error
            connection.abort()

    def _hear(
        self, measured: SessionMeasurement, message: Segments | ReadSegments, received: float
    ) -> None:
        if message.final:
            measured.replace(message.segments, received)
        elif new := measured.update(message.segments, received):
            self.shared.report_latency(self.assignment.index, new)

    def _check_end(self, connection: Connection) -> None:
        """Raise unless the server ended the session in order, after all audio."""
        if self._broken is not None:
            raise self._broken
        code, reason = connection.close_code, connection.close_reason
        if connection.breach:
            raise SessionFailedError(
                Failure.PROTOCOL, f"The server broke the WebSocket protocol: {connection.breach}."
            )
        if code == 1011:
            raise SessionFailedError(
                Failure.SERVER_ERROR, f"The server closed with an error: {reason or code}."
            )
        if not self._all_sent or code not in _NORMAL_CLOSE_CODES:
            raise SessionFailedError(
                Failure.DISCONNECTED,
                f"The connection ended after {self.audio_sent:.1f} of "
                f"{self.stream.duration:.1f} s of audio (close code {code}).",
            )

    def result(self) -> ClientResult:
        """Say what the session came to, once it is over.

        It aligns texts, which takes milliseconds: not for the thread that sends.
        """
        measured, outcome = self.measurement, self._outcome
        ended = self._ended_at or time.monotonic()
        transcript = measured.transcript if measured else ""
        reference = self.stream.reference
        errors = None
        # Words lost by a session that broke off count; a session that was never let in says
        # nothing of the text, and one cut off by the end of the run has no whole reference.
        if reference is not None and measured and outcome is not Outcome.INCOMPLETE:
            errors = word_errors([(reference, transcript)])
        replicas = [name for name in self.replicas if name]
        shown, certain = self._word_latencies()
        return ClientResult(
            client_id=self.assignment.index,
            uid=self.assignment.uid,
            outcome=outcome,
            success=outcome is Outcome.SUCCESS,
            failure=self._failure,
            errors=self.errors,
            replica=replicas[0] if replicas else None,
            moved_to=replicas[1:],
            reconnects=self.reconnects,
            gap=self.gap,
            message_count=measured.message_count if measured else 0,
            audio_file=self.stream.name,
            audio_duration=self.stream.duration,
            audio_sent=self.audio_sent,
            started_at=self._started - self._start_at,
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
