"""``POST /v1/audio/transcriptions`` as OpenAI defines it: files, through the same scheduler."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from typing import Final, TypeVar

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from stack.protocol import Segment
from stack.replica.audio_files import AudioFileError, decode
from stack.replica.metrics import Metrics
from stack.replica.rest_formats import (
    MEDIA_TYPES,
    Transcription,
    event,
    failure_event,
    problem,
    render,
)
from stack.replica.rest_request import (
    MAX_BODY_BYTES,
    MAX_FILE_BYTES,
    RefusedError,
    Wanted,
    parse,
)
from stack.replica.scheduler import Entry, Priority, Scheduler
from stack.replica.session import Session
from stack.replica.terms import Terms
from stack.replica.voice import Samples

PATH: Final = "/v1/audio/transcriptions"

MAX_AT_ONCE: Final = 4
"""Files in work; the others are told to come again."""

UNHEARD_LIMIT: Final = 60.0
"""Seconds of decoded audio that wait; the file is not decoded further meanwhile."""

RETRY_SECONDS: Final = 5

UPLOAD_PAUSE: Final = 30.0
"""Seconds without a byte of an upload, after which its place is given to others."""

UPLOAD_SECONDS: Final = 600.0
"""Seconds that an upload takes at most."""

READ_OUT_SECONDS: Final = 10.0
"""Seconds for which the rest of an upload is read that has been refused."""

READ_PAUSE: Final = 60.0
"""Seconds in which a client reads nothing of its stream, after which it is given up."""

FAILED: Final = "The transcription failed; the replica's log has the reason."

_T = TypeVar("_T")

_log = logging.getLogger("stack.replica")


class Transcriptions:
    """The endpoint. ``parts`` gives what sessions are made of, or None while none is taken.

    ``allowed`` checks the key of a request; ``changed`` is called when one is over.
    """

    def __init__(
        self,
        *,
        allowed: Callable[[HTTPConnection], bool],
        needs_key: bool,
        parts: Callable[[], tuple[Terms, Scheduler] | None],
        metrics: Metrics,
        changed: Callable[[], None],
    ) -> None:
        self._allowed = allowed
        self._needs_key = needs_key
        self._parts = parts
        self._metrics = metrics
        self._changed = changed
        self.running = 0
        """Files in work."""

    async def serve(self, request: Request) -> Response:
        """Answer one request."""
        try:
            response = await self._serve(request)
        except RefusedError as error:
            body = problem(str(error), kind=error.kind, param=error.param, code=error.code)
            headers = {"Retry-After": str(RETRY_SECONDS)} if error.status in (429, 503) else {}
            if error.status == 408:
                headers["Connection"] = "close"  # the rest of the upload is not waited for
            response = JSONResponse(body, error.status, headers=headers)
        except ClientDisconnect:
            response = Response(status_code=499)
        except Exception:
            _log.exception("A transcription failed.")
            self._metrics.errors.labels("transcription").inc()
            body = problem(FAILED, kind="server_error", param=None, code=None)
            response = JSONResponse(body, 500)
        self._metrics.requests.labels(PATH, str(response.status_code)).inc()
        return response

    async def _serve(self, request: Request) -> Response:
        try:
            terms, scheduler = self._admit(request)
        except RefusedError:
            await _read_out(request)
            raise
        self.running += 1
        async with contextlib.AsyncExitStack() as release:
            release.callback(self._over)
            form = await self._form(request)
            release.push_async_callback(form.close)
            wanted = parse(form, terms)
            work = Work(wanted, terms, scheduler)
            release.callback(work.close)
            if wanted.stream:
                # Said with a status of its own while there is one to give.
                await _unless_gone(request, work.open())
                # The answer is over later than this function.
                return _Streaming(self._events(work), release.pop_all())
            found = await _unless_gone(request, work.all())
            return Response(render(found, wanted.form), media_type=MEDIA_TYPES[wanted.form])

    def _over(self) -> None:
        self.running -= 1
        self._changed()

    def _admit(self, request: Request) -> tuple[Terms, Scheduler]:
        if not self._allowed(request):
            raise RefusedError(
                "The API key is missing or wrong; send it as 'Authorization: Bearer KEY'.",
                status=401,
                code="invalid_api_key",
            )
        # A web page that someone visits can post to a loopback port: browsers name its origin.
        if "origin" in request.headers and not self._needs_key:
            raise RefusedError("Web pages of other origins are not served.", status=403)
        parts = self._parts()
        if parts is None:
            raise RefusedError(
                "The replica takes no requests now; it starts or goes. Try again.",
                status=503,
                kind="server_error",
                code="not_ready",
            )
        if self.running >= MAX_AT_ONCE:
            raise RefusedError(
                f"{MAX_AT_ONCE} files are in work already; try again in {RETRY_SECONDS} s.",
                status=429,
                kind="rate_limit_error",
                code="rate_limit_exceeded",
            )
        return parts

    @staticmethod
    async def _form(request: Request) -> FormData:
        too_large = RefusedError(
            f"The request is larger than {MAX_FILE_BYTES // 2**20} MB; send a smaller file.",
            status=413,
            param="file",
        )
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            raise too_large
        kind = request.headers.get("content-type", "").lower()
        if not kind.startswith("multipart/form-data"):
            raise RefusedError("Send the file and its options as multipart/form-data.")
        received = 0
        receive = request.receive

        async def counted() -> Message:
            nonlocal received
            async with asyncio.timeout(UPLOAD_PAUSE):
                message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise too_large
            return message

        limited = Request(request.scope, counted)
        try:
            async with asyncio.timeout(UPLOAD_SECONDS):
                return await limited.form(max_files=1, max_fields=32, max_part_size=64 * 1024)
        except TimeoutError:
            raise RefusedError(
                f"The upload stood still for {UPLOAD_PAUSE:.0f} s or took longer than "
                f"{UPLOAD_SECONDS:.0f} s; send it again.",
                status=408,
                param="file",
            ) from None
        except HTTPException as error:  # what Starlette makes of the parser's complaints
            raise RefusedError(f"The form can't be read: {error.detail.rstrip('.')}.") from None
        except (KeyError, ValueError):
            raise RefusedError("The form can't be read; it may have no boundary.") from None

    async def _events(self, work: "Work") -> AsyncIterator[str]:
        try:
            async with contextlib.aclosing(work.deltas()) as deltas:
                async for text in deltas:
                    yield event("delta", delta=text)
            yield event("done", text=work.result().text)
        except AudioFileError as error:
            kind, param, code = "invalid_request_error", "file", "invalid_file"
            yield failure_event(problem(str(error), kind=kind, param=param, code=code))
        except Exception:
            _log.exception("A transcription failed.")
            self._metrics.errors.labels("transcription").inc()
            yield failure_event(problem(FAILED, kind="server_error", param=None, code=None))


class _Streaming(StreamingResponse):
    """Server-sent events; what they are made of is released with the last, or with the client."""

    def __init__(
        self, events: AsyncIterator[str], release: contextlib.AsyncExitStack[bool | None]
    ) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            async with asyncio.timeout(READ_PAUSE):
                await send(message)

        async with self._release:
            # The server closes the connection of an answer that was not completed.
            with contextlib.suppress(TimeoutError):
                await super().__call__(scope, receive, sent)


async def _read_out(request: Request) -> None:
    """Read what a refused client still sends.

    A connection that is closed before that is reset, and the answer is lost with it.
    """
    received = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READ_OUT_SECONDS):
            while received <= MAX_BODY_BYTES:
                message = await request.receive()
                received += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break


async def _unless_gone(request: Request, working: Awaitable[_T]) -> _T:
    """Wait for the work, but not for a client that has left."""
    work = asyncio.ensure_future(working)

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    left = asyncio.create_task(gone())
    try:
        await asyncio.wait({work, left}, return_when="FIRST_COMPLETED")
        if not work.done():
            raise ClientDisconnect
        return work.result()
    except AudioFileError as error:
        raise RefusedError(str(error), param="file", code="invalid_file") from None
    finally:
        for task in (work, left):
            task.cancel()
        await asyncio.gather(work, left, return_exceptions=True)


class Work:
    """One file on its way through the scheduler."""

    def __init__(self, wanted: Wanted, terms: Terms, scheduler: Scheduler) -> None:
        self._wanted = wanted
        self._scheduler = scheduler
        self._session: Session = terms.session(wanted.options, accurate=True)
        self._progress = asyncio.Event()
        self._room = asyncio.Event()
        self._entry: Entry = scheduler.add(
            self._session, self._on_progress, priority=Priority.BATCH, min_chunk=terms.window
        )
        self._segments: list[Segment] = []
        self._slices = decode(wanted.file.file)
        self._first: Samples | None = None

    async def open(self) -> None:
        """Decode the beginning of the file, to see that it can be; raises AudioFileError."""
        self._first = await self._decoded()

    def _on_progress(self) -> None:
        self._progress.set()
        self._room.set()

    async def all(self) -> Transcription:
        """Transcribe the file; raises AudioFileError or what the model raises."""
        async for _ in self.deltas():
            pass
        return self.result()

    async def deltas(self) -> AsyncGenerator[str, None]:
        """Give the text as it is completed; after ``open`` or without."""
        feeding = asyncio.create_task(self._feed())
        try:
            while True:
                await self._progress.wait()
                self._progress.clear()
                if feeding.done():
                    feeding.result()
                if self._entry.failure is not None:
                    raise self._entry.failure
                fresh = self._session.transcript.take_completed()
                finished = self._session.finished
                self._segments.extend(fresh)
                for segment in fresh:
                    yield segment.text
                if finished:
                    return
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    async def _feed(self) -> None:
        """Decode the file into the session, no faster than it is heard."""
        try:
            samples = self._first if self._first is not None else await self._decoded()
            while samples is not None:
                self._session.add(samples, time.monotonic())
                self._scheduler.notify(self._entry)
                while self._session.unheard > UNHEARD_LIMIT and self._entry.failure is None:
                    self._room.clear()
                    await self._room.wait()
                samples = await self._decoded()
            self._session.finish()
            self._scheduler.notify(self._entry)
        finally:
            self._progress.set()

    async def _decoded(self) -> Samples | None:
        return await asyncio.to_thread(_next, self._slices)

    def result(self) -> Transcription:
        """Give what was transcribed."""
        return Transcription(
            segments=self._segments,
            language=self._session.language,
            duration=self._session.received,
            with_segments=self._wanted.segments,
            with_words=self._wanted.words,
        )

    def close(self) -> None:
        """Forget the work that is left."""
        self._scheduler.remove(self._entry)


def _next(slices: Iterator[Samples]) -> Samples | None:
    return next(slices, None)
