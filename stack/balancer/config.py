"""What the balancer is told. Pure."""

from pydantic import BaseModel, ConfigDict, Field

from stack.spec import Strategy


class Target(BaseModel):
    """A replica that may get sessions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Sent as X-Replica, so it must be fit for a header."""
    host: str
    port: int = Field(ge=1, le=65535)


class BalancerConfig(BaseModel):
    """The balancer's whole configuration; ``targets`` are only those that take new sessions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Strategy = Strategy.LEAST_CONNECTIONS
    targets: tuple[Target, ...] = ()
