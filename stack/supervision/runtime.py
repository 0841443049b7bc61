"""What the supervisor and the commands need of an engine: parts that are started, found and ended.

One implementation for processes and one for containers; everything else (what should be, draining,
back-off, events, adoption) is the same for both and knows neither.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx

from stack.balancer.config import Target
from stack.spec import StackSpec
from stack.status import BalancerSample, LogLine, ReplicaSample
from stack.supervision.desired import Desired
from stack.supervision.state import Part, ReplicaRecord, State


@dataclass(frozen=True, slots=True)
class Running:
    """A part that was started, and where it is reached."""

    part: Part
    host: str
    port: int


class BalancerRefusesError(Exception):
    """The balancer can't take this configuration; the old one stays. One sentence."""


class Runtime(Protocol):
    """Runs the parts of one stack. Every method that is not async blocks: call it from a thread.

    Raises StackError for what a person can mend.
    """

    interval: float
    """Seconds between two comparisons of the supervisor."""
    findable: bool
    """Whether a stack that has lost its state directory can be found again."""

    def check(self, spec: StackSpec, *, more: int, fresh: bool) -> StackSpec:
        """Look whether ``more`` replicas can be started; returns the spec made definite.

        ``fresh``: nothing of the stack is there yet, so its port must be free, too.
        """
        ...

    def find(self, *, to_end: bool = False) -> tuple[Desired, State] | None:
        """Return a stack that runs without a state directory: what it should be, and what is.

        Raises StackError when that can't be told; with ``to_end`` all that can be ended is enough.
        """
        ...

    def claim(self) -> None:
        """Raise StackError when a supervisor with another state directory has this stack."""
        ...

    def recover_key(self) -> str | None:
        """Return the key that the replicas of a stack that was found ask for, if they do."""
        ...

    def refresh(self) -> None:
        """Look once at what runs: what the other methods say is as of now."""
        ...

    def adopt(self, state: State) -> list[str]:
        """Take what runs and isn't recorded into the state, or end it; returns what was done."""
        ...

    def renew(self, state: State) -> None:
        """Put parts that were started again while nobody watched in the place of their old ones."""
        ...

    def runs(self, part: Part | None) -> bool:
        """Tell whether this part still runs."""
        ...

    def pid(self, part: Part | None) -> int | None:
        """Return the process id of a part, where it is one process of this machine."""
        ...

    def start_replica(self, desired: Desired, name: str) -> Running:
        """Start a replica, or take the one that runs under this name and is as it should be."""
        ...

    def start_balancer(self, desired: Desired) -> Running:
        """Start the balancer, or take the one that runs."""
        ...

    def end(self, part: Part | None, *, at_once: bool = False) -> bool:
        """Ask a part to end, or end it at once; returns False when it is gone already."""
        ...

    def discard(self, part: Part | None) -> None:
        """Remove what a part that has ended leaves behind."""
        ...

    def sweep(self) -> None:
        """End at once all that belongs to the stack, recorded or not."""
        ...

    def last_words(self, name: str) -> str:
        """Return the last line a part wrote, or nothing."""
        ...

    def configure_balancer(self, desired: Desired, targets: Sequence[Target]) -> None:
        """Have new sessions go to these replicas only, perhaps not before a later call.

        Called at every comparison, and cheap when nothing has changed. Raises BalancerRefusesError
        when the balancer would not take it.
        """
        ...

    async def ask(
        self, client: httpx.AsyncClient, record: ReplicaRecord, desired: Desired
    ) -> dict[str, Any] | None:
        """Return what a replica says of itself (``state``, ``sessions``, …); None: no answer."""
        ...

    async def targets(self, client: httpx.AsyncClient, desired: Desired) -> tuple[str, ...] | None:
        """Return the replicas that the balancer says new sessions go to; None: no answer."""
        ...

    def tidy(self) -> None:
        """Keep bounded what grows, such as logs."""
        ...

    def remove(self) -> None:
        """Remove what is left once every part has ended."""
        ...

    async def stats(self, desired: Desired, state: State) -> Mapping[str, ReplicaSample]:
        """Sample every replica once; a source that doesn't answer costs its own cells only."""
        ...

    async def balancer_stats(self, desired: Desired, state: State) -> BalancerSample:
        """Sample the balancer once, likewise."""
        ...

    async def close(self) -> None:
        """Let go of what is kept open from one sample to the next."""
        ...

    async def parts(self) -> Sequence[str]:
        """Return the names of the parts that have a log."""
        ...

    def logs(self, part: str | None, *, follow: bool, tail: int) -> AsyncIterator[LogLine]:
        """Yield the last ``tail`` lines of one part, or of all; go on with ``follow``."""
        ...
