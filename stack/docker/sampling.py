"""Samples a stack's containers: what Docker, the GPU's driver and the parts themselves say."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import docker
from docker.errors import APIError

from stack.balancer.nginx import STATUS_PORT, STUB_STATUS_PATH
from stack.docker.access import AccessLogs
from stack.docker.stats import StatsStreams
from stack.docker.view import StackView
from stack.spec import Server, StackSpec
from stack.status import BalancerSample, ReplicaSample
from stack.supervision.state import ContainerIdentity, Part, ReplicaRecord, State
from stack.telemetry.sampler import BalancerSource, Sampler, Source


class ContainerSampling:
    """Remembers of each container what it keeps as long as it lives."""

    def __init__(self, connect: Callable[[], tuple[docker.DockerClient, StackView]]) -> None:
        self._connect = connect
        streams = StatsStreams()
        self._access = AccessLogs()
        self._replicas = Sampler(streams)
        self._balancer = Sampler(streams)
        self._pids: dict[ContainerIdentity, tuple[int, ...]] = {}
        self._addresses: dict[ContainerIdentity, str] = {}

    async def replicas(self, spec: StackSpec, state: State) -> Mapping[str, ReplicaSample]:
        """Sample every replica once."""
        parts = [record.part for record in state.replicas]
        # With a deadline: an engine that hangs must not delay what others say.
        pids = await self._replicas.blocking("pids", self._pids_of_all, parts) or {}
        return await self._replicas.sample(
            [_source(spec, record, pids.get(record.part, ())) for record in state.replicas]
        )

    async def balancer(self, part: Part | None) -> BalancerSample:
        """Sample the balancer once."""
        container = part.container if isinstance(part, ContainerIdentity) else None
        address = await self._balancer.blocking("address", self._address_of, part)
        status = f"http://{address}:{STATUS_PORT}{STUB_STATUS_PATH}" if address else None
        access = (lambda: self._access.read(container)) if container else None
        source = BalancerSource(container, stub_status=status, access=access)
        return await self._balancer.sample_balancer(source)

    async def close(self) -> None:
        """Let go of what is kept open from one sample to the next; the next one begins anew."""
        await self._replicas.close()
        await self._balancer.close()
        await asyncio.to_thread(self._access.close)

    def pids_of(self, part: Part | None) -> tuple[int, ...]:
        """Return the host's process ids of a container; it keeps them as long as it lives."""
        if not isinstance(part, ContainerIdentity):
            return ()
        if part not in self._pids:
            try:
                listed = self._connect()[0].api.top(part.container, ps_args="-eo pid")
            except APIError:
                return ()
            self._pids[part] = tuple(int(row[0]) for row in listed["Processes"] or [])
        return self._pids[part]

    def _pids_of_all(self, parts: Sequence[Part | None]) -> dict[Part | None, tuple[int, ...]]:
        self._pids = {part: pids for part, pids in self._pids.items() if part in parts}
        return {part: self.pids_of(part) for part in parts}

    def _address_of(self, part: Part | None) -> str | None:
        if not isinstance(part, ContainerIdentity):
            return None
        if part not in self._addresses:
            seen = self._connect()[1].inspect(part.container)
            if seen is None or not seen.address:
                return None
            self._addresses = {part: seen.address}
        return self._addresses[part]


def _source(spec: StackSpec, record: ReplicaRecord, pids: tuple[int, ...]) -> Source:
    container = record.part.container if isinstance(record.part, ContainerIdentity) else None
    containers = spec.containers
    if containers is None or containers.server is not Server.UPSTREAM:
        return Source(record.name, pids, record.address, container)
    # Upstream's server has no status: a question would only be a session that fails there.
    port = containers.upstream_metrics_port
    known = container is not None and port is not None
    url = f"http://{record.host}:{port}/metrics" if known else None
    return Source(record.name, pids, None, container, metrics=url)
