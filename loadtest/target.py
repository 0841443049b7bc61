"""The server under load, as far as a load run can look into it."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from stack.engine import StackError
from stack.status import MachineSample, ReplicaSample

_STATS_TIMEOUT: Final = 5.0

T = TypeVar("T")

Sample = tuple[Mapping[str, ReplicaSample], MachineSample | None]


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """What is known of the server under load before a series; saved with every run."""

    stack: dict[str, Any] | None = None
    """The spec of the stack, where it is one of ours."""
    environment: dict[str, Any] = field(default_factory=dict)
    calibrated_clients: int | None = None
    """Clients that this machine's generator drives without distortion; None if nobody tried."""
    api_key: str | None = None
    """What the server wants its clients to send; goes into no file."""


class LoadTarget(Protocol):
    """The server under load, as far as it can be looked into."""

    async def describe(self) -> TargetFacts:
        """Say what it is."""
        ...

    async def stats(self) -> Mapping[str, ReplicaSample]:
        """Sample its replicas once; empty for a server that can't be looked into."""
        ...

    async def machine(self) -> MachineSample | None:
        """Sample the machine that the load comes from; None where that is unknown."""
        ...


class TargetSampler:
    """Samples the target beside the clock: what isn't there at the tick is left out of its row."""

    def __init__(self, target: LoadTarget | None) -> None:
        self._target = target
        self._replicas: asyncio.Task[Mapping[str, ReplicaSample] | None] | None = None
        self._machine: asyncio.Task[MachineSample | None] | None = None

    def begin(self) -> None:
        """Start the next sample, but nothing that still hangs."""
        if self._target is None:
            return
        if self._replicas is None:
            self._replicas = asyncio.create_task(_within(self._target.stats()))
        if self._machine is None:
            self._machine = asyncio.create_task(_within(self._target.machine()))

    def take(self) -> Sample:
        """Return what is ready."""
        replicas: Mapping[str, ReplicaSample] = {}
        machine = None
        if self._replicas is not None and self._replicas.done():
            replicas = self._replicas.result() or {}
            self._replicas = None
        if self._machine is not None and self._machine.done():
            machine = self._machine.result()
            self._machine = None
        return replicas, machine

    async def last(self, patience: float) -> Sample:
        """Sample once more, after the end: what ended with the step is counted, too.

        A sample that runs already was begun before the end, and is of no use. Both may take
        ``patience`` seconds.
        """
        await self._ready(patience)
        self.take()
        self.begin()
        await self._ready(patience)
        return self.take()

    async def _ready(self, patience: float) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=patience)

    @property
    def _running(self) -> list[asyncio.Task[Any]]:
        return [task for task in (self._replicas, self._machine) if task is not None]

    async def close(self) -> None:
        """Let go of what still hangs."""
        tasks = self._running
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _within(sample: Coroutine[Any, Any, T]) -> T | None:
    try:
        return await asyncio.wait_for(sample, _STATS_TIMEOUT)
    except (TimeoutError, OSError, StackError):
        return None
