"""nginx's access log as telemetry, followed through a real Docker Engine."""

import asyncio
import threading
import time
from collections.abc import Callable

import docker
import pytest
from support.stacks import eventually, session

from stack.balancer.access import NOBODY
from stack.docker.containers import BALANCER, container_name
from stack.docker.engine import DockerEngine
from stack.status import BalancerSample
from tests.stack.docker.conftest import spec

pytestmark = pytest.mark.timeout(240)


async def sampled(
    engine: DockerEngine, condition: Callable[[BalancerSample], object], what: str
) -> BalancerSample:
    """Sample the balancer until it says what it should."""
    end = time.monotonic() + 60
    while True:
        sample = await engine.balancer_stats()
        if sample is not None and condition(sample):
            return sample
        assert time.monotonic() < end, f"not in time: {what}: {sample}"
        await asyncio.sleep(0.2)


def sessions(sample: BalancerSample) -> int | None:
    return sample.answers_total["101"] if sample.answers_total is not None else None


async def asked(address: str, path: str) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_what_became_of_requests_is_counted_as_they_end(engine: DockerEngine) -> None:
    status = await engine.up(spec(engine, 1))
    assert status.balancer is not None
    address = status.balancer.address
    first = await sampled(engine, lambda now: now.answers_total is not None, "the log is followed")
    assert "log" not in first.missing
    assert sessions(first) == 0, "what was before the first look is not counted"
    async with session(address), session(address):
        during = await sampled(engine, lambda now: now.active_connections == 2, "both are open")
        assert sessions(during) == 0, "a session is counted when it is over"
    assert b" 404 " in await asked(address, "/nowhere")
    after = await sampled(engine, lambda now: sessions(now) == 2, "both have ended")
    after = await sampled(
        engine,
        lambda now: now.answers_total is not None and now.answers_total["4xx"] == 1,
        "the one that went nowhere is counted, too",
    )
    assert after.served_total == {"replica-1": 2, NOBODY: 1}
    assert after.session_p50 is not None
    assert after.connect_p50 is not None
    assert after.connect_max is not None
    assert after.connect_max < 2
    assert after.connect_p95 is None, "two are too few"
    await engine.close()
    await eventually(
        lambda: not [t for t in threading.enumerate() if t.name.startswith("access log")],
        "nobody follows it any more",
    )
    await engine.close()


async def test_counting_goes_on_after_nginx_was_restarted(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    status = await engine.up(spec(engine, 1))
    assert status.balancer is not None
    await sampled(engine, lambda now: now.answers_total is not None, "the log is followed")
    async with session(status.balancer.address):
        pass
    await sampled(engine, lambda now: sessions(now) == 1, "one has ended")
    client.containers.get(container_name(engine.stack_name, BALANCER)).restart(timeout=5)
    again = await sampled(
        engine, lambda now: now.active_connections is not None and not now.missing, "it is back"
    )
    assert sessions(again) == 1, "nothing is counted twice"
    now = await engine.status()
    assert now.balancer is not None
    async with session(now.balancer.address):
        pass
    await sampled(engine, lambda now: sessions(now) == 2, "the next one is counted")
    await engine.close()


async def test_a_paused_docker_container_of_nginx_delays_no_sample(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    await engine.up(spec(engine, 1))
    await sampled(engine, lambda now: now.answers_total is not None, "the log is followed")
    balancer = client.containers.get(container_name(engine.stack_name, BALANCER))
    balancer.pause()
    try:
        began = time.monotonic()
        sample = await engine.balancer_stats()
        assert time.monotonic() - began < 2
        assert sample is not None
        assert "service" in sample.missing
        assert sessions(sample) == 0, "its log is known all the same: nothing has ended"
    finally:
        balancer.unpause()
    await engine.close()
