"""The protocol that every engine speaks, so that the console never asks which one runs."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

from stack.spec import StackSpec, Strategy
from stack.status import BalancerSample, LogLine, ReplicaSample, StackStatus


class StackError(Exception):
    """Something a person can mend: one sentence that names the thing, what is wrong, what to do."""


class Engine(Protocol):
    """What runs one stack's parts. An instance is bound to one stack name.

    Every method raises StackError for whatever a person can cause or mend. No method blocks the
    event loop. Nothing it starts dies with the calling process.
    """

    @property
    def stack_name(self) -> str:
        """The stack this engine instance looks after."""
        ...

    async def up(
        self, spec: StackSpec, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        """Bring the stack up as ``spec`` says, or adopt it when it already runs as such.

        With ``wait`` returns when every replica takes traffic; without, as soon as it is started.
        """
        ...

    async def down(
        self, *, drain: bool = False, timeout: float = 60.0, force: bool = False
    ) -> None:
        """End the stack and leave nothing: no process, port or state file.

        Asked again without ``drain`` while the stack drains, it waits no longer. ``force``: at
        once, by what is recorded and marked as the stack's, also where its state can't be read.
        """
        ...

    async def scale(
        self, replicas: int, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        """Change the number of replicas; a replica that goes is drained first."""
        ...

    async def scale_by(
        self, difference: int, *, wait: bool = False, timeout: float = 120.0
    ) -> StackStatus:
        """Change the number of replicas by so many: asked five times at once, it counts five."""
        ...

    async def drain(self, replica: str) -> StackStatus:
        """Send no new session to this replica; it goes when its last one has ended."""
        ...

    async def restart(
        self, replica: str, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        """Replace this replica's process by a fresh one."""
        ...

    async def undrain(self, replica: str) -> StackStatus:
        """Want a draining replica again: a fresh one takes its name when its sessions are over."""
        ...

    async def kill(self, replica: str, *, wait: bool = True, timeout: float = 120.0) -> StackStatus:
        """End this replica at once, whatever it does; it is started again unless it drains.

        Its sessions are cut. With ``wait`` returns when it takes sessions again.
        """
        ...

    async def change(
        self,
        *,
        strategy: Strategy | None = None,
        model: str | None = None,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> StackStatus:
        """Change how the balancer chooses, at once, and what the replicas run, one by one.

        A replica with the new model is warm and takes sessions before the one whose place it takes
        drains. A model that can't be started leaves the stack with the one it had, and raises
        StackError. Asked for the model of before in the middle of a change, it goes back.
        ``timeout``: seconds without those that replicas may drain.
        """
        ...

    async def status(self) -> StackStatus:
        """Return the stack as it is now; state ``absent`` when there is none."""
        ...

    async def stats(self) -> Mapping[str, ReplicaSample]:
        """Sample every replica once; a source that doesn't answer costs its own cells only."""
        ...

    async def balancer_stats(self) -> BalancerSample | None:
        """Sample the balancer once, likewise; None without a stack."""
        ...

    async def close(self) -> None:
        """Let go of what is kept open from one sample to the next; the engine can still be used.

        Sampled from an event loop, it has to be called there before that loop ends.
        """
        ...

    def watch(self, *, interval: float = 1.0) -> AsyncIterator[StackStatus]:
        """Yield the status whenever it has changed, the first at once."""
        ...

    def logs(
        self, replica: str | None = None, *, follow: bool = False, tail: int = 200
    ) -> AsyncIterator[LogLine]:
        """Yield the last ``tail`` lines of one replica, or of all parts; go on with ``follow``."""
        ...
