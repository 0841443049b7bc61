"""Whose a stack is: found by its labels, adopted, taken down; keys, strangers, an absent engine."""

import asyncio
import os
import shutil
from pathlib import Path

import docker
import psutil
import pytest
from support.relay import Relay
from support.stacks import reach, replica_of, session
from websockets.exceptions import InvalidStatus

from stack.docker.containers import LABEL_STACK, container_name
from stack.docker.engine import DockerEngine
from stack.engine import StackError
from stack.status import StackState
from tests.stack.docker.conftest import spec, things

pytestmark = pytest.mark.timeout(240)


async def test_a_console_that_knows_nothing_finds_and_adopts_it(
    engine: DockerEngine, root: Path
) -> None:
    before = await engine.up(spec(engine, 2))
    assert before.balancer is not None
    async with session(before.balancer.address) as open_session:
        # Supervisor and state directory are lost, as on another user's console.
        (root / "stacks" / engine.stack_name / "desired.json").unlink()
        shutil.rmtree(root / "stacks" / engine.stack_name)
        found = await DockerEngine(engine.stack_name).status()
        assert [replica.name for replica in found.replicas] == ["replica-1", "replica-2"]
        assert found.spec is not None
        assert found.spec.balancer.port == int(before.balancer.address.rpartition(":")[2])
        other = DockerEngine(engine.stack_name)
        after = await other.up(spec(engine, 2, balancer=found.spec.balancer))
        assert after.supervised
        assert [each.address for each in after.replicas] == [
            each.address for each in before.replicas
        ], "the same containers"
        await asyncio.wait_for(await open_session.ping(), 30)
        await other.down()


async def test_what_is_left_of_a_stack_can_be_taken_down(
    engine: DockerEngine, client: docker.DockerClient, root: Path
) -> None:
    await engine.up(spec(engine, 1))
    shutil.rmtree(root / "stacks" / engine.stack_name)
    client.containers.get(container_name(engine.stack_name, "balancer")).remove(force=True)
    await DockerEngine(engine.stack_name).down()
    assert list(things(client, engine.stack_name)) == []


async def test_a_strangers_network_of_that_name_is_left_alone(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    stranger = client.networks.create(f"whisperctl-{engine.stack_name}")
    try:
        with pytest.raises(StackError, match="already exists"):
            await engine.up(spec(engine, 1))
        stranger.reload()
    finally:
        stranger.remove()


async def test_a_stack_has_one_supervisor_whatever_the_state_directory(
    engine: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await engine.up(spec(engine, 1))
    assert before.spec is not None
    own = os.environ["WHISPERCTL_STATE_DIR"]
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path / "another"))
    other = DockerEngine(engine.stack_name)
    assert (await other.status()).ready_replicas == 1, "looking is allowed"
    assert (await other.stats())["replica-1"].sessions == 0
    for attempt in (
        other.up(spec(engine, 2, balancer=before.spec.balancer)),
        other.scale(3),
        other.down(),
    ):
        with pytest.raises(StackError, match="looked after from another state directory"):
            await attempt
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", own)
    assert (await engine.status()).state is StackState.READY


async def test_the_key_is_kept_and_logged_nowhere(
    engine: DockerEngine,
    client: docker.DockerClient,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WHISPERCTL_API_KEY", "s3cret")
    status = await engine.up(spec(engine, 2))
    assert status.balancer is not None
    async with session(status.balancer.address, "?token=s3cret") as open_session:
        with pytest.raises(InvalidStatus, match="401"):
            async with session(status.balancer.address):
                pass
        # nginx has something to complain about now, and the request holds the key.
        part = replica_of(open_session)
        client.containers.get(container_name(engine.stack_name, part)).kill()
        await asyncio.wait_for(open_session.wait_closed(), 30)
    monkeypatch.delenv("WHISPERCTL_API_KEY")
    shutil.rmtree(root / "stacks" / engine.stack_name)
    found = await DockerEngine(engine.stack_name).scale(3)
    for replica in found.replicas:
        with pytest.raises(InvalidStatus, match="401"):
            async with session(replica.address):
                pass
    for container in client.containers.list(
        all=True, filters={"label": f"{LABEL_STACK}={engine.stack_name}"}
    ):
        assert b"s3cret" not in container.logs()
        assert "s3cret" not in str(container.labels)


async def test_an_engine_that_goes_away_takes_nothing_with_it(
    engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        pytest.skip("needs an engine on a Unix socket")
    async with Relay.before(tmp_path / "docker.sock", host.removeprefix("unix://")) as relay:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{relay.path}")
        away = DockerEngine(engine.stack_name)
        status = await away.up(spec(engine, 2))
        assert status.balancer is not None
        async with session(status.balancer.address) as open_session:
            await relay.cut()
            told = await reach(
                away,
                lambda now: any("systemctl start docker" in e.text for e in now.events),
                "the supervisor says that the engine is away",
            )
            assert told.supervised
            assert not any("died" in event.text for event in told.events)
            with pytest.raises(StackError, match="systemctl start docker"):
                await away.scale(1)
            await asyncio.wait_for(await open_session.ping(), 30)
            await relay.open()
            after = await away.scale(3)
            assert after.ready_replicas == 3
            assert [each.restarts for each in after.replicas] == [0, 0, 0]
        await away.down()


async def test_what_docker_started_again_unwatched_is_seen_as_it_is(
    engine: DockerEngine, client: docker.DockerClient
) -> None:
    """As after a restart of the machine: the containers come back, the supervisor does not."""
    before = await engine.up(spec(engine, 2))
    for process in psutil.process_iter(["cmdline"]):
        if any(engine.stack_name in word for word in process.info["cmdline"] or []):
            process.kill()
    await reach(engine, lambda now: not now.supervised, "nobody watches")
    for part in ("replica-1", "replica-2", "balancer"):
        client.containers.get(container_name(engine.stack_name, part)).restart(timeout=5)
    now = await reach(engine, lambda now: now.ready_replicas == 2, "both are ready")
    assert now.state is StackState.READY
    assert not now.supervised
    assert now.balancer is not None
    async with session(now.balancer.address) as one:
        assert replica_of(one) in {"replica-1", "replica-2"}
    after = await engine.scale(2)
    assert after.supervised
    assert [each.address for each in after.replicas] == [each.address for each in before.replicas]
