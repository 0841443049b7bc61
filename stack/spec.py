"""What a stack should be: its spec, and the names and limits that hold for every engine."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

DEFAULT_STACK_NAME: Final = "default"
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8990
MAX_REPLICAS: Final = 64
REPLICA_PORT: Final = 9090
"""Where a replica listens in its container."""
KEY_VARIABLE: Final = "WHISPERCTL_API_KEY"
"""Environment variable with the key that replicas ask for."""
DEFAULT_IMAGE: Final = "whisperctl:latest"
"""What ``whisperctl build`` makes."""
DEFAULT_BALANCER_IMAGE: Final = "nginx:stable"
"""nginx's official image."""

StackName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
"""Lower case letters, digits, ``-`` and ``_``: it becomes a directory, a label and a host name."""


class EngineName(StrEnum):
    """What runs a stack's parts."""

    PROCESS = "process"
    DOCKER = "docker"


class Strategy(StrEnum):
    """How the balancer chooses a replica for a new session."""

    ROUND_ROBIN = "round_robin"
    LEAST_CONNECTIONS = "least_connections"
    IP_HASH = "ip_hash"
    """One client address, one replica."""
    CONSISTENT_HASH = "consistent_hash"
    """One session uid (``?uid=``) or API key, one replica, while that lives."""


class BalancerSpec(BaseModel):
    """Where the balancer listens and how it chooses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = DEFAULT_HOST
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    strategy: Strategy = Strategy.LEAST_CONNECTIONS

    @property
    def reach(self) -> str:
        """``host:port`` under which this machine itself reaches the balancer."""
        # Who listens everywhere can't be reached under that name.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class ReplicaSpec(BaseModel):
    """What every replica of the stack runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "offline"
    """``offline`` (the shipped demonstration model), a Whisper size, a hub id or a directory."""
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    compute_type: str = "auto"
    """CTranslate2 compute type; ``auto`` takes 8 bits where the device has them."""
    max_sessions: int = Field(default=64, ge=1, le=100_000)
    """Sessions a replica takes before it answers WAIT."""
    max_connection_time: float = Field(default=3600.0, gt=0)
    """Seconds a session may last."""
    threads: int = Field(default=0, ge=0, le=256)
    """CPU threads of one inference; 0 shares the machine's cores between the replicas."""
    min_chunk: float = Field(default=1.0, ge=0.01, le=60)
    """Seconds of new audio that make a session due."""
    final_pass: bool = False
    """Hear each session a second time, at leisure, for its final text."""

    def threads_of(self, replicas: int, cores: int) -> int:
        """Give the CPU threads of one inference, where ``replicas`` share ``cores``.

        The offline model is too small to be parted: two threads take more time than one.
        """
        if self.threads:
            return self.threads
        return 1 if self.model == "offline" else max(1, cores // max(1, replicas))


class Server(StrEnum):
    """Whose server an image holds."""

    AUTO = "auto"
    """Ours where the image says so, else upstream's."""
    WHISPERCTL = "whisperctl"
    UPSTREAM = "upstream"
    """WhisperLive's own: no warm start, no drain, no figures; those are unknown, not zero."""


class ContainerSpec(BaseModel):
    """What containers are made from and how much each may use; for the docker engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str = Field(default=DEFAULT_IMAGE, min_length=1)
    """Image of the replicas."""
    server: Server = Server.AUTO
    balancer_image: str = Field(default=DEFAULT_BALANCER_IMAGE, min_length=1)
    gpus: str = Field(default="auto", pattern=r"^(auto|none|all|spread|\d+(,\d+)*)$")
    """``all``: every replica sees all cards; ``0,1``: these; ``spread``: one card each, in turn;
    ``auto``: all where Docker has an NVIDIA runtime, else none."""
    memory: int | None = Field(default=None, ge=64 * 2**20)
    """Bytes that one replica may use; None: no limit but the machine's."""
    upstream_metrics_port: int | None = Field(default=None, ge=1024, le=65535)
    """Where upstream's server is to serve its Prometheus metrics, within the stack's network; None:
    not at all. Images before whisper-live 0.10.0 don't know the option."""
    pids: int = Field(default=1024, ge=32)
    """Processes and threads of one container."""

    @field_validator("upstream_metrics_port")
    @classmethod
    def _not_the_sessions(cls, port: int | None) -> int | None:
        if port == REPLICA_PORT:
            raise ValueError(f"sessions come in on {REPLICA_PORT}; choose another one")
        return port

    @property
    def generator_image(self) -> str:
        """Image with the load generator: upstream's has none."""
        return DEFAULT_IMAGE if self.server is Server.UPSTREAM else self.image


class StackSpec(BaseModel):
    """One stack: replicas + balancer under one name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: StackName = DEFAULT_STACK_NAME
    engine: EngineName = EngineName.PROCESS
    replicas: int = Field(default=2, ge=0, le=MAX_REPLICAS)
    replica: ReplicaSpec = ReplicaSpec()
    balancer: BalancerSpec = BalancerSpec()
    containers: ContainerSpec | None = None
    """None on engines without containers."""
    drain_timeout: float = Field(default=30.0, ge=0)
    """Seconds a draining replica may keep its last sessions."""
