"""A stack of containers on a real engine, with the real replica behind a real nginx."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from support.stacks import eventually, reach, replica_of, session

from stack.docker.containers import container_name
from stack.docker.engine import DockerEngine
from stack.docker.nginx import NginxContainer
from stack.engine import StackError
from stack.spec import BalancerSpec, ContainerSpec, Strategy
from stack.status import LogLine, ReplicaState, StackState
from stack.supervision.runtime import BalancerRefusesError
from tests.stack.docker.conftest import BALANCER_IMAGE, IMAGE, spec, things

pytestmark = pytest.mark.timeout(240)


async def test_life_of_a_stack(
    engine: DockerEngine, client: docker.DockerClient, root: Path
) -> None:
    assert (await engine.status()).state is StackState.ABSENT
    stranger = client.containers.create(IMAGE, command=["sleep", "1"])
    try:
        status = await engine.up(spec(engine, 2))
        assert status.state is StackState.READY
        assert status.balancer is not None
        async with session(status.balancer.address) as first:
            assert replica_of(first) in {"replica-1", "replica-2"}
        samples = await engine.stats()
        assert all(sample.memory and sample.memory > 2**26 for sample in samples.values())
        assert all(sample.cpu is not None for sample in samples.values())
        assert all(sample.sessions is not None for sample in samples.values())
        lines = [line async for line in engine.logs("replica-1")]
        assert any("Ready" in line.text for line in lines)
        await engine.down()
        assert (await engine.status()).state is StackState.ABSENT
        assert list(things(client, engine.stack_name)) == []
        assert not [path for path in root.rglob("*") if path.is_file()]  # noqa: ASYNC240
        stranger.reload()
    finally:
        stranger.remove(force=True)


async def test_addresses_survive_a_restart_and_a_restart_takes_a_new_container(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    before = await engine.up(spec(engine, 2, balancer=BalancerSpec(host="localhost", port=0)))
    assert before.balancer is not None
    assert before.balancer.address.startswith("127.0.0.1:"), "a name would mean everywhere"
    first = client.containers.get(container_name(engine.stack_name, "replica-1"))
    first.restart(timeout=5)
    await reach(
        engine,
        lambda now: now.ready_replicas == 2 and now.replicas[0].restarts == 1,
        "it is back",
    )
    after = await engine.restart("replica-1")
    assert [each.address for each in after.replicas] == [each.address for each in before.replicas]
    assert client.containers.get(first.name).id != first.id


async def test_two_stacks_side_by_side(
    stacks: Callable[[], DockerEngine], client: docker.DockerClient
) -> None:
    one, two = stacks(), stacks()
    await asyncio.gather(one.up(spec(one)), two.up(spec(two)))
    await one.down()
    assert list(things(client, one.stack_name)) == []
    status = await two.status()
    assert status.state is StackState.READY
    assert status.balancer is not None
    async with session(status.balancer.address):
        pass


async def test_the_containers_are_as_restrained_as_they_should_be(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    await engine.up(spec(engine, 1, containers=ContainerSpec(
        image=IMAGE, balancer_image=BALANCER_IMAGE, gpus="none", memory=2**30
    )))  # fmt: skip
    for part in ("replica-1", "balancer"):
        container = client.containers.get(container_name(engine.stack_name, part))
        _, said = container.exec_run(["sh", "-c", "id -u; touch /x 2>&1; cat /proc/1/status"])
        text = said.decode()
        assert text.startswith("10001\n"), "nobody is root"
        assert "Read-only file system" in text
        assert "CapEff:\t0000000000000000" in text
        assert "NoNewPrivs:\t1" in text
        ports = container.attrs["NetworkSettings"]["Ports"] or {}
        published = [bound for bounds in ports.values() for bound in bounds or []]
        assert bool(published) == (part == "balancer")
        assert all(bound["HostIp"] == "127.0.0.1" for bound in published)
    limits = client.containers.get(container_name(engine.stack_name, "replica-1")).attrs
    assert limits["HostConfig"]["Memory"] == 2**30
    _, compilers = client.containers.get(container_name(engine.stack_name, "replica-1")).exec_run(
        ["sh", "-c", "command -v gcc cc make pip pip3; true"]
    )
    assert compilers.strip() == b"", "no compiler in the image"


async def test_a_killed_replica_costs_its_own_sessions_and_comes_back(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    status = await engine.up(spec(engine, 2, balancer=BalancerSpec(port=0, strategy="round_robin")))
    assert status.balancer is not None
    address = status.balancer.address
    async with contextlib.AsyncExitStack() as opened:
        sessions = [await opened.enter_async_context(session(address)) for _ in range(6)]
        assert Counter(map(replica_of, sessions)) == {"replica-1": 3, "replica-2": 3}
        client.containers.get(container_name(engine.stack_name, "replica-2")).kill()
        lost = [one for one in sessions if replica_of(one) == "replica-2"]
        await asyncio.wait_for(asyncio.gather(*(one.wait_closed() for one in lost)), 30)
        # From here on nobody is sent to the dead one.
        for _ in range(6):
            async with session(address) as fresh:
                assert replica_of(fresh) == "replica-1"
            if (await engine.status()).ready_replicas == 2:
                break
        kept = [one for one in sessions if replica_of(one) == "replica-1"]
        for one in kept:
            await asyncio.wait_for(await one.ping(), 30)
        back = await reach(
            engine,
            lambda now: now.ready_replicas == 2 and now.replicas[1].restarts == 1,
            "it is back",
        )
        assert any("died" in event.text for event in back.events)

        async def both() -> bool:
            async with contextlib.AsyncExitStack() as several:
                pair = [await several.enter_async_context(session(address)) for _ in range(2)]
                return {replica_of(one) for one in pair} == {"replica-1", "replica-2"}

        end = asyncio.get_running_loop().time() + 30
        while not await both():
            assert asyncio.get_running_loop().time() < end, "both take sessions again"


async def test_least_connections_spread_and_hashes_stick(
    stacks: Callable[[], DockerEngine],
) -> None:
    async def spread(strategy: Strategy, queries: list[str]) -> Counter[str]:
        engine = stacks()
        status = await engine.up(spec(engine, 3, balancer=BalancerSpec(port=0, strategy=strategy)))
        assert status.balancer is not None
        async with contextlib.AsyncExitStack() as opened:
            found = [
                replica_of(await opened.enter_async_context(session(status.balancer.address, one)))
                for one in queries
            ]
        await engine.down()
        return Counter(found)

    even = await spread(Strategy.LEAST_CONNECTIONS, [""] * 30)
    assert max(even.values()) / (30 / 3) <= 1.25
    assert len(await spread(Strategy.IP_HASH, [f"?uid={n}" for n in range(12)])) == 1
    hashed = await spread(Strategy.CONSISTENT_HASH, ["?uid=a"] * 6)
    assert len(hashed) == 1
    assert len(await spread(Strategy.CONSISTENT_HASH, [f"?uid={n}" for n in range(24)])) == 3


async def test_a_configuration_that_nginx_refuses_is_never_applied(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    status = await engine.up(spec(engine))
    assert status.balancer is not None
    nginx = NginxContainer(client, container_name(engine.stack_name, "balancer"))
    before = nginx.read()
    async with session(status.balancer.address) as open_session:
        with pytest.raises(BalancerRefusesError, match="unknown directive"):
            nginx.apply("events {}\nhttp { nonsense; }\n")
        assert nginx.read() == before
        await asyncio.wait_for(await open_session.ping(), 30)
        async with session(status.balancer.address):
            pass


async def test_the_access_log_tells_replica_and_time_and_no_key(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    status = await engine.up(spec(engine))
    assert status.balancer is not None
    async with session(status.balancer.address, "?token=s3cret"):
        pass
    container = client.containers.get(container_name(engine.stack_name, "balancer"))

    def entries() -> list[dict[str, object]]:
        lines = container.logs(stdout=True, stderr=False).decode().splitlines()
        return [json.loads(line) for line in lines if '"status":"101"' in line]

    found = await eventually(entries, "the session is logged")
    assert found[0]["replica"] == "replica-1"
    assert float(str(found[0]["session_seconds"])) > 0
    assert b"s3cret" not in container.logs()
    shown = [line.text async for line in engine.logs("balancer")]
    assert any(" GET / 101, replica-1, session of " in line for line in shown), shown


async def test_five_presses_are_five_replicas_at_once(engine: DockerEngine) -> None:
    await engine.up(spec(engine, 0))
    await asyncio.gather(*(engine.scale_by(1, wait=False) for _ in range(5)))
    status = await reach(engine, lambda now: now.ready_replicas == 5, "five are ready")
    assert status.spec is not None
    assert status.spec.replicas == 5
    await engine.scale(1)


async def test_a_drained_replica_that_is_wanted_again_comes_back(engine: DockerEngine) -> None:
    status = await engine.up(spec(engine, 2, drain_timeout=60))
    assert status.balancer is not None
    async with contextlib.AsyncExitStack() as opened:
        for _ in range(2):
            await opened.enter_async_context(session(status.balancer.address))
        await engine.scale(1, wait=False)
        await reach(
            engine,
            lambda now: now.replicas[-1].state is ReplicaState.DRAINING,
            "the second drains",
        )
        await engine.scale(2, wait=False)
    await reach(engine, lambda now: now.ready_replicas == 2, "both take sessions again")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"image": "nobody/has-this:1"}, "is not there"),
        ({"balancer_image": "nobody/has-that:1"}, "docker pull nobody/has-that:1"),
        ({"gpus": "all"}, "--gpus none"),
    ],
)
async def test_what_is_missing_is_said_before_anything_starts(
    changes: dict[str, str], expected: str, engine: DockerEngine, client: docker.DockerClient
) -> None:
    containers = {"image": IMAGE, "balancer_image": BALANCER_IMAGE, "gpus": "none"} | changes
    if changes.get("gpus") and "nvidia" in client.info().get("Runtimes", {}):
        pytest.skip("this engine has an NVIDIA runtime")
    with pytest.raises(StackError, match=expected):
        await engine.up(spec(engine, 1, containers=ContainerSpec(**containers)))
    assert list(things(client, engine.stack_name)) == []
    assert (await engine.status()).state is StackState.ABSENT


async def test_a_taken_port_is_one_sentence(
    stacks: Callable[[], DockerEngine], client: docker.DockerClient
) -> None:
    one, two = stacks(), stacks()
    status = await one.up(spec(one))
    assert status.balancer is not None
    port = int(status.balancer.address.rpartition(":")[2])
    with pytest.raises(StackError, match=rf"Port {port} .* is taken"):
        await two.up(spec(two, balancer=BalancerSpec(port=port)))
    assert list(things(client, two.stack_name)) == []


async def test_without_an_engine_it_says_what_to_do(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{root}/nobody.sock")
    engine = DockerEngine("away")
    for attempt in (engine.up(spec(engine)), engine.status(), engine.scale(2)):
        with pytest.raises(StackError, match="systemctl start docker"):
            await attempt
    assert not list(root.rglob("*.json"))  # noqa: ASYNC240


async def test_logs_are_followed_also_of_containers_that_come(engine: DockerEngine) -> None:
    await engine.up(spec(engine, 1))
    lines: list[LogLine] = []

    async def read() -> None:
        async for line in engine.logs(follow=True, tail=5):
            lines.append(line)  # noqa: PERF401 - they are looked at as they come

    reading = asyncio.create_task(read())
    try:
        await engine.scale(2)
        await eventually(
            lambda: any(line.source == "replica-2" and "Ready" in line.text for line in lines),
            "the new replica's lines",
        )
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    ready = [line for line in lines if line.source == "replica-2" and "Ready" in line.text]
    assert len(ready) == 1, "no line twice"
    supervisor = [line.text async for line in engine.logs("supervisor", tail=50)]
    assert any("replica-2: Ready" in text for text in supervisor)
    with pytest.raises(StackError, match="has no part 'nobody'; it has balancer, replica-1"):
        await anext(engine.logs("nobody"))
