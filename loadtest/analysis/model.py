"""What an analysis is made of. Pure."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from loadtest.usage import PartUse


class Bottleneck(StrEnum):
    """What broke first."""

    GENERATOR = "load generator"
    UNREACHABLE = "server unreachable"
    SESSION_LIMIT = "session limit"
    REPLICA = "one replica"
    DISTRIBUTION = "uneven distribution"
    GPU_MEMORY = "GPU memory"
    GPU_UTILISATION = "GPU utilisation"
    GPU_CLOCKS = "GPU clocks"
    BALANCER = "balancer"
    MACHINE_CPU = "CPU of the machine"
    REPLICA_CPU = "CPU of the replicas"
    INFERENCE = "inference queue"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim, with the figures it rests on."""

    bottleneck: Bottleneck
    sentence: str
    replica: str | None = None


@dataclass(frozen=True, slots=True)
class ReplicaFigures:
    """One replica over a step's plateau; None is unknown."""

    name: str
    sessions: int
    """Sessions that it served."""
    failed: int
    median: float | None
    """Latency, seconds."""
    worst: float | None
    """p95 latency, or the largest under 20 samples."""
    cpu: float | None
    """Mean fraction of one core."""
    memory: float | None
    """Largest, bytes."""
    gpu_memory: float | None
    gpu_utilisation: float | None
    """Mean fraction."""
    gpu_shared: bool
    queue_depth: float | None
    """Mean number of sessions that wait for inference."""


@dataclass(frozen=True, slots=True)
class CardFigures:
    """One card that replicas use, over a step's plateau."""

    index: int
    name: str
    memory: float | None
    """Largest fraction in use, by whomever."""
    utilisation: float | None
    """Mean fraction of the time in which anything ran."""
    held_back: dict[str, float]
    """What kept its clock down, and in what fraction of the seconds."""
    silent: float
    """Fraction of the seconds in which it gave no figures."""
    problem: str
    """Why it gave none, the last time."""


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One step: what was measured, and what was used over its plateau."""

    run_id: str
    clients: int
    status: str
    met: bool | None
    """Whether it met its SLO; None if it was not judged."""
    reasons: list[str]
    median: float | None
    p95: float | None
    p99: float | None
    word_p95: float | None
    wer: float | None
    sessions: int
    """Ended one way or the other."""
    failed: int
    failures: dict[str, int]
    turned_away: int
    """Sessions that were told that the server is full: WAIT, or HTTP 503."""
    distorted: bool
    slip_p99: float | None
    max_over_mean: float | None
    machine_cpu: float | None
    """Mean fraction of all cores."""
    cores: int | None
    balancer_cpu: float | None
    """Mean fraction of one core."""
    generator_cpu: float | None
    gpu_memory: float | None
    """Largest fraction of a card's memory in use; in runs of earlier versions of all cards'."""
    gpu_utilisation: float | None
    """Mean fraction, of the busiest replica or card."""
    audio: float
    """Seconds of audio a session."""
    replicas: list[ReplicaFigures] = field(default_factory=list)
    cards: list[CardFigures] = field(default_factory=list)
    """None in runs of earlier versions."""
    usage: list[PartUse] = field(default_factory=list)
    """What every part used: means over the plateau, peaks over the whole step."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a series says."""

    series_id: str
    label: str
    steps: list[StepFigures]
    """By client count; a count that was played more than once stands there as often."""
    capacity: int | None
    """Largest client count that met the SLO, with none below it that missed it."""
    confirmations: int
    """Runs that met the SLO at that count."""
    limit_found: bool
    """A larger count missed the SLO."""
    headroom: float
    """Fraction of the capacity that the recommendation leaves free."""
    recommended: int | None
    inflection: int | None
    """Last client count before latency grows faster than load."""
    inflection_sentence: str
    headline: str
    bottleneck: Finding | None
    """What broke first; None where nothing did."""
    others: list[Finding]
    """What else was near its limit."""
    failures: dict[str, int]
    """Failed sessions of all steps, by reason."""
    advice: list[str]
    warnings: list[str]

    def as_json(self) -> dict[str, Any]:
        """Return the analysis as plain data."""
        return asdict(self)
