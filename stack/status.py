"""What a stack is right now: one frozen snapshot per look, the same for every engine."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

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
    """Why it is in this state, when that isn't plain; one line."""


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
    events: tuple[StackEvent, ...] = ()
    """The most recent events, oldest first; bounded."""

    @property
    def ready_replicas(self) -> int:
        """Replicas that take new sessions."""
        return sum(replica.state is ReplicaState.READY for replica in self.replicas)


class ReplicaSample(_Snapshot):
    """One second of one replica. None means unknown, never zero."""

    cpu: float | None = None
    """Fraction of one core: 1.5 is one and a half cores."""
    memory: int | None = None
    """Resident bytes."""
    gpu_memory: int | None = None
    """Bytes of GPU memory."""
    gpu_utilisation: float | None = None
    """Fraction of the GPU's time, 0 to 1."""
    gpu_shared: bool = False
    """The GPU figures are the whole card's, because the driver can't tell processes apart."""
    sessions: int | None = None
    queue_depth: int | None = None
    """Sessions that wait for inference."""


class MachineSample(_Snapshot):
    """One second of the machine that the load runs on. None means unknown."""

    cpu: float | None = None
    """Fraction of all cores that is not idle, 0 to 1; what a hypervisor withholds is not idle."""
    cores: int | None = None
    memory: int | None = None
    """Bytes in all."""
    memory_available: int | None = None
    """Bytes that a new process could get."""
    balancer_cpu: float | None = None
    """Fraction of one core; None where the balancer isn't one of ours."""


class LogLine(_Snapshot):
    """One line a part of the stack wrote."""

    source: str
    text: str
