"""A saved REST measurement, schema 1: the pydantic model is the schema.

Seconds, bytes and fractions everywhere. None means unknown or not enough samples, never zero.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from loadtest.rest.failures import RestFailure
from loadtest.rest.plan import RestPlan
from loadtest.runfile import Distribution, RunId, WordErrors

REST_SCHEMA_VERSION: Final = 1


class _Part(BaseModel):
    # A later version may add fields: an older reader keeps what it knows.
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, populate_by_name=True)


class RestStatus(StrEnum):
    """How a measurement, or a step of it, ended."""

    UNFINISHED = "unfinished"
    """It still goes on, or whoever ran it died; the steps there are whole."""
    COMPLETED = "completed"
    STOPPED = "stopped"
    """By the user; what was measured until then is kept."""
    FAILED = "failed"
    """It could not go on; ``problem`` says why."""


class Ended(StrEnum):
    """Why a ladder was climbed no further."""

    TOP = "top"
    """It was climbed to its end: more clients may do more."""
    FLAT = "flat"
    """Two rungs in a row brought no more."""
    FAILING = "failing"
    """Too many requests failed."""
    STOPPED = "stopped"


class RequestSample(_Part):
    """One request of a step."""

    index: int
    """Its number in the step, in the order of starting; the seed says which clip that is."""
    clip: str
    audio_duration: float
    """Seconds of audio sent."""
    start: float
    """Seconds after the step's first request started."""
    latency: float
    """Seconds from before the request is handed to the HTTP client to its answer's last byte; of a
    failed one, to its failure."""
    status: int | None = None
    """HTTP status; None where no answer came."""
    replica: str | None = None
    """From the answer's X-Replica; None where nobody says it."""
    failure: RestFailure | None = None
    detail: str = ""
    """What the server or the system said of the failure, cut short."""
    transcript: str | None = None
    reference: str | None = None


class StepSummary(_Part):
    """A step in figures."""

    requests: int
    """That ended: successful and failed."""
    successful: int
    failed: int
    cut_off: int = 0
    """By the user's stop: neither a success nor the server's failure."""
    failures: dict[RestFailure, int] = {}
    """Failed requests by reason."""
    success_rate: float | None
    duration: float
    """Seconds from the start of the first request to the end of the last."""
    rps: float | None
    """Successful requests / duration."""
    latency: Distribution
    """Of successful requests."""
    audio_duration: float
    """Seconds of audio in successful requests."""
    throughput: float | None
    """Seconds of audio in successful requests / duration."""
    real_time_factor: float | None
    """Sum of the latencies / seconds of audio, of successful requests: processing as the client
    sees it, queueing included, for one second of audio."""
    wer: WordErrors | None
    """Over successful requests whose clips have references, pooled."""
    replicas: dict[str, int] = {}
    """Requests per replica, by the X-Replica of their answers."""
    unknown_replica: int = 0
    """Requests whose replica nobody named."""
    client_lateness: Distribution
    """How much later than due the client's event loop woke up."""
    client_cpu: float
    """Fraction of one core that the client used."""
    client_distorted: bool = False
    """The client itself was late, or used a whole core: its latencies are too large and its RPS is
    too small."""
    efficiency: float | None = None
    """Of a scaling step: RPS / (base RPS x replicas)."""


class RestStep(_Part):
    """One concurrency, or one count of replicas."""

    concurrency: int
    replicas: int | None = None
    """Of a scaling step."""
    status: RestStatus
    started_at: datetime
    warm_up: int
    """Requests before it that don't count."""
    notes: list[str] = []
    """What one should know of this step; sentences."""
    summary: StepSummary
    samples: list[RequestSample]


class SingleConclusion(_Part):
    """What the ladder came to, over rungs where enough requests succeeded."""

    best_concurrency: int | None = None
    """The smallest whose RPS is at least (1 - margin) of the largest."""
    best_rps: float | None = None
    max_rps: float | None = None
    max_rps_concurrency: int | None = None
    margin: float
    ended: Ended


class ScalingConclusion(_Part):
    """What one replica does: the measure of the others."""

    base_rps: float | None = None
    """RPS of one replica; where that was not measured, the first count's RPS / its replicas."""
    base_workers: int | None = None
    """The count that the base is taken from."""


class RestReport(_Part):
    """One measurement's saved result."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    report_id: RunId
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    status: RestStatus
    problem: str = ""
    configuration: RestPlan
    clips: int
    """Different clips that are sent."""
    environment: dict[str, Any] = {}
    """The machine that the client ran on."""
    stack: dict[str, Any] | None = None
    """The spec of the stack that was measured, where it is one of ours."""
    steps: list[RestStep] = []
    single: SingleConclusion | None = None
    scaling: ScalingConclusion | None = None
