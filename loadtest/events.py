"""What happens during a load series.

Two vocabularies: what a generator process reports on its pipe, one JSON object a line
(``GeneratorEvent``), and what the controller tells its viewers, command line and console alike
(``LoadEvent``). Pure.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from loadtest.lateness import Lateness
from loadtest.plan import LoadPlan
from loadtest.runfile import ClientResult, Run, TimelineRow
from loadtest.watching import SessionsSeen


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)


# --- generator process -> controller ----------------------------------------------------------


class ShardReady(_Event):
    """The shard has its audio at hand and waits for the start."""

    type: Literal["shard_ready"] = "shard_ready"


class ClientReady(_Event):
    """A session got SERVER_READY."""

    type: Literal["client_ready"] = "client_ready"
    client_id: int
    replica: str | None
    connection_time: float


class Progress(_Event):
    """What a shard saw since its last report; a few a second."""

    type: Literal["progress"] = "progress"
    active: int
    """Sessions between connect and end."""
    audio_sent: float
    """Seconds of audio sent by the shard so far."""
    cpu_time: float = 0.0
    """Seconds of CPU that the process has used since the step's start."""
    backlog: float = 0.0
    """Seconds of audio sent that no text has come for yet, added up over those sessions."""
    latency: dict[int, list[float]] = {}
    """New samples by client, seconds."""
    transcripts: dict[int, str] = {}
    """New whole transcripts by client, bounded in number and length."""


class ClientFinished(_Event):
    """A session ended, one way or another."""

    type: Literal["client_finished"] = "client_finished"
    result: ClientResult
    slip: Lateness = Lateness()
    """Actual minus scheduled send time of every chunk, seconds."""
    lateness: Lateness = Lateness()
    """The same, of chunks that waited for nothing but the generator itself: a server that takes no
    more data makes chunks slip, but doesn't make the generator late."""


class ShardFinished(_Event):
    """The shard's last word."""

    type: Literal["shard_finished"] = "shard_finished"
    ended_at: float | None = None
    """Monotonic second at which its last session ended; working out results takes longer."""
    cpu_time: float
    """Seconds of CPU the process used since the step's start."""


GeneratorEvent = Annotated[
    ShardReady | ClientReady | Progress | ClientFinished | ShardFinished | SessionsSeen,
    Field(discriminator="type"),
]
generator_event: TypeAdapter[GeneratorEvent] = TypeAdapter(GeneratorEvent)


# --- controller -> viewers --------------------------------------------------------------------


class SeriesStarted(_Event):
    """A series begins."""

    series_id: str
    plan: LoadPlan


class StepStarted(_Event):
    """A step begins."""

    run_id: str
    step: int
    """From 1."""
    steps: int | None
    """How many there will be; None where that is being found out."""
    clients: int
    expected_duration: float
    """Seconds the audio of the step lasts, ramp included."""


class StepProgress(_Event):
    """One second of a step."""

    row: TimelineRow
    elapsed: float
    """Seconds since the step's start."""
    finished: int
    failed: int
    words: "LiveWords | None" = None
    transcripts: dict[int, str] = {}


class LiveWords(_Event):
    """Word errors of the sessions that have ended so far."""

    wer: float
    reference_words: int


class StepFinished(_Event):
    """A step has come to its run, which is saved."""

    run: Run
    path: Path | None
    """None where it can't be saved; the series then ends with a LoadError that says so."""


class SeriesFinished(_Event):
    """The series is over; ``stopped`` when it was ended before its last step."""

    series_id: str
    paths: tuple[Path, ...]
    stopped: bool


LoadEvent = SeriesStarted | StepStarted | StepProgress | StepFinished | SeriesFinished
