"""What a REST measurement should do: endpoint, steps, clips, limits. Pure."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stack.spec import MAX_REPLICAS

MAX_CONCURRENCY: Final = 64
"""The ladder's last rung: more is a matter for ``whisperctl load``."""
MAX_REQUESTS: Final = 100_000
"""Requests of one step, so that neither memory nor the file grows without end."""
REQUESTS_A_CLIENT: Final = 4
"""Requests each client of a step sends at least: with fewer, the start and the end, when not all
clients have work, would decide the figure."""
PATH: Final = "/audio/transcriptions"

Concurrency = Annotated[int, Field(ge=1, le=MAX_CONCURRENCY)]
Workers = Annotated[int, Field(ge=1, le=MAX_REPLICAS)]


class RestKind(StrEnum):
    """What is looked for."""

    SINGLE = "single"
    """The best concurrency of one server."""
    SCALING = "scaling"
    """How much more several replicas do than one."""


class AnswerFormat(StrEnum):
    """What the server is asked to answer with."""

    JSON = "json"
    VERBOSE_JSON = "verbose_json"
    TEXT = "text"


class RestPlan(BaseModel):
    """One measurement. Saved with its results; a key is no part of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: RestKind
    url: str = Field(max_length=2000)
    """The endpoint in full, as ``endpoint`` returns it."""
    concurrencies: tuple[Concurrency, ...] = Field(min_length=1, max_length=20)
    """Of ``single``: the rungs of the ladder; of ``scaling``: one."""
    workers: tuple[Workers, ...] = Field(default=(), max_length=20)
    """Of ``scaling``: replica counts, in the order they are measured."""
    requests: int = Field(default=100, ge=1, le=MAX_REQUESTS)
    """Requests of a step; four a client where that is more. Not looked at with ``duration``."""
    duration: float | None = Field(default=None, ge=0.1, le=3600)
    """Seconds in which a step starts requests."""
    warm_up: int | None = Field(default=None, ge=0, le=10_000)
    """Requests before each step that don't count; None: one a client."""
    model: str = Field(default="whisper-1", min_length=1, max_length=200)
    language: str | None = Field(default="en", max_length=20)
    """None: the server is told nothing and detects it."""
    response_format: AnswerFormat = AnswerFormat.JSON
    timeout: float = Field(default=300.0, gt=0, le=24 * 3600)
    """Seconds that one request may take, from connecting to the last byte."""
    audio_directory: Path
    seed: int = 1
    """Chooses the clips and their order."""
    min_success: float = Field(default=0.99, ge=0, le=1)
    """Fraction of a step's requests that must succeed for its RPS to count."""
    label: str = Field(default="", max_length=200)

    @field_validator("url")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        return endpoint(value)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.kind is RestKind.SCALING) != bool(self.workers):
            raise ValueError("workers belong to a scaling measurement, and it needs them")
        return self

    def requests_of(self, concurrency: int) -> int | None:
        """Return how many requests a step sends; None where its duration decides."""
        if self.duration is not None:
            return None
        return max(self.requests, REQUESTS_A_CLIENT * concurrency)

    def warm_up_of(self, concurrency: int) -> int:
        """Return how many requests come before a step."""
        return concurrency if self.warm_up is None else self.warm_up


def ladder(largest: int) -> tuple[int, ...]:
    """Return 1, 2, 4 … up to ``largest``, which is the last rung whatever it is."""
    rungs = [1]
    while rungs[-1] * 2 <= largest:
        rungs.append(rungs[-1] * 2)
    if rungs[-1] < largest:
        rungs.append(largest)
    return tuple(rungs)


def endpoint(url: str) -> str:
    """Return the endpoint that a base URL means.

    ``http://host:9000``, ``http://host:9000/v1`` and the full
    ``http://host:9000/v1/audio/transcriptions`` mean the same; without a scheme it is ``http``.
    Raises ValueError with what is wrong.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError:
        raise ValueError("it is no address; write it like http://127.0.0.1:9000/v1") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("it is no address; write it like http://127.0.0.1:9000/v1")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError("it has spaces or control characters in it")
    # They would end in the file of results, and on the screen.
    if parts.username is not None or parts.password is not None:
        raise ValueError("it has a user name or password; give a key by WHISPERCTL_API_KEY")
    if parts.query or parts.fragment:
        raise ValueError("it has a '?' or '#'; give the address alone, and a key by its variable")
    path = parts.path.rstrip("/")
    if not path.endswith(PATH):
        version = path.rpartition("/")[2]
        if not (version[:1] == "v" and version[1:].isdigit()):
            path += "/v1"
        path += PATH
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
