"""A run file, schema 1: the pydantic model is the schema.

Seconds, bytes and fractions everywhere. None means unknown or not enough samples, never zero.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from loadtest.plan import Slo
from stack.status import MachineSample, ReplicaSample

SCHEMA_VERSION: Final = 1

RunId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]


class _Part(BaseModel):
    # A later version may add fields: an older reader keeps what it knows.
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class RunStatus(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    """By the user, or because it was certain to miss its SLO (the summary says why); what was
    measured until then is kept."""
    INTERRUPTED = "interrupted"
    """The controller died; recovered from the journal."""


class Failure(StrEnum):
    """Why a session failed: the one fixed list."""

    REFUSED = "refused"
    """No TCP connection, or HTTP 503 from the balancer."""
    WAIT = "wait"
    """The server said that it is full."""
    HANDSHAKE = "handshake"
    """The connection came about, the WebSocket or SERVER_READY didn't."""
    TIMEOUT = "timeout"
    DISCONNECTED = "disconnected"
    """The connection ended before the session did."""
    PROTOCOL = "protocol"
    """A message that the protocol doesn't know, or an orderly end without any text."""
    SERVER_ERROR = "server error"


class Outcome(StrEnum):
    """How a session ended."""

    SUCCESS = "success"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    """Cut off by the end of the run: neither a success nor the server's failure."""


class Distribution(_Part):
    """A distribution of seconds over pooled samples."""

    count: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    median: float | None = None
    p95: float | None = None
    """None under 20 samples."""
    p99: float | None = None
    """None under 100 samples."""

    @property
    def p95_or_max(self) -> float | None:
        """The 95th percentile, or the largest where there are too few samples for one."""
        return self.p95 if self.p95 is not None else self.max

    @property
    def p99_or_max(self) -> float | None:
        """The 99th percentile, or the largest where there are too few samples for one."""
        return self.p99 if self.p99 is not None else self.max


class WordErrors(_Part):
    """Word error rate with what it is made of."""

    wer: float
    """(substitutions + deletions + insertions) / reference words; may exceed 1."""
    substitutions: int
    deletions: int
    insertions: int
    reference_words: int


class ClientResult(_Part):
    """One session's result."""

    client_id: int
    uid: str
    outcome: Outcome
    success: bool
    failure: Failure | None = None
    errors: list[str] = []
    replica: str | None = None
    """From the handshake's X-Replica; None where neither replica nor balancer says it."""
    moved_to: list[str] = []
    """Replicas that served the session after it had to connect again."""
    reconnects: int = 0
    gap: float = 0.0
    """Seconds that the session was without a connection."""
    message_count: int = 0
    """Messages with segments."""
    audio_file: str
    """Names of the clips played, joined by ``+``."""
    audio_duration: float
    """Seconds of audio to be sent."""
    audio_sent: float = 0.0
    """Seconds of audio sent."""
    started_at: float
    """Seconds after the step's start when the client connected."""
    processing_time: float | None = None
    """Seconds from the first chunk's scheduled time to the session's end."""
    connection_time: float | None = None
    """Seconds from TCP connect to SERVER_READY."""
    first_result: float | None = None
    """Seconds from the first chunk's scheduled time to the first text."""
    finish: float | None = None
    """Seconds from the last chunk's scheduled time to the last text."""
    transcript: str = ""
    reference: str | None = None
    wer: WordErrors | None = None
    latency: Distribution
    final_latency: Distribution
    slip: Distribution
    """Actual minus scheduled send time of this client's chunks."""
    latency_samples: list[float] = []
    final_latency_samples: list[float] = []
    word_latency_samples: list[float] = []
    """Seconds from each word's end to when it was first shown, of the words that came out right."""
    word_final_latency_samples: list[float] = []
    """The same, to when it was first completed."""


class LoadDistribution(_Part):
    """Sessions per replica."""

    sessions: dict[str, int] = {}
    unknown: int = 0
    """Sessions whose replica nobody named."""
    max_over_mean: float | None = None
    """1.0 is perfectly even."""


class Spread(_Part):
    """One figure over the seconds of a run, in the unit of its field in the timeline."""

    mean: float
    p95: float | None = None
    """None under 20 seconds."""
    peak: float


class ResourceSummary(_Part):
    """What one replica used over the run."""

    cpu_mean: float | None = None
    """Fraction of one core."""
    cpu_peak: float | None = None
    memory_mean: float | None = None
    """Bytes."""
    memory_peak: int | None = None
    gpu_memory_mean: float | None = None
    gpu_memory_peak: int | None = None
    gpu_utilisation_mean: float | None = None
    """Fraction, 0 to 1."""
    gpu_utilisation_peak: float | None = None
    gpu_memory_shared: bool = False
    """The memory is the cards', not the replica's own."""
    gpu_utilisation_shared: bool = False
    """The same of the utilisation."""
    gpu_shared: bool = False
    """Either of the two; alone, in runs of earlier versions, which don't tell them apart."""
    sessions_peak: int | None = None
    queue_depth_peak: int | None = None
    spread: dict[str, Spread] = {}
    """Every figure of the replica's samples, by the name of its field there."""

    def is_shared(self, name: str) -> bool:
        """Whether a figure, by its field's name, is the cards' and not the replica's own."""
        if not name.startswith("gpu_"):
            return False
        if not (self.gpu_memory_shared or self.gpu_utilisation_shared):
            return self.gpu_shared
        if name.startswith("gpu_memory"):
            return self.gpu_memory_shared
        return self.gpu_utilisation_shared


