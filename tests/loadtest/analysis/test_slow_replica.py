"""A real stack of which one replica was slowed on purpose: the analysis has to find it."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from support.stacks import load

from loadtest.analysis.model import Bottleneck
from loadtest.analysis.series import analyse
from loadtest.plan import Slo
from stack.process.engine import ProcessEngine
from stack.spec import BalancerSpec, StackSpec


@contextmanager
def slowed(pid: int) -> Iterator[None]:
    """Let a process run a twentieth of the time."""

    async def hold() -> None:
        while True:
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(0.8)
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.04)

    task = asyncio.get_running_loop().create_task(hold())
    try:
        yield
    finally:
        task.cancel()
        with suppress(ProcessLookupError, psutil.Error):
            os.kill(pid, signal.SIGCONT)


async def test_a_replica_slowed_on_purpose_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path / "state"))
    engine = ProcessEngine("slowed")
    spec = StackSpec(name="slowed", replicas=3, balancer=BalancerSpec(port=0))
    status = await engine.up(spec)
    try:
        assert status.balancer is not None
        fine = await load(status, tmp_path, clients=(6,), duration=10.0)
        assert fine.summary.latency.p95 is not None
        # Whatever this machine does at its best: half as much again is too slow.
        limit = Slo(p95_latency=1.5 * fine.summary.latency.p95)
        victim = status.replicas[1]
        assert victim.pid is not None
        with slowed(victim.pid):
            hurt = await load(status, tmp_path, clients=(6,), duration=10.0, slo=limit)
    finally:
        await engine.down()
    # As one series: the same load, before and after.
    hurt.series_id = fine.series_id
    found = analyse([fine, hurt])
    assert found.steps[0].met, found.steps[0].reasons
    assert found.bottleneck is not None, found.headline
    assert found.bottleneck.bottleneck is Bottleneck.REPLICA
    assert found.bottleneck.replica == victim.name
    assert victim.name in found.advice[0]
