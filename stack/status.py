"""What a stack is right now: one frozen snapshot per look, the same for every engine."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, model_validator

from stack.spec import StackSpec


class _Snapshot(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReplicaState(StrEnum):
    """Life of a replica."""

    STARTING = "starting"
    """Its process runs, the model is being loaded or warmed up: no traffic yet."""
    READY = "ready"
    DRAINING = "draining"
    """Keeps its sessions to their end, gets no new one."""
    UNHEALTHY = "unhealthy"
    """Its process runs but does not answer."""
    DEAD = "dead"
    """Its process is gone; it will be started again after its back-off."""
    STOPPED = "stopped"


def by_number(names: Iterable[str]) -> list[str]:
    """Return replicas' names as people count them: ``replica-2`` before ``replica-10``."""
    return sorted(names, key=lambda name: (len(name), name))


def sessions_text(count: int) -> str:
    """Return so many sessions in words: ``1 session``, ``5 sessions``."""
    return f"{count} session" if count == 1 else f"{count} sessions"


class StackState(StrEnum):
    """Life of a stack as a whole."""

    ABSENT = "absent"
    STARTING = "starting"
    READY = "ready"
    """Every replica that the spec asks for takes traffic."""
    DEGRADED = "degraded"
    """Fewer replicas than asked for take traffic, or the balancer is away."""
    STOPPING = "stopping"


class ReplicaStatus(_Snapshot):
    """One replica."""

    name: str
    """``replica-1``, ``replica-2``, …"""
    state: ReplicaState
    address: str
    """``host:port`` that the balancer sends sessions to."""
    pid: int | None = None
    started_at: float | None = None
    """Seconds since the epoch."""
    restarts: int = 0
    detail: str = ""
    """Why it is in this state, or what it is doing there, when that isn't plain; one line."""
    model: str = ""
    """What it runs, which is not the spec's while the model changes; empty where unknown."""
    since: float | None = None
    """When it came into its state; seconds since the epoch."""
    deadline: float | None = None
    """When its drain is over, whether or not its sessions are; seconds since the epoch."""
    wanted: bool = True
    """Whether it stays, or is replaced under its name: one that drains and isn't wanted goes."""


class BalancerStatus(_Snapshot):
    """The balancer."""

    address: str
    alive: bool
    pid: int | None = None
    restarts: int = 0


class StackEvent(_Snapshot):
    """Something that happened to a stack; ``sequence`` grows by one each."""

    sequence: int
    time: float
    """Seconds since the epoch."""
    subject: str
    """``replica-1``, ``balancer`` or ``stack``."""
    text: str
    severity: str = "information"
    """``information``, ``warning`` or ``error``."""


class StackStatus(_Snapshot):
    """A whole stack at one moment; ``spec`` is None when there is no such stack."""

    name: str
    state: StackState
    spec: StackSpec | None = None
    replicas: tuple[ReplicaStatus, ...] = ()
    balancer: BalancerStatus | None = None
    supervised: bool = False
    """Somebody watches the stack and restarts what dies."""
    doing: str = ""
    """What goes on beside the replicas' own states, such as a change of the model; one line."""
    problem: str = ""
    """Why the last change of the model was given up; one sentence."""
    events: tuple[StackEvent, ...] = ()
    """The most recent events, oldest first; bounded."""

    @property
    def ready_replicas(self) -> int:
        """Replicas that take new sessions."""
        return sum(replica.state is ReplicaState.READY for replica in self.replicas)


class PartSample(_Snapshot):
    """What one part of a stack used in the last second. None means unknown, never zero.

    docs/telemetry.md says for each engine where a figure comes from and how it is worked out.
    """

    cpu: float | None = None
    """Fraction of one core: 1.5 is one and a half cores."""
    cpu_limit: float | None = None
    """Cores that it may use at most; None without a limit of its own, too."""
    throttled: float | None = None
    """Seconds a second in which its CPU limit held it back, summed over the cores it ran on."""
    memory: int | None = None
    """Bytes: of a container its working set without page cache, of processes what is resident."""
    memory_limit: int | None = None
    """Bytes that it may use at most; None without a limit of its own, too."""
    network_received: float | None = None
    """Bytes a second."""
    network_sent: float | None = None
    """Bytes a second."""
    disk_read: float | None = None
    """Bytes a second that came from a block device; what the page cache had is not among them."""
    disk_written: float | None = None
    """Bytes a second that went to a block device."""
    missing: tuple[str, ...] = ()
    """Sources that should have answered for this sample and did not: ``process``, ``docker``,
    ``gpu``, ``service``, ``log``."""


