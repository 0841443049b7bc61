"""Strategy and model of a stack of containers, changed on the way; replicas killed."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from support.stacks import reach, replica_of, session

from stack.docker.containers import LABEL_MODEL, container_name
from stack.docker.engine import DockerEngine
from stack.engine import StackError
from stack.offline import MODEL_DIRECTORY
from stack.spec import Strategy
from stack.status import StackState
from tests.stack.docker.conftest import spec, things

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def other_model(tmp_path: Path) -> str:
    """The same model under another name, readable by the containers' user."""
    copied = Path(shutil.copytree(MODEL_DIRECTORY, tmp_path / "other-model"))
    for path in (copied, *copied.iterdir()):
        path.chmod(0o755)
    return str(copied)


async def test_nginx_takes_another_strategy_and_a_strange_console_finds_it(
    engine: DockerEngine, root: Path
) -> None:
    status = await engine.up(spec(engine, 2))
    assert status.balancer is not None
    address = status.balancer.address
    async with session(address) as before:
        await engine.change(strategy=Strategy.CONSISTENT_HASH)
        async with contextlib.AsyncExitStack() as opened:
            owned = [await opened.enter_async_context(session(address, "?uid=a")) for _ in range(4)]
            assert len({replica_of(one) for one in owned}) == 1
        await asyncio.wait_for(await before.ping(), 30)
    shutil.rmtree(root / "stacks" / engine.stack_name)
    found = await DockerEngine(engine.stack_name).status()
    assert found.spec is not None
    assert found.spec.balancer.strategy is Strategy.CONSISTENT_HASH


async def test_a_model_is_changed_one_container_after_another(
    engine: DockerEngine, client: docker.DockerClient, root: Path, other_model: str
) -> None:
    status = await engine.up(spec(engine, 2, drain_timeout=60))
    assert status.balancer is not None
    fewest = 2

    async def watch() -> None:
        nonlocal fewest
        async for now in engine.watch(interval=0.1):
            fewest = min(fewest, now.ready_replicas)

    watching = asyncio.create_task(watch())
    async with session(status.balancer.address) as held:
        changing = asyncio.create_task(engine.change(model=other_model))
        await reach(engine, lambda now: "1 of 2 replaced" in now.doing, "one is replaced")
        await asyncio.wait_for(await held.ping(), 30)
    status = await changing
    watching.cancel()
    assert fewest == 2
    assert {replica.model for replica in status.replicas} == {other_model}
    for replica in status.replicas:
        container = client.containers.get(container_name(engine.stack_name, replica.name))
        assert container.labels[LABEL_MODEL] == other_model
    # Who has lost the state directory is told by the containers.
    shutil.rmtree(root / "stacks" / engine.stack_name)
    found = await DockerEngine(engine.stack_name).status()
    assert found.spec is not None
    assert found.spec.replica.model == other_model


async def test_a_model_that_cannot_be_started_leaves_the_stack_as_it_was(
    engine: DockerEngine, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-model"
    broken.mkdir(mode=0o755)
    (broken / "model.bin").write_bytes(b"no model at all")
    (broken / "model.bin").chmod(0o644)
    before = await engine.up(spec(engine, 2))
    with pytest.raises(StackError, match="keeps model 'offline'"):
        await engine.change(model=str(broken))
    after = await reach(engine, lambda now: len(now.replicas) == 2, "the broken one goes")
    assert after.state is StackState.READY
    assert [one.started_at for one in after.replicas] == [one.started_at for one in before.replicas]


async def test_a_killed_replica_comes_back(engine: DockerEngine) -> None:
    before = await engine.up(spec(engine, 2))
    after = await engine.kill("replica-1")
    assert after.ready_replicas == 2
    assert after.replicas[0].restarts == 1
    assert after.replicas[1].restarts == 0
    assert [one.address for one in after.replicas] == [one.address for one in before.replicas]
    assert not any("died" in event.text for event in after.events)


async def test_force_removes_what_bears_the_stacks_label(
    stacks: Callable[[], DockerEngine], client: docker.DockerClient, root: Path
) -> None:
    engine, other = stacks(), stacks()
    await asyncio.gather(engine.up(spec(engine)), other.up(spec(other)))
    (root / "stacks" / engine.stack_name / "desired.json").write_text("{half")
    with pytest.raises(StackError, match="--force"):
        await engine.down()
    await engine.down(force=True)
    assert list(things(client, engine.stack_name)) == []
    assert (await other.status()).state is StackState.READY
