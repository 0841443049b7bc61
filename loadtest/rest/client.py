"""One request to a transcription endpoint, with the body made beforehand."""

import asyncio
import json
import random
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import httpx

from loadtest.clips import Clip
from loadtest.rest.failures import RestFailure, explain, of_status, shown
from loadtest.rest.plan import AnswerFormat, RestPlan
from stack.protocol import REPLICA_HEADER

MAX_CLIPS: Final = 100
MAX_BODIES: Final = 512 * 1024 * 1024
"""Bytes of clips held in memory; a longest clip alone is less."""
MAX_ANSWER: Final = 8 * 1024 * 1024
MAX_TRANSCRIPT: Final = 100_000
"""Characters of a transcript that are kept."""
_MAX_REPLICA_NAME: Final = 64
_HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class Body:
    """A clip as the body of a request, made once and sent as often as it is drawn."""

    clip: Clip
    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request."""

    latency: float
    """Seconds from before the request is handed to the HTTP client to the answer's last byte."""
    status: int | None = None
    replica: str | None = None
    failure: RestFailure | None = None
    detail: str = ""
    transcript: str | None = None


def drawn(clips: Sequence[Clip], seed: int) -> list[Clip]:
    """Draw the clips of a measurement: all of them, or as many as memory should hold."""
    order = sorted(clips, key=lambda clip: clip.path.name)
    random.Random(seed).shuffle(order)  # noqa: S311
    chosen: list[Clip] = []
    total = 0
    for clip in order[:MAX_CLIPS]:
        total += 2 * clip.samples
        if chosen and total > MAX_BODIES:
            break
        chosen.append(clip)
    return chosen


def encode(clips: Sequence[Clip], plan: RestPlan) -> list[Body]:
    """Read clips and make their requests' bodies. Blocking."""
    fields = {"model": plan.model, "response_format": plan.response_format.value}
    if plan.language is not None:
        fields["language"] = plan.language
    bodies = []
    for clip in clips:
        file = (clip.path.name, clip.path.read_bytes(), "audio/wav")
        request = httpx.Request("POST", plan.url, data=fields, files={"file": file})
        bodies.append(Body(clip, request.read(), request.headers["Content-Type"]))
    return bodies