class ReplicaSample(PartSample):
    """One second of one replica. None means unknown, never zero."""

    gpu_memory: int | None = None
    """Bytes of GPU memory."""
    gpu_memory_total: int | None = None
    """Bytes that the cards in ``gpus`` have, or the parts of them that it was given."""
    gpu_utilisation: float | None = None
    """Fraction of the GPU's time, 0 to 1; of several cards the busiest's."""
    gpu_encoder: float | None = None
    """Fraction of the video encoder's time, 0 to 1."""
    gpus: tuple[int, ...] = ()
    """Indices of the cards that it uses; where that can't be told, of all that it could use."""
    gpu_memory_shared: bool = False
    """``gpu_memory`` is the cards', because the driver can't tell processes apart."""
    gpu_utilisation_shared: bool = False
    """The same of ``gpu_utilisation`` and ``gpu_encoder``."""
    gpu_shared: bool = False
    """Either of the two."""
    sessions: int | None = None
    queue_depth: int | None = None
    """Sessions that wait for inference."""
    batch_size: float | None = None
    """Passes in one call of the model, mean of the last second; None without a call."""
    stage_seconds: Mapping[str, float] | None = None
    """Seconds that each stage took, mean over its timings of the last second; a stage without one
    is left out. ``receive``, ``vad``, ``features``, ``queue``, ``encode``, ``decode``, ``send``;
    of upstream's server ``transcription`` alone."""
    real_time_factor: float | None = None
    """Seconds of inference a second of live audio, over the last 10 s; None without live audio."""
    rejected_total: int | None = None
    """Sessions refused since its start, for whatever reason."""


class BalancerSample(PartSample):
    """One second of the balancer. None means unknown, never zero."""

    active_connections: int | None = None
    """Clients' connections with a request in progress, open sessions among them; the one that
    asks for this figure is left out."""
    accepted_total: int | None = None
    """Connections accepted since its start, those that ask for figures among them."""
    handled_total: int | None = None
    """Connections among them that were not dropped for want of room."""
    requests_total: int | None = None
    """Requests since its start, those for figures among them."""
    answers_total: Mapping[str, int] | None = None
    """Requests that have ended since counting began, by ``101`` (sessions), ``2xx`` to ``5xx``;
    those for figures are left out."""
    served_total: Mapping[str, int] | None = None
    """The same requests by the replica that answered, or was asked last; ``none``: nobody was."""
    sessions_ended: float | None = None
    """Sessions that ended in the last second."""
    session_p50: float | None = None
    """Seconds that sessions lasted, median of those that ended in the last 10 s."""
    session_max: float | None = None
    connect_p50: float | None = None
    """Seconds until a replica took the connection, of requests that ended in the last 10 s."""
    connect_p95: float | None = None
    """None under 20 connections."""
    connect_max: float | None = None


HELD_BACK: Final = frozenset({"power limit", "heat", "hardware slowdown", "power brake"})
"""Words of ``GpuSample.throttle`` for what keeps a busy card below the speed it was set to."""


class GpuSample(_Snapshot):
    """One second of one card. None means unknown, never zero."""

    index: int
    """As nvidia-smi counts; a card keeps the number under which it was first seen."""
    name: str
    memory: int | None = None
    """Bytes in all."""
    memory_used: int | None = None
    """Bytes, by all processes and the driver itself."""
    utilisation: float | None = None
    """Fraction of the driver's last sample period in which anything ran, 0 to 1."""
    encoder: float | None = None
    """Fraction of the video encoder's time, 0 to 1."""
    temperature: float | None = None
    """Degrees Celsius."""
    power: float | None = None
    """Watts."""
    power_limit: float | None = None
    """Watts that the card may draw."""
    clock: float | None = None
    """Hertz of the streaming multiprocessors."""
    clock_limit: float | None = None
    """Hertz that they could reach."""
    throttle: tuple[str, ...] = ()
    """What holds the clock down, in words; an idle card is not held down."""
    mig: bool = False
    """Split into MIG instances: the driver gives no utilisation then."""
    problem: str = ""
    """Why there are no figures, such as ``lost`` or ``driver not loaded``; empty: all is well."""

    @property
    def held_back(self) -> tuple[str, ...]:
        """What keeps the card below the speed it was set to."""
        return tuple(word for word in self.throttle if word in HELD_BACK)


class MachineSample(_Snapshot):
    """One second of the machine that the load runs on. None means unknown."""

    cpu: float | None = None
    """Fraction of all cores that is not idle, 0 to 1; what a hypervisor withholds is not idle."""
    cores: int | None = None
    memory: int | None = None
    """Bytes in all."""
    memory_available: int | None = None
    """Bytes that a new process could get."""
    balancer: BalancerSample | None = None
    """None where the balancer isn't one of ours."""
    gpus: tuple[GpuSample, ...] = ()
    """Its NVIDIA cards."""

    @model_validator(mode="before")
    @classmethod
    def _take_earlier(cls, values: Any) -> Any:
        """Take the one figure of the balancer that runs of earlier versions have."""
        if not isinstance(values, dict) or "balancer_cpu" not in values:
            return values
        taken = dict(values)
        cpu = taken.pop("balancer_cpu")
        if cpu is not None:
            taken.setdefault("balancer", {"cpu": cpu})
        return taken

    @property
    def balancer_cpu(self) -> float | None:
        """The balancer's fraction of one core; None where it isn't one of ours."""
        return self.balancer.cpu if self.balancer is not None else None


class LogLine(_Snapshot):
    """One line a part of the stack wrote."""

    source: str
    text: str
