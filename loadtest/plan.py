"""What a load run should do: targets, client counts, pacing, limits. Pure."""

from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from stack.protocol import SAMPLE_RATE, AudioFormat

MAX_CLIENTS: Final = 100_000
DEFAULT_MAX_CLIENTS: Final = 1024
"""Where a search for the capacity ends unless told otherwise."""
ClientCount = Annotated[int, Field(ge=1, le=MAX_CLIENTS)]


class Slo(BaseModel):
    """The limits a run must meet; a limit of None is not checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    p95_latency: float | None = Field(default=2.0, gt=0)
    """Seconds: 95th percentile of latency over all updates of the run."""
    p95_word_latency: float | None = Field(default=None, gt=0)
    """Seconds: 95th percentile of word latency, where clips have word times. It sees a server that
    stands still: updates that don't come have no latency."""
    success_rate: float | None = Field(default=1.0, ge=0, le=1)
    """Fraction of the sessions that must succeed."""
    wer_over_baseline: float | None = Field(default=0.05, ge=0)
    """How much word error rate may exceed that of the series' first run; an absolute fraction."""


class LoadPlan(BaseModel):
    """An incremental run: one step for each client count, in order, or a search for the largest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clients: tuple[ClientCount, ...] = Field(min_length=1, max_length=100)
    find_capacity: ClientCount | None = None
    """Look for the largest client count that meets the SLO, from the first of ``clients`` up to
    this one, instead of playing ``clients``."""
    trials: int = Field(default=3, ge=1, le=9)
    """In a search: runs at most that decide about a count whose latency is close to the limit."""
    stop_early: bool = False
    """End a step as soon as it is certain that it misses the SLO; a search always does."""
    host: str = "127.0.0.1"
    port: int = Field(default=8990, ge=1, le=65535)
    path: str = Field(default="/", pattern=r"^/[^\s?#]*$", max_length=500)
    tls: bool = False
    ca_file: Path | None = None
    """Certificates to trust instead of the system's, PEM."""
    verify: bool = True
    """Whether the server's certificate is checked."""
    api_key: SecretStr | None = None
    """Sent as a bearer token; in no file and no log."""
    audio_directory: Path
    """Clips with reference texts."""
    results_directory: Path
    chunk: float = Field(default=0.1, ge=0.01, le=10.0)
    """Seconds of audio in one message."""
    ramp: float = Field(default=0.0, ge=0, le=3600)
    """Seconds over which the clients of a step start, evenly; 0: over one chunk, so that they do
    not all send in the same millisecond, and at most 200 a second."""
    gap: float = Field(default=0.0, ge=0, le=600)
    """Mean seconds of silence between two clips of a client; each is half to one and a half of
    it, by the seed."""
    reconnect: bool = False
    """A client whose connection is lost comes back with its uid and goes on where the last
    completed text ended."""
    duration: float | None = Field(default=None, gt=0, le=24 * 3600)
    """Seconds of audio each client streams; None: one clip each."""
    cool_down: float = Field(default=1.0, ge=0, le=3600)
    """Seconds between two steps."""
    seed: int = 1
    """Chooses the clips: two runs of one seed send the same audio."""
    label: str = Field(default="", max_length=200)
    note: str = Field(default="", max_length=2000)
    """What a person wants to remember of these runs."""
    language: str | None = "en"
    use_vad: bool = True
    audio_format: AudioFormat = AudioFormat.FLOAT32
    connect_timeout: float = Field(default=30.0, gt=0, le=600)
    """Seconds from TCP connect to SERVER_READY."""
    finish_timeout: float = Field(default=30.0, gt=0, le=3600)
    """Seconds the server may take after the last audio was sent to end the session."""
    quiet: float = Field(default=3.0, gt=0, le=60)
    """A server that doesn't flush on END_OF_AUDIO is sent it only once no new text has come for
    this many seconds, as upstream's own file client does."""
    slo: Slo = Slo()

    @model_validator(mode="after")
    def _chunk_is_whole_samples(self) -> Self:
        check_messages(self.chunk, self.duration)
        if self.find_capacity is not None and self.clients[0] > self.find_capacity:
            raise ValueError(
                f"at most {self.find_capacity} clients can't begin with {self.clients[0]}; "
                "name more with --max-clients"
            )
        return self


def check_messages(chunk: float, duration: float | None) -> None:
    """Raise ValueError unless so many seconds of audio make messages of ``chunk`` seconds."""
    samples = chunk * SAMPLE_RATE
    if abs(samples - round(samples)) > 1e-6:
        raise ValueError("chunk must be a whole number of samples at 16 kHz")
    if duration is not None and duration < chunk:
        raise ValueError("duration must be at least one chunk long")


class ClientAssignment(BaseModel):
    """What one client of a step plays, and when it starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    uid: str
    start_after: float
    """Seconds after the step's start."""
    pieces: tuple["Piece", ...]
    """Clips in order, the last perhaps cut."""


class Piece(BaseModel):
    """A clip, or its beginning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    samples: int
    """Samples played, from the clip's start."""
    reference: str | None
    """Reference text of just those samples; None where the clip has none."""
    word_ends: tuple[float, ...] | None = None
    """Where each word of the normalised reference ends, seconds from the clip's start; None where
    the clip has no word times, or others than its reference has words."""
    silence_before: float = 0.0
    """Seconds of silence before it, a whole number of messages."""


class StepOrder(BaseModel):
    """Everything a generator process needs to play its share of one step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    chunk: float
    language: str | None
    use_vad: bool
    audio_format: AudioFormat
    connect_timeout: float
    finish_timeout: float
    quiet: float
    reconnect: bool = False
    ca_file: Path | None = None
    verify: bool = True
    api_key: str | None = None
    """Here in the open: an order goes through a pipe and nowhere else."""
    clients: tuple[ClientAssignment, ...]
