"""One sample of every replica: what it uses, GPU and its own figures, put together.

A source that hangs or is gone costs its own cells, is named in them, and delays nobody: every
question has a deadline, and one that still hangs is not asked again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol, TypeVar

import httpx

from stack.balancer.access import AccessAnswer
from stack.spec import MAX_REPLICAS
from stack.status import BalancerSample, PartSample, ReplicaSample
from stack.telemetry.answers import (
    BalancerAnswer,
    ServiceAnswer,
    batch_size,
    built_in_answer,
    nginx_answer,
    replica_answer,
    stage_seconds,
    upstream_answer,
)
from stack.telemetry.gpu import GpuReader, GpuUse, gpu_fields
from stack.telemetry.processes import ProcessReader
from stack.telemetry.rates import Counters
from stack.telemetry.service import ask_status, fetch, fetch_json

T = TypeVar("T")

_ANSWER_TIMEOUT: Final = 0.5
_BLOCKING_TIMEOUT: Final = 0.7
_SETTLING_LOOK: Final = 0.1
_SETTLED: Final = 8.0
"""Seconds that the readers of usage remember at least; after a longer pause they begin anew."""

Part = int | str
"""A process id, or a container's."""


class UsageReader(Protocol):
    """Tells what parts use of CPU, memory, network and disk. Blocking, and quick."""

    @property
    def name(self) -> str:
        """What a part's sample calls it when it does not answer."""
        ...

    @property
    def settling(self) -> float:
        """Seconds from the first reading of a part until its rates are known."""
        ...

    def read(self, parts: Iterable[Any]) -> Mapping[Any, PartSample]:
        """Return what is known of these parts; others are left out."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """Where a replica's figures come from."""

    name: str
    pids: tuple[int, ...]
    """Its processes on this machine, which the GPU's driver knows: one, or all of a container's."""
    address: str | None
    """``host:port`` of its HTTP side; None where it has none like ours."""
    part: Part | None = None
    """What the reader of usage knows it by; None: its first process."""
    metrics: str | None = None
    """URL of the Prometheus text of a server that is not ours."""

    @property
    def known_as(self) -> Part | None:
        """What the reader of usage knows it by; None while nothing runs it."""
        if self.part is not None:
            return self.part
        return self.pids[0] if self.pids else None


@dataclass(frozen=True, slots=True)
class BalancerSource:
    """Where the balancer's figures come from."""

    part: Part | None
    status: str | None = None
    """URL of the built-in balancer's status."""
    stub_status: str | None = None
    """URL of nginx's."""
    access: Callable[[], AccessAnswer | None] | None = None
    """Reads nginx's access log, at once and without waiting; None where there is none."""