class RestClient:
    """Sends requests over a pool of as many connections as there are clients.

    Neither proxies nor passwords of the environment are used: they would be measured, or sent, too.
    """

    def __init__(self, plan: RestPlan, *, concurrency: int, api_key: str | None) -> None:
        self._plan = plan
        self._key = api_key
        # Packed answers would have the client unpack them while it measures.
        headers = {"Accept-Encoding": "identity", "User-Agent": "whisperctl"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        secure = plan.url.startswith("https:")
        self._http = httpx.AsyncClient(
            headers=headers,
            # Loading certificates takes a while that http has no use for: it gets an empty context.
            verify=httpx.create_ssl_context()
            if secure
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            timeout=None,  # noqa: S113 - one limit for the whole request stands around it
            limits=httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def send(self, body: Body) -> Answer:
        """Send one request and read its answer; never raises for what a server does."""
        started = time.monotonic()
        response: httpx.Response | None = None
        data: bytes | None = None
        failure: RestFailure | None = None
        detail = ""
        try:
            async with asyncio.timeout(self._plan.timeout):
                request = self._http.build_request(
                    "POST",
                    self._plan.url,
                    content=body.content,
                    headers={"Content-Type": body.content_type},
                )
                response = await self._http.send(request, stream=True)
                try:
                    data = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            failure = RestFailure.TIMEOUT
        except httpx.HTTPError as error:
            failure, detail = failure_of(error)
        latency = time.monotonic() - started
        status = response.status_code if response is not None else None
        replica = response.headers.get(REPLICA_HEADER) if response is not None else None
        transcript = None
        if failure is None:
            assert response is not None  # noqa: S101
            failure, detail, transcript = self._judge(response, data)
        return Answer(
            latency=latency,
            status=status,
            replica=self._clean(replica)[:_MAX_REPLICA_NAME] if replica else None,
            failure=failure,
            detail=self._clean(detail),
            transcript=transcript,
        )

    def _judge(
        self, response: httpx.Response, data: bytes | None
    ) -> tuple[RestFailure | None, str, str | None]:
        """Return failure, detail and transcript of a whole answer."""
        failure = of_status(response.status_code)
        if failure is RestFailure.REDIRECT:
            return failure, response.headers.get("Location", ""), None
        if self._key and data is not None:
            # Before anything is cut short, or half a key would pass.
            data = data.replace(self._key.encode(), _HIDDEN.encode())
        if failure is not None:
            return failure, _complaint(data or b""), None
        if data is None:
            return RestFailure.BAD_ANSWER, f"more than {MAX_ANSWER // 2**20} MiB", None
        try:
            return None, "", transcript_of(data, self._plan.response_format)
        except ValueError as error:
            return RestFailure.BAD_ANSWER, str(error), None

    def _clean(self, text: str) -> str:
        """Return a stranger's text fit to be shown: some repeat the key that they refuse."""
        return shown(text.replace(self._key, _HIDDEN) if self._key else text)

    def explain(self, answer: Answer) -> str:
        """Say what a failed request's answer means and what to do."""
        if answer.failure is None:
            raise ValueError("the request did not fail")
        return explain(
            answer.failure,
            url=self._plan.url,
            timeout=self._plan.timeout,
            status=answer.status,
            detail=answer.detail,
        )


def failure_of(error: httpx.HTTPError) -> tuple[RestFailure, str]:
    """Return why a request that got no answer failed, and the cause in a few words."""
    causes = list(_causes(error))
    system = [one.strerror for one in causes if isinstance(one, OSError) and one.strerror]
    detail = shown((system[-1] if system else str(error)).rstrip("."))
    if isinstance(error, httpx.TimeoutException):
        return RestFailure.TIMEOUT, detail
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return RestFailure.TLS, shown(cause.reason or str(cause))
        if isinstance(cause, ConnectionRefusedError):
            return RestFailure.REFUSED, detail
    if isinstance(error, httpx.ConnectError):
        return RestFailure.UNREACHABLE, detail
    return RestFailure.DISCONNECTED, detail


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and everything it came from, the outermost first."""
    waiting: list[BaseException] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(one.exceptions)
        waiting.extend(cause for cause in (one.__context__, one.__cause__) if cause is not None)


async def _read(response: httpx.Response) -> bytes | None:
    """Read a body; None when it is larger than any transcription."""
    data = bytearray()
    async for block in response.aiter_bytes():
        data += block
        if len(data) > MAX_ANSWER:
            return None
    return bytes(data)


def transcript_of(data: bytes, form: AnswerFormat) -> str:
    """Read the text out of an answer's body; raises ValueError with what is wrong with it."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    if form is AnswerFormat.TEXT:
        if text.lstrip()[:1] == "<":
            raise ValueError(f"it begins with {shown(text)[:60]!r}")
        return text.strip()[:MAX_TRANSCRIPT]
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        begin = shown(text)[:60]
        raise ValueError(
            f"it is not JSON, it begins with {begin!r}" if begin else "it is empty"
        ) from None
    if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
        raise ValueError("it has no 'text'")
    return str(answer["text"]).strip()[:MAX_TRANSCRIPT]


def _complaint(data: bytes) -> str:
    """Return what an error's body says: its message in OpenAI's or the usual shapes."""
    text = data.decode("utf-8", "replace")
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        # Pages of HTML say less than the status does.
        return "" if text.lstrip()[:1] == "<" else text
    if isinstance(answer, dict):
        for name in ("error", "detail", "message"):
            said = answer.get(name)
            if isinstance(said, dict):
                said = said.get("message")
            if isinstance(said, str):
                return said
    return text
