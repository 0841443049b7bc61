"""Looks at a stack once a second, for whoever wants to know how it is now."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from stack.engine import Engine, StackError
from stack.status import MachineSample, ReplicaSample, StackStatus
from stack.telemetry.machine import MachineReader

INTERVAL: Final = 1.0
_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Look:
    """A stack and its figures at one moment."""

    status: StackStatus
    replicas: Mapping[str, ReplicaSample]
    machine: MachineSample
    taken_at: float
    """Monotonic seconds."""


class StackWatch:
    """Keeps the latest look; one that fails leaves the one before, which grows old."""

    def __init__(self, engine: Engine, report: Callable[[str], None] = lambda _: None) -> None:
        self._engine = engine
        self._report = report
        """Told when looking begins to fail, and when it works again."""
        self._machine = MachineReader()
        self.latest: Look | None = None
        self.problem: str | None = None
        """Why the last look failed, in a sentence."""

    async def run(self) -> None:
        """Look on and on; ends only when it is cancelled."""
        try:
            await self._run()
        finally:
            await self._engine.close()

    async def _run(self) -> None:
        begun = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(_TIMEOUT):
                    self.latest = await self._look()
                self._note(None)
            except StackError as error:
                self._note(str(error))
            except (OSError, TimeoutError):
                self._note(f"The stack did not answer within {_TIMEOUT:g} s.")
            passed = time.monotonic() - begun
            # A look that took too long is not caught up with.
            await asyncio.sleep(INTERVAL - passed % INTERVAL)

    def _note(self, problem: str | None) -> None:
        if problem != self.problem:
            self._report(problem or "The stack answers again.")
        self.problem = problem

    async def _look(self) -> Look:
        status = await self._engine.status()
        replicas, balancer = await asyncio.gather(
            self._engine.stats() if status.replicas else _nothing(), self._engine.balancer_stats()
        )
        machine = await asyncio.to_thread(self._machine.read, balancer)
        return Look(status, replicas, machine, time.monotonic())


async def _nothing() -> Mapping[str, ReplicaSample]:
    return {}


async def watched(watch: StackWatch, stop: asyncio.Event) -> None:
    """Run a watch until ``stop`` is set; raises what ends the watch before."""
    task = asyncio.create_task(watch.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
    finally:
        for one in (task, stopping):
            one.cancel()
        await asyncio.gather(task, stopping, return_exceptions=True)
