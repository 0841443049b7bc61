"""Why a request failed, and what to do about it: the one fixed list. Pure."""

from enum import StrEnum
from http import HTTPStatus
from typing import Final

DETAIL_LENGTH: Final = 300


class RestFailure(StrEnum):
    """Why a request failed."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    REDIRECT = "redirect"
    """Any 3xx: it is not followed, for what was measured would be another server."""
    BAD_REQUEST = "bad request"
    """Any 4xx that has no reason of its own."""
    UNAUTHORIZED = "unauthorized"
    """401 or 403."""
    NOT_FOUND = "not found"
    """404."""
    METHOD_NOT_ALLOWED = "method not allowed"
    """405."""
    TOO_LARGE = "too large"
    """413."""
    TOO_MANY_REQUESTS = "too many requests"
    """429."""
    SERVER_ERROR = "server error"
    """500, and any 5xx that has no reason of its own."""
    BAD_GATEWAY = "bad gateway"
    """502."""
    UNAVAILABLE = "unavailable"
    """503."""
    GATEWAY_TIMEOUT = "gateway timeout"
    """504."""
    BAD_ANSWER = "bad answer"
    """A good status, and a body that is no transcription."""


_OF_STATUS: Final = {
    HTTPStatus.UNAUTHORIZED: RestFailure.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN: RestFailure.UNAUTHORIZED,
    HTTPStatus.NOT_FOUND: RestFailure.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: RestFailure.METHOD_NOT_ALLOWED,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RestFailure.TOO_LARGE,
    HTTPStatus.TOO_MANY_REQUESTS: RestFailure.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY: RestFailure.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE: RestFailure.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: RestFailure.GATEWAY_TIMEOUT,
}

HOPELESS: Final = frozenset(
    {
        RestFailure.REFUSED,
        RestFailure.UNREACHABLE,
        RestFailure.TLS,
        RestFailure.DISCONNECTED,
        RestFailure.REDIRECT,
        RestFailure.BAD_REQUEST,
        RestFailure.UNAUTHORIZED,
        RestFailure.NOT_FOUND,
        RestFailure.METHOD_NOT_ALLOWED,
        RestFailure.BAD_ANSWER,
    }
)
"""What the next request would meet, too: after it there is nothing to measure."""


def of_status(status: int) -> RestFailure | None:
    """Return why an answer of this status is a failure; None of 200."""
    if status == HTTPStatus.OK:
        return None
    if status in _OF_STATUS:
        return _OF_STATUS[HTTPStatus(status)]
    if status >= 500:
        return RestFailure.SERVER_ERROR
    if status >= 400:
        return RestFailure.BAD_REQUEST
    return RestFailure.REDIRECT if status >= 300 else RestFailure.BAD_ANSWER


def shown(text: str) -> str:
    """Return text of a stranger as one short line that does nothing to a terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= DETAIL_LENGTH else line[: DETAIL_LENGTH - 1] + "…"


def explain(
    failure: RestFailure, *, url: str, timeout: float, status: int | None = None, detail: str = ""
) -> str:
    """Say in a sentence or two what a failure means and what to do.

    ``detail`` is what the server or the system said, already made fit to be shown.
    """
    return _EXPLANATIONS[failure].format(
        url=url,
        timeout=f"{timeout:g}",
        status=status,
        why=f" ({detail})" if detail else "",
        said=f" It says: {detail}" if detail else "",
    )


_EXPLANATIONS: Final = {
    RestFailure.REFUSED: (
        "Nobody listens at {url}: bring a stack up with 'whisperctl up', or name the server with "
        "--url."
    ),
    RestFailure.UNREACHABLE: (
        "{url} can't be reached{why}: is the host's name right, and the network there?"
    ),
    RestFailure.TLS: (
        "No secure connection to {url} came about{why}: does the server speak https, and is its "
        "certificate known here? SSL_CERT_FILE names certificates of your own."
    ),
    RestFailure.TIMEOUT: (
        "The server had not answered after {timeout} s: it may be overloaded or still be loading "
        "its model; try fewer clients or a longer --timeout."
    ),
    RestFailure.DISCONNECTED: (
        "The server closed the connection before it had answered{why}: it may have died, see its "
        "log; or {url} takes only sessions, or only https: WhisperLive serves files with "
        "--enable_rest, on its --rest_port (8000)."
    ),
    RestFailure.REDIRECT: (
        "The server sends requests for {url} elsewhere (status {status}), and redirects are not "
        "followed: name the right address with --url.{said}"
    ),
    RestFailure.BAD_REQUEST: (
        "The server refuses the request (status {status}): are --model, --language and "
        "--response-format what it knows?{said}"
    ),
    RestFailure.UNAUTHORIZED: (
        "The server wants another key (status {status}): put it into WHISPERCTL_API_KEY, or into "
        "a file for --api-key-file.{said}"
    ),
    RestFailure.NOT_FOUND: (
        "There is nothing at {url} (404): is the address right, with what comes before "
        "/audio/transcriptions? WhisperLive serves it only with --enable_rest, on its --rest_port "
        "(8000)."
    ),
    RestFailure.METHOD_NOT_ALLOWED: (
        "The server doesn't take POST at {url} (405): is the path right? WhisperLive needs "
        "--enable_rest, and answers on its --rest_port (8000), not where sessions go."
    ),
    RestFailure.TOO_LARGE: (
        "The server takes no files as large as some clips (413): use shorter clips with "
        "--audio-dir, or raise its limit (nginx: client_max_body_size).{said}"
    ),
    RestFailure.TOO_MANY_REQUESTS: (
        "The server takes no more requests at once (429), a limit it sets itself: use fewer "
        "clients or more replicas.{said}"
    ),
    RestFailure.SERVER_ERROR: "The server failed (status {status}): its log has the reason.{said}",
    RestFailure.BAD_GATEWAY: (
        "The balancer got no answer from a worker (502): 'whisperctl status' shows replicas that "
        "are not ready, 'whisperctl logs' says why.{said}"
    ),
    RestFailure.UNAVAILABLE: (
        "The server takes no requests now (503): it starts, goes or is full; see 'whisperctl "
        "status', or use fewer clients.{said}"
    ),
    RestFailure.GATEWAY_TIMEOUT: (
        "A worker took longer than the balancer waits (504): use shorter clips or fewer clients, "
        "or raise the balancer's limit (nginx: proxy_read_timeout).{said}"
    ),
    RestFailure.BAD_ANSWER: (
        "What {url} answers is no transcription{why}: is it the right address?"
    ),
}