class SloVerdict(_Part):
    """Whether the run met its SLO, and the sentences that say why not."""

    met: bool
    reasons: list[str] = []


class Summary(_Part):
    """The run in figures."""

    total_duration: float
    """Seconds from the step's start to the end of its last session."""
    successful_clients: int
    failed_clients: int
    incomplete_clients: int = 0
    reconnects: int = 0
    """Connections lost and made again, by all clients together."""
    failures: dict[str, int] = {}
    """Failed sessions by reason."""
    average_audio_duration: float
    audio_sent: float
    """Seconds of audio sent by all clients together."""
    average_processing_time: float | None = None
    latency: Distribution
    final_latency: Distribution
    word_latency: Distribution | None = None
    """Seconds from a word's end to when it was first shown; None in runs of earlier versions."""
    word_final_latency: Distribution | None = None
    """The same, to when it was first completed."""
    first_result: Distribution
    finish: Distribution
    connection_time: Distribution
    slip: Distribution
    latency_grew: bool = False
    """Latency rose through the run and was still rising at its end: there was more load than the
    server could take, and a longer run would show larger latencies."""
    wer: WordErrors | None = None
    load_distribution: LoadDistribution = LoadDistribution()
    resources: dict[str, ResourceSummary] = {}
    machine: dict[str, Spread] = {}
    """Figures of the machine that the load came from, by the names of their fields."""
    generator_cpu: float | None = None
    """Mean fraction of one core that the generator processes used together."""
    generator_distorted: bool = False
    """The generator itself was late (p99 of its lateness over half a chunk, or over 20 ms and a
    tenth of the p95 latency): the latencies are too large, and not by the server's doing."""
    calibrated_clients: int | None = None
    """Clients that ``whisperctl calibrate`` found this machine to drive without distortion, in
    messages of this length; None if it was not asked."""
    slo: SloVerdict | None = None
    """None of a run that was cut off by the user or by a crash."""
    stopped_because: str | None = None
    """Why it was certain before its end that the run misses its SLO."""


class TimelineRow(_Part):
    """One second of the run."""

    time: float
    """Seconds after the step's start."""
    sessions: int
    latency_p50: float | None = None
    """Over the updates received in this second and the four before."""
    latency_p95: float | None = None
    latency_p99: float | None = None
    backlog: float | None = None
    """Seconds of audio sent that no text has come for yet, mean over the sessions."""
    failures: int = 0
    """Sessions failed so far."""
    generator_cpu: float | None = None
    """Fraction of one core that the generator processes used together in this second."""
    machine: MachineSample | None = None
    """The machine that the load comes from; None in runs of earlier versions."""
    replicas: dict[str, ReplicaSample] = {}


class TestConfiguration(_Part):
    """What the step was asked to do."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    num_clients: int
    host: str
    port: int
    generator: str = "host"
    """Where the generator ran: ``host``, or ``inside`` the stack's network of containers."""
    audio_directory: str
    clips: int
    """Clips at hand."""
    chunk: float
    """Seconds of audio a message."""
    ramp: float
    duration: float | None
    gap: float = 0.0
    """Mean seconds of silence between a client's clips."""
    reconnect: bool = False
    tls: bool = False
    seed: int
    language: str | None
    use_vad: bool
    audio_format: str
    connect_timeout: float
    finish_timeout: float
    quiet: float
    slo: Slo
    step: int = 1
    """This step's number in its series, from 1."""
    steps: int | None = 1
    """Steps of the series; None of a search for the capacity, which ends when it has found it."""
    stack: dict[str, Any] | None = None
    """The spec of the stack under load, where it is one of ours."""


class Run(_Part):
    """One step's saved result."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    run_id: RunId
    series_id: RunId
    label: str = ""
    note: str = ""
    """What somebody wanted to remember of it, before or afterwards."""
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    status: RunStatus
    test_configuration: TestConfiguration
    clients: list[ClientResult]
    summary: Summary
    timeline: list[TimelineRow] = []
    environment: dict[str, Any] = {}

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False, populate_by_name=True)

    @property
    def beyond_calibration(self) -> bool:
        """Whether there were more clients than the generator is known to drive."""
        limit = self.summary.calibrated_clients
        return limit is not None and self.test_configuration.num_clients > limit


def served_model(run: Run) -> str | None:
    """Return the model that the stack served, where the run knows its stack."""
    replica = (run.test_configuration.stack or {}).get("replica")
    model = replica.get("model") if isinstance(replica, dict) else None
    return None if model is None else str(model)


def run_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a run file."""
    return Run.model_json_schema(by_alias=True)
