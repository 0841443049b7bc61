"""A stack and a load that exist on paper alone: what the console draws costs the same.

What asking a real stack costs is ``make bench-telemetry``'s matter.
"""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import NoReturn

from console.history import History, Moment
from loadtest.events import LiveWords, LoadEvent, SeriesStarted, StepProgress, StepStarted
from loadtest.plan import LoadPlan
from loadtest.runfile import TimelineRow
from loadtest.sessions import SessionBoard
from loadtest.watching import WatchOrder
from stack.engine import StackError
from stack.spec import StackSpec, Strategy
from stack.status import (
    BalancerSample,
    BalancerStatus,
    LogLine,
    ReplicaSample,
    ReplicaState,
    ReplicaStatus,
    StackState,
    StackStatus,
)


def sample(second: float, number: int, *, busy: bool) -> ReplicaSample:
    """Return figures that move as those of a replica do; an idle one moves a little, too."""
    wave = math.sin(second / 11 + number) + 0.3 * math.sin(second * 1.7 + 2 * number)
    load = 1.0 if busy else 0.03
    return ReplicaSample(
        cpu=load * (1.5 + 0.4 * wave),
        memory=int((1.5 + 0.05 * number) * 2**30 + 2**20 * wave),
        sessions=round(125 + 20 * wave) if busy else 0,
        queue_depth=max(0, round(6 * wave)) if busy else 0,
        gpu_memory=int((6 + 0.1 * number) * 2**30 + load * 2**28 * wave),
        gpu_memory_total=24 * 2**30,
        gpu_utilisation=min(1.0, max(0.0, load * (0.7 + 0.2 * wave))),
    )


class PaperEngine:
    """A stack that is up. Implements ``stack.engine.Engine`` as far as it is looked at."""

    def __init__(self, spec: StackSpec, *, busy: bool) -> None:
        self._spec = spec
        self._busy = busy
        self.names = [f"replica-{number}" for number in range(1, spec.replicas + 1)]

    @property
    def stack_name(self) -> str:
        return self._spec.name

    def _refuse(self) -> NoReturn:
        raise StackError("This stack is on paper: it can be looked at, and nothing else.")

    async def up(
        self, spec: StackSpec, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        self._refuse()

    async def down(
        self, *, drain: bool = False, force: bool = False, timeout: float = 60.0
    ) -> None:
        self._refuse()

    async def scale(
        self, replicas: int, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        self._refuse()

    async def scale_by(
        self, difference: int, *, wait: bool = False, timeout: float = 120.0
    ) -> StackStatus:
        self._refuse()

    async def drain(self, replica: str) -> StackStatus:
        self._refuse()

    async def restart(
        self, replica: str, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        self._refuse()

    async def undrain(self, replica: str) -> StackStatus:
        self._refuse()

    async def kill(self, replica: str, *, wait: bool = True, timeout: float = 120.0) -> StackStatus:
        self._refuse()

    async def change(
        self,
        *,
        strategy: Strategy | None = None,
        model: str | None = None,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> StackStatus:
        self._refuse()

    async def close(self) -> None:
        """Nothing is kept open."""

    async def status(self) -> StackStatus:
        return StackStatus(
            name=self._spec.name,
            state=StackState.READY,
            spec=self._spec,
            replicas=tuple(
                ReplicaStatus(name=name, state=ReplicaState.READY, address="127.0.0.1:40001")
                for name in self.names
            ),
            balancer=BalancerStatus(address="127.0.0.1:8990", alive=True),
            supervised=True,
        )

    async def stats(self) -> Mapping[str, ReplicaSample]:
        now = time.monotonic()
        return {
            name: sample(now, number, busy=self._busy) for number, name in enumerate(self.names)
        }

    async def balancer_stats(self) -> BalancerSample | None:
        return BalancerSample(cpu=0.1, memory=20 * 2**20, active_connections=0)

    async def watch(self, *, interval: float = 1.0) -> AsyncIterator[StackStatus]:
        yield await self.status()
        await asyncio.Event().wait()

    async def logs(
        self, replica: str | None = None, *, follow: bool = False, tail: int = 200
    ) -> AsyncIterator[LogLine]:
        yield LogLine(source=replica or "replica-1", text="on paper")


class PaperController:
    """A step that does not end: one report a second, with the newest texts of some sessions."""

    capacity = None

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self.board: SessionBoard | None = None

    def watch(self, order: WatchOrder) -> None:
        """Nothing is shown but what every report has."""

    def stop(self, *, after_step: bool = False) -> None:
        """Do nothing: whoever reads the events ends with its process."""

    async def run(self) -> AsyncGenerator[LoadEvent, None]:
        clients = self._plan.clients[0]
        yield SeriesStarted(series_id="series_on_paper", plan=self._plan)
        yield StepStarted(
            run_id="run_on_paper", step=1, steps=1, clients=clients, expected_duration=3600.0
        )
        second = 0
        while True:
            second += 1
            first = 50 * second
            yield StepProgress(
                row=row(float(second), clients),
                elapsed=float(second),
                finished=second,
                failed=0,
                words=LiveWords(wer=0.04, reference_words=100 * second),
                transcripts={
                    client % clients: f"what client {client % clients} said in second {second}"
                    for client in range(first, first + 50)
                },
            )
            await asyncio.sleep(1.0)


def row(second: float, clients: int) -> TimelineRow:
    """Return one second of a run."""
    p50 = 0.5 + 0.1 * math.sin(second / 9) + 0.05 * math.sin(second * 1.3)
    return TimelineRow(
        time=second,
        sessions=clients,
        latency_p50=p50,
        latency_p95=1.4 * p50,
        latency_p99=1.7 * p50,
    )


def fill(history: History, names: list[str], seconds: int, *, busy: bool) -> None:
    """Put so many seconds behind a console."""
    now = time.monotonic()
    for second in range(seconds):
        at = now - seconds + second
        line = row(float(second), 1)
        history.add(
            Moment(
                at,
                {name: sample(at, number, busy=busy) for number, name in enumerate(names)},
                (line.latency_p50, line.latency_p95, line.latency_p99)
                if busy
                else (None, None, None),
                0.04 if busy else None,
                step=1 if busy else 0,
            )
        )
