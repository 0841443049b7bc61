"""A load run's clock: a row a second, whatever of the server hangs meanwhile."""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest
from support.replicas import replica

from loadtest.controller import LoadController
from loadtest.events import StepFinished, StepProgress
from loadtest.plan import LoadPlan
from loadtest.runfile import Run
from loadtest.target import TargetFacts
from stack.process.parts import free_port
from stack.status import MachineSample, ReplicaSample
from stack.telemetry.machine import MachineReader
from stack.telemetry.sampler import Sampler, Source
from test_audio import CLIPS_DIRECTORY

pytestmark = pytest.mark.timeout(180)

SECONDS = 14.0
TICK = 1.0
SLACK = 0.1


class Replicas:
    """Replicas that are sampled as those of a stack are. Implements ``LoadTarget``."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._sampler = Sampler()
        self._machine = MachineReader()

    async def describe(self) -> TargetFacts:
        await self.stats()
        return TargetFacts()

    async def stats(self) -> Mapping[str, ReplicaSample]:
        return await self._sampler.sample(self._sources)

    async def machine(self) -> MachineSample:
        return await asyncio.to_thread(self._machine.read, None)

    async def close(self) -> None:
        await self._sampler.close()


async def played(plan: LoadPlan, target: Replicas, pid: int) -> tuple[Run, float]:
    """Play a step; a process is stopped after its second row. Returns the run and that moment."""
    stopped_at, rows = 0.0, 0
    try:
        async with aclosing(LoadController(plan, target=target).run()) as events:
            async for event in events:
                if isinstance(event, StepFinished):
                    return event.run, stopped_at
                rows += isinstance(event, StepProgress)
                if isinstance(event, StepProgress) and rows == 2:
                    os.kill(pid, signal.SIGSTOP)
                    stopped_at = event.row.time
    finally:
        os.kill(pid, signal.SIGCONT)
    raise AssertionError("the load ended without a run")


async def test_a_hanging_replica_and_a_closed_port_leave_a_row_a_second(tmp_path: Path) -> None:
    async with (
        replica("replica-1") as (_, busy),
        replica("replica-2") as (hung, ill),
        replica("replica-3") as (_, idle),
    ):
        closed = Source("replica-4", (), f"127.0.0.1:{free_port()}")
        assert busy.address is not None
        plan = LoadPlan(
            clients=(2,),
            port=int(busy.address.rpartition(":")[2]),
            duration=SECONDS,
            audio_directory=CLIPS_DIRECTORY,
            results_directory=tmp_path,
        )
        target = Replicas([busy, ill, idle, closed])
        run, stopped_at = await played(plan, target, hung.pid)
        await target.close()
    assert run.summary.successful_clients == 2
    # The last row is that of the end, whenever that is.
    during = [row for row in run.timeline[:-1] if row.time > stopped_at]
    assert len(during) >= SECONDS - 4
    times = [row.time for row in run.timeline[:-1]]
    between = np.diff(times)
    assert np.median(between) == pytest.approx(TICK, abs=SLACK)
    # One tick that others' work delays makes the next one shorter: neither may be the rule.
    assert np.quantile(np.abs(between - TICK), 0.8) < SLACK, between
    # No tick that hung is made up for by one too many, or lost.
    assert times[-1] - times[0] == pytest.approx(len(between) * TICK, abs=3 * SLACK)
    for row in during:
        for name in ("replica-1", "replica-3"):
            assert row.replicas[name].missing == (), (row.time, name)
            assert row.replicas[name].sessions is not None
            assert row.replicas[name].cpu is not None
        for name in ("replica-2", "replica-4"):
            assert row.replicas[name].missing == ("service",), (row.time, name)
            assert row.replicas[name].sessions is None
            assert row.replicas[name].queue_depth is None
        assert row.replicas["replica-2"].memory, "the kernel still tells of it"
    assert max(row.replicas["replica-1"].sessions or 0 for row in during) == 2
