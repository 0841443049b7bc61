"""One sample of every replica: processes, GPU and the replica's own figures, put together."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from stack.status import ReplicaSample
from stack.telemetry.gpu import GpuReader, GpuUse, gpu_use
from stack.telemetry.processes import ProcessReader, ProcessUse, processes_use
from stack.telemetry.service import ask_status

_ANSWER_TIMEOUT: Final = 0.5
_BLOCKING_TIMEOUT: Final = 0.7
_FIRST_INTERVAL: Final = 1.0
"""Seconds between the two readings of CPU that the first sample needs. A replica works in bursts a
second apart and the kernel counts in hundredths: a shorter look would say 0 or 46 % by chance."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a replica's figures come from."""

    name: str
    pids: tuple[int, ...]
    """Its processes on this machine: one, or all of a container's."""
    address: str | None
    """``host:port`` of its HTTP side."""


class Sampler:
    """Samples replicas; what hangs or is gone costs its own cells only."""

    def __init__(self) -> None:
        self._processes = ProcessReader()
        self._gpu = GpuReader()
        self._hanging: dict[str, asyncio.Future[Any]] = {}
        self._read_before = False

    async def sample(self, sources: Sequence[Source]) -> Mapping[str, ReplicaSample]:
        """Return one sample a source, by name."""
        pids = [pid for source in sources for pid in source.pids]
        if not self._read_before and pids:
            self._read_before = True
            await self._blocking("processes", self._processes.read, pids)
            await asyncio.sleep(_FIRST_INTERVAL)
        async with httpx.AsyncClient(timeout=_ANSWER_TIMEOUT, trust_env=False) as client:
            processes, gpu, *answers = await asyncio.gather(
                self._blocking("processes", self._processes.read, pids),
                self._blocking("gpu", self._gpu.use, pids),
                *(ask_status(client, source.address) for source in sources),
            )
        return {
            source.name: combine(
                processes_use([(processes or {}).get(pid) for pid in source.pids]),
                gpu_use([(gpu or {}).get(pid) for pid in source.pids]),
                answer or {},
            )
            for source, answer in zip(sources, answers, strict=True)
        }

    async def _blocking(self, name: str, call: Any, argument: Any) -> Any:
        """Run a blocking reading in a thread; one that still hangs is not started again."""
        hanging = self._hanging.get(name)
        if hanging is not None and not hanging.done():
            return None
        future = asyncio.ensure_future(asyncio.to_thread(call, argument))
        self._hanging[name] = future
        try:
            return await asyncio.wait_for(asyncio.shield(future), _BLOCKING_TIMEOUT)
        except TimeoutError:
            return None


def combine(
    process: ProcessUse | None, gpu: GpuUse | None, answer: Mapping[str, Any]
) -> ReplicaSample:
    """Put a replica's figures together; what isn't known stays None."""
    return ReplicaSample(
        cpu=process.cpu if process else None,
        memory=process.memory if process else None,
        gpu_memory=gpu.memory if gpu else None,
        gpu_utilisation=gpu.utilisation if gpu else None,
        gpu_shared=gpu.shared if gpu else False,
        sessions=_count(answer.get("sessions")),
        queue_depth=_count(answer.get("queue_depth")),
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