class Sampler:
    """Samples replicas, or the balancer; one such object for each of them."""

    def __init__(self, usage: UsageReader | None = None) -> None:
        self._usage: UsageReader = usage or ProcessReader()
        self._gpu = GpuReader()
        self._running: dict[str, tuple[float, asyncio.Future[Any]]] = {}
        self._service: dict[str, Counters] = {}
        self._sampled_at = float("-inf")
        self._connected: tuple[asyncio.AbstractEventLoop, httpx.AsyncClient] | None = None

    async def sample(self, sources: Sequence[Source]) -> Mapping[str, ReplicaSample]:
        """Return one sample a source, by name."""
        parts = [source.known_as for source in sources if source.known_as is not None]
        await self._settle(parts)
        for name in set(self._service) - {source.name for source in sources}:
            del self._service[name]
        usage, gpu, *answers = await asyncio.gather(
            self.blocking("usage", self._usage.read, parts),
            self.blocking("gpu", self._gpu.use, {one.name: one.pids for one in sources}),
            *(self._ask(source) for source in sources),
        )
        return {
            source.name: combine(
                (usage or {}).get(source.known_as),
                (gpu or {}).get(source.name),
                answer,
                self._counters(source.name, answer),
                missing=[
                    *([self._usage.name] if _misses(source, usage) else []),
                    *(["gpu"] if gpu is None and source.pids else []),
                    *(["service"] if answer is None and (source.address or source.metrics) else []),
                ],
            )
            for source, answer in zip(sources, answers, strict=True)
        }

    async def sample_balancer(self, source: BalancerSource) -> BalancerSample:
        """Return one sample of the balancer."""
        parts = [] if source.part is None else [source.part]
        if source.access is not None:
            source.access()  # has it begin to read: it needs a moment, too
        await self._settle(parts)
        usage, answer = await asyncio.gather(
            self.blocking("usage", self._usage.read, parts), self._ask_balancer(source)
        )
        used = (usage or {}).get(source.part)
        asked = source.status or source.stub_status
        missing = [
            *([self._usage.name] if parts and used is None else []),
            *(["service"] if asked and answer is None else []),
        ]
        said = answer or BalancerAnswer()
        access = said.access
        if source.access is not None:
            access = source.access()
            missing += [] if access is not None else ["log"]
        return BalancerSample(
            **_usage_fields(used),
            **(asdict(access) if access is not None else {}),
            missing=tuple(missing),
            active_connections=said.active_connections,
            accepted_total=said.accepted_total,
            handled_total=said.handled_total,
            requests_total=said.requests_total,
        )

    async def _settle(self, parts: Sequence[Part]) -> None:
        """Wait, before the first sample, until it can have rates: it is to be a whole one."""
        now = time.monotonic()
        before, self._sampled_at = self._sampled_at, now
        if now - before < _SETTLED or not parts:
            return
        while True:
            found = await self.blocking("usage", self._usage.read, parts) or {}
            left = now + self._usage.settling - time.monotonic()
            if left <= 0 or all(part in found and found[part].cpu is not None for part in parts):
                return
            await asyncio.sleep(min(_SETTLING_LOOK, left))

    async def _ask(self, source: Source) -> ServiceAnswer | None:
        client = self._client()
        if source.metrics is not None:
            text = await fetch(client, source.metrics, _ANSWER_TIMEOUT)
            return upstream_answer(text.decode("utf-8", "replace")) if text is not None else None
        status = await ask_status(client, source.address, _ANSWER_TIMEOUT)
        return replica_answer(status) if status is not None else None

    async def _ask_balancer(self, source: BalancerSource) -> BalancerAnswer | None:
        client = self._client()
        if source.stub_status is not None:
            text = await fetch(client, source.stub_status, _ANSWER_TIMEOUT)
            return nginx_answer(text.decode("utf-8", "replace")) if text is not None else None
        if source.status is None:
            return None
        status = await fetch_json(client, source.status, _ANSWER_TIMEOUT)
        return built_in_answer(status) if status is not None else None

    async def close(self) -> None:
        """Close the connections that were kept open; the next sample opens new ones."""
        if self._connected is not None:
            loop, client = self._connected
            self._connected = None
            if loop is asyncio.get_running_loop():
                await client.aclose()

    def _client(self) -> httpx.AsyncClient:
        """Return the client whose connections stay open; they belong to one event loop."""
        loop = asyncio.get_running_loop()
        if self._connected is None or self._connected[0] is not loop:
            limits = httpx.Limits(max_keepalive_connections=MAX_REPLICAS + 1)
            client = httpx.AsyncClient(timeout=_ANSWER_TIMEOUT, trust_env=False, limits=limits)
            self._connected = loop, client
        return self._connected[1]

    def _counters(self, name: str, answer: ServiceAnswer | None) -> Counters:
        """Return a replica's counters with what it has just said; without an answer no counters."""
        if answer is None:
            return Counters()
        counters = self._service.setdefault(name, Counters())
        counters.add(time.monotonic(), answer.totals)
        return counters

    async def blocking(self, name: str, call: Callable[[Any], T], argument: Any) -> T | None:
        """Run a blocking reading in a thread; None when it is late.

        One that still runs is not started again: who comes second gets the same answer.
        """
        began, future = self._running.get(name, (0.0, None))
        if future is None or future.done() or future.get_loop() is not asyncio.get_running_loop():
            began, future = time.monotonic(), asyncio.ensure_future(_thread(call, argument))
            self._running[name] = began, future
        left = began + _BLOCKING_TIMEOUT - time.monotonic()
        done, _ = await asyncio.wait([future], timeout=max(0.0, left))
        return future.result() if done and future.exception() is None else None


def _thread(call: Callable[[Any], T], argument: Any) -> Awaitable[T]:
    return asyncio.to_thread(call, argument)


def _misses(source: Source, usage: Mapping[Any, PartSample] | None) -> bool:
    return source.known_as is not None and source.known_as not in (usage or {})


def _usage_fields(usage: PartSample | None) -> dict[str, Any]:
    return {name: value for name, value in usage or () if name != "missing"}


def combine(
    usage: PartSample | None,
    gpu: GpuUse | None,
    answer: ServiceAnswer | None,
    counters: Counters,
    *,
    missing: Sequence[str] = (),
) -> ReplicaSample:
    """Put a replica's figures together; what isn't known stays None."""
    said = answer or ServiceAnswer()
    return ReplicaSample(
        **_usage_fields(usage),
        **gpu_fields(gpu),
        sessions=said.sessions,
        queue_depth=said.queue_depth,
        batch_size=batch_size(counters),
        stage_seconds=stage_seconds(counters),
        real_time_factor=said.real_time_factor,
        rejected_total=said.rejected_total,
        missing=tuple(missing),
    )
