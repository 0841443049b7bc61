"""An engine in memory: the I/O boundary of the console's tests."""

import asyncio
from collections.abc import AsyncIterator, Mapping

from stack.engine import StackError
from stack.spec import StackSpec, Strategy
from stack.status import (
    BalancerSample,
    BalancerStatus,
    LogLine,
    ReplicaSample,
    ReplicaState,
    ReplicaStatus,
    StackEvent,
    StackState,
    StackStatus,
)


class FakeEngine:
    """Does at once what it is told, and says so. Implements ``stack.engine.Engine``."""

    def __init__(self, *, up: StackSpec | None = None) -> None:
        self.calls: list[str] = []
        self.closed = False
        self.samples: dict[str, ReplicaSample] = {}
        self.fail: str | None = None
        """What the next operation fails with."""
        self.lines: list[str] = ["first line", "a [red]line[/red] with brackets", "last line"]
        self._spec: StackSpec | None = None
        self._names: list[str] = []
        self._events: list[StackEvent] = []
        if up is not None:
            self._start(up)

    @property
    def stack_name(self) -> str:
        return "default"

    def _start(self, spec: StackSpec) -> None:
        self._spec = spec
        self._names = [f"replica-{number}" for number in range(1, spec.replicas + 1)]
        for name in self._names:
            self._happen(name, "Ready: it takes sessions.")

    def _happen(self, subject: str, text: str, severity: str = "information") -> None:
        event = StackEvent(
            sequence=len(self._events) + 1,
            time=1_770_000_000.0 + len(self._events),
            subject=subject,
            text=text,
            severity=severity,
        )
        self._events.append(event)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if self.fail is not None:
            sentence, self.fail = self.fail, None
            raise StackError(sentence)

    async def up(
        self, spec: StackSpec, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        self._called("up")
        self._start(spec)
        return await self.status()

    async def down(
        self, *, drain: bool = False, timeout: float = 60.0, force: bool = False
    ) -> None:
        self._called("down with drain" if drain else "down")
        self._spec, self._names, self._events = None, [], []

    async def scale(
        self, replicas: int, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        self._called(f"scale {replicas}")
        self._names = [f"replica-{number}" for number in range(1, replicas + 1)]
        return await self.status()

    async def scale_by(
        self, difference: int, *, wait: bool = False, timeout: float = 120.0
    ) -> StackStatus:
        return await self.scale(len(self._names) + difference)

    async def drain(self, replica: str) -> StackStatus:
        self._called(f"drain {replica}")
        return await self.status()

    async def restart(
        self, replica: str, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        self._called(f"restart {replica}")
        return await self.status()

    async def undrain(self, replica: str) -> StackStatus:
        self._called(f"undrain {replica}")
        return await self.status()

    async def kill(self, replica: str, *, wait: bool = True, timeout: float = 120.0) -> StackStatus:
        self._called(f"kill {replica}")
        return await self.status()

    async def change(
        self,
        *,
        strategy: Strategy | None = None,
        model: str | None = None,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> StackStatus:
        self._called(f"change {strategy.value if strategy else model}")
        return await self.status()

    async def status(self) -> StackStatus:
        if self._spec is None:
            return StackStatus(name="default", state=StackState.ABSENT)
        return StackStatus(
            name="default",
            state=StackState.READY,
            spec=self._spec.model_copy(update={"replicas": len(self._names)}),
            replicas=tuple(
                ReplicaStatus(name=name, state=ReplicaState.READY, address="127.0.0.1:40001")
                for name in self._names
            ),
            balancer=BalancerStatus(address="127.0.0.1:8990", alive=True),
            supervised=True,
            events=tuple(self._events),
        )

    async def stats(self) -> Mapping[str, ReplicaSample]:
        if self.samples:
            return {name: self.samples.get(name, ReplicaSample()) for name in self._names}
        return {
            name: ReplicaSample(
                cpu=0.25 * number, memory=150 * 2**20 * number, sessions=number, queue_depth=0
            )
            for number, name in enumerate(self._names, start=1)
        }

    async def close(self) -> None:
        self.closed = True

    async def balancer_stats(self) -> BalancerSample | None:
        return BalancerSample(cpu=0.1, memory=20 * 2**20, active_connections=len(self._names))

    async def watch(self, *, interval: float = 1.0) -> AsyncIterator[StackStatus]:
        last = None
        while True:
            status = await self.status()
            if status != last:
                last = status
                yield status
            await asyncio.sleep(0.02)

    async def logs(
        self, replica: str | None = None, *, follow: bool = False, tail: int = 200
    ) -> AsyncIterator[LogLine]:
        for line in self.lines:
            yield LogLine(source=replica or "replica-1", text=line)
        if follow:
            await asyncio.Event().wait()
