"""A whole stack of containers sampled once a second, whatever hangs."""

import asyncio
import time

import docker
import pytest
from support.stacks import session
from support.ticks import LONGEST, ticked

from stack.docker.containers import BALANCER, container_name
from stack.docker.engine import DockerEngine
from stack.status import BalancerSample, ReplicaSample
from tests.stack.docker.conftest import spec

pytestmark = pytest.mark.timeout(240)

ALWAYS_KNOWN = ("cpu", "memory", "network_received", "network_sent", "throttled", "missing")


async def both(engine: DockerEngine) -> tuple[dict[str, ReplicaSample], BalancerSample]:
    replicas, balancer = await asyncio.gather(engine.stats(), engine.balancer_stats())
    assert balancer is not None
    return dict(replicas), balancer


async def test_a_paused_container_delays_nobody_and_is_marked(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    await engine.up(spec(engine, 2))
    replicas, balancer = await both(engine)
    for sample in (*replicas.values(), balancer):
        assert not sample.missing
        assert None not in [getattr(sample, name) for name in ALWAYS_KNOWN]
    paused = client.containers.get(container_name(engine.stack_name, "replica-2"))
    paused.pause()
    try:
        rows, seconds = await ticked(lambda: both(engine))
    finally:
        paused.unpause()
    assert len(rows) == 10
    assert max(seconds) < LONGEST, seconds
    for replicas, balancer in rows:
        assert not replicas["replica-1"].missing
        assert replicas["replica-1"].sessions == 0
        assert replicas["replica-1"].cpu is not None
        assert not balancer.missing
        assert replicas["replica-2"].missing == ("service",)
        assert replicas["replica-2"].memory
        assert replicas["replica-2"].sessions is None
    assert rows[-1][0]["replica-2"].cpu == 0.0, "Docker still tells of it"


async def test_nginx_tells_of_its_connections(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    status = await engine.up(spec(engine, 1))
    assert status.balancer is not None
    address = status.balancer.address
    before = await engine.balancer_stats()
    assert before is not None
    assert before.accepted_total is not None
    assert before.requests_total is not None
    async with session(address), session(address):
        end = time.monotonic() + 20
        while True:
            during = await engine.balancer_stats()
            assert during is not None
            # The supervisor asks nginx now and then, too.
            if during.active_connections == 2:
                break
            assert time.monotonic() < end, during
            await asyncio.sleep(0.2)
        assert during.accepted_total is not None
        assert during.accepted_total >= before.accepted_total + 2
        assert during.handled_total == during.accepted_total
        assert during.requests_total is not None
        assert during.requests_total >= before.requests_total + 2
    # The page is for this machine: the port that is published does not have it.
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /stub_status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert b" 404 " in await reader.readline()
    writer.close()
    balancer = client.containers.get(container_name(engine.stack_name, BALANCER))
    ports = balancer.attrs["NetworkSettings"]["Ports"]
    assert [name for name, bound in ports.items() if bound] == ["8080/tcp"]
