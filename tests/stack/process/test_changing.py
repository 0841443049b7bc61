"""Strategy and model changed on the way, replicas killed and kept: real processes."""

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil
import pytest
from support.stacks import eventually, reach, replica_of, session
from support.waiting import until

from stack.balancer.proxy import STATUS_PATH
from stack.engine import StackError
from stack.offline import MODEL_DIRECTORY
from stack.process.engine import ProcessEngine
from stack.spec import Strategy
from stack.status import ReplicaState, StackState, StackStatus
from stack.supervision.state import StackDirectory
from tests.stack.process.conftest import NAME, family, spec


@pytest.fixture
def other_model(tmp_path: Path) -> str:
    """The same model under another name."""
    return shutil.copytree(MODEL_DIRECTORY, tmp_path / "other-model").as_posix()


@pytest.fixture
def broken_model(tmp_path: Path) -> str:
    directory = tmp_path / "broken-model"
    directory.mkdir()
    (directory / "model.bin").write_bytes(b"no model at all")
    return str(directory)


def models(status: StackStatus) -> list[str]:
    return [Path(replica.model).name for replica in status.replicas]


async def test_a_strategy_is_changed_without_cutting_a_session(engine: ProcessEngine) -> None:
    status = await engine.up(spec(2))
    assert status.balancer is not None
    address = status.balancer.address
    async with session(address) as before:
        status = await engine.change(strategy=Strategy.CONSISTENT_HASH)
        assert status.spec is not None
        assert status.spec.balancer.strategy is Strategy.CONSISTENT_HASH
        # The balancer looks at its configuration every tenth of a second.
        end = time.monotonic() + 30
        async with httpx.AsyncClient() as client:
            told = f"http://{address}{STATUS_PATH}"
            while (await client.get(told)).json()["strategy"] != Strategy.CONSISTENT_HASH:
                assert time.monotonic() < end
                await asyncio.sleep(0.02)
        async with contextlib.AsyncExitStack() as opened:
            owned = [await opened.enter_async_context(session(address, "?uid=a")) for _ in range(4)]
            assert len({replica_of(one) for one in owned}) == 1
        await asyncio.wait_for(await before.ping(), 10)
    adopted = await ProcessEngine(NAME).up(status.spec)
    assert [one.pid for one in adopted.replicas] == [one.pid for one in status.replicas]
    with pytest.raises(StackError, match="change that with 'whisperctl change'"):
        await engine.up(spec(2))
    await engine.down()


async def test_a_model_is_changed_one_replica_after_another(
    engine: ProcessEngine, other_model: str
) -> None:
    """There is never one less that takes sessions, and a session goes on while its replica may."""
    status = await engine.up(spec(2, drain_timeout=60))
    assert status.balancer is not None
    address = status.balancer.address
    fewest, most, seen = 2, 2, set[str]()

    async def watch() -> None:
        nonlocal fewest, most
        async for now in engine.watch(interval=0.02):
            fewest, most = min(fewest, now.ready_replicas), max(most, len(now.replicas))
            seen.add(now.doing)

    watching = asyncio.create_task(watch())
    async with session(address) as held:
        changing = asyncio.create_task(engine.change(model=other_model))
        old = replica_of(held)
        draining = await reach(
            engine,
            lambda now: any(
                one.name == old and one.state is ReplicaState.DRAINING for one in now.replicas
            ),
            "the session's replica drains",
        )
        going = next(one for one in draining.replicas if one.name == old)
        assert not going.wanted
        assert going.deadline is not None
        assert going.deadline > (going.since or 0.0)
        await asyncio.wait_for(await held.ping(), 10)
        async with session(address) as fresh:
            assert replica_of(fresh) != old
    status = await changing
    watching.cancel()
    assert models(status) == ["other-model", "other-model"]
    assert status.ready_replicas == 2
    assert status.spec is not None
    assert status.spec.replica.model == other_model
    assert fewest == 2, "never one less"
    assert most == 3, "never two more"
    assert any("0 of 2 replaced" in doing for doing in seen)
    assert any("1 of 2 replaced" in doing for doing in seen)
    assert status.doing == ""
    assert not any("flushed" in event.text for event in status.events)
    # Another console finds it as it is now.
    adopted = await ProcessEngine(NAME).up(status.spec)
    assert [one.pid for one in adopted.replicas] == [one.pid for one in status.replicas]
    await engine.down()


async def test_a_model_that_cannot_be_started_leaves_the_stack_as_it_was(
    engine: ProcessEngine, broken_model: str
) -> None:
    before = await engine.up(spec(2))
    assert before.balancer is not None
    async with session(before.balancer.address) as held:
        with pytest.raises(StackError, match="keeps model 'offline'") as raised:
            await engine.change(model=broken_model)
        assert "\n" not in str(raised.value)
        after = await reach(engine, lambda now: len(now.replicas) == 2, "the broken one goes")
        assert [one.pid for one in after.replicas] == [one.pid for one in before.replicas]
        assert after.state is StackState.READY
        assert "keeps model" in after.problem
        await asyncio.wait_for(await held.ping(), 10)
    with pytest.raises(StackError, match="is missing"):
        await engine.change(model="/nowhere/at/all")
    await engine.scale(3)
    assert models(await engine.status()) == ["offline"] * 3
    await engine.down()


async def test_a_model_that_fails_half_way_goes_back(
    engine: ProcessEngine, other_model: str
) -> None:
    await engine.up(spec(2))
    changing = asyncio.create_task(engine.change(model=other_model))
    await reach(engine, lambda now: "1 of 2 replaced" in now.doing, "one is replaced")
    (Path(other_model) / "model.bin").write_bytes(b"damaged meanwhile")
    with pytest.raises(StackError, match="keeps model 'offline'"):
        await changing
    status = await reach(
        engine,
        lambda now: now.ready_replicas == len(now.replicas) == 2 and not now.doing,
        "it has gone back",
    )
    assert models(status) == ["offline", "offline"]
    await engine.down()


async def test_a_change_is_taken_back_and_a_third_model_refused(
    engine: ProcessEngine, other_model: str
) -> None:
    before = await engine.up(spec(2))
    await engine.change(model=other_model, wait=False)
    with pytest.raises(StackError, match="changes from model 'offline'"):
        await engine.change(model="tiny", wait=False)
    status = await engine.change(model="offline")
    assert models(status) == ["offline", "offline"]
    assert {one.pid for one in before.replicas} & {one.pid for one in status.replicas}
    await engine.down()


async def test_a_change_outlives_its_command_and_its_supervisor(
    engine: ProcessEngine, root: Path, other_model: str
) -> None:
    await engine.up(spec(2))
    changing = asyncio.create_task(engine.change(model=other_model))
    await reach(engine, lambda now: "0 of 2 replaced" in now.doing, "it has begun")
    changing.cancel()
    for process in family(root):
        if "stack.supervision" in process.cmdline():
            process.kill()
    await reach(engine, lambda now: not now.supervised, "nobody supervises")
    status = await ProcessEngine(NAME).scale(3)
    assert models(status) == ["other-model"] * 3
    await engine.down()


async def test_a_killed_replica_loses_its_sessions_and_comes_back(engine: ProcessEngine) -> None:
    before = await engine.up(spec(2))
    assert before.balancer is not None
    async with contextlib.AsyncExitStack() as opened:
        held = [
            await opened.enter_async_context(session(before.balancer.address)) for _ in range(2)
        ]
        lost = next(one for one in held if replica_of(one) == "replica-1")
        kept = next(one for one in held if replica_of(one) == "replica-2")
        status = await engine.kill("replica-1")
        await asyncio.wait_for(lost.wait_closed(), 10)
        await asyncio.wait_for(await kept.ping(), 10)
    assert status.ready_replicas == 2
    assert status.replicas[0].pid != before.replicas[0].pid
    assert status.replicas[1].pid == before.replicas[1].pid
    told = [event.text for event in status.events if event.subject == "replica-1"]
    assert any(text.startswith("Killed, as asked.") for text in told)
    assert not any("died" in text for text in told), "asked for is no accident"
    with pytest.raises(StackError, match="replica-9"):
        await engine.kill("replica-9")
    await engine.down()


async def test_a_drain_is_taken_back_or_cut_short(engine: ProcessEngine) -> None:
    status = await engine.up(spec(2, drain_timeout=120))
    assert status.balancer is not None
    async with contextlib.AsyncExitStack() as opened:
        held = [
            await opened.enter_async_context(session(status.balancer.address)) for _ in range(2)
        ]
        assert Counter(map(replica_of, held)) == {"replica-1": 1, "replica-2": 1}
        await engine.drain("replica-2")
        await reach(
            engine, lambda now: now.replicas[-1].state is ReplicaState.DRAINING, "it drains"
        )
        status = await engine.undrain("replica-2")
        assert status.spec is not None
        assert status.spec.replicas == 2
        with pytest.raises(StackError, match="has no 'replica-2' that is to go"):
            await engine.undrain("replica-2")
        # It keeps its session, and is fresh when that is over.
        last = next(one for one in held if replica_of(one) == "replica-2")
        await asyncio.wait_for(await last.ping(), 10)
        await last.close()
        await reach(engine, lambda now: now.ready_replicas == 2, "it takes sessions again")
        await engine.drain("replica-1")
        await reach(engine, lambda now: now.replicas[0].state is ReplicaState.DRAINING, "it drains")
        after = await engine.kill("replica-1")
        assert [one.name for one in after.replicas] == ["replica-2"]
    await engine.down()


async def test_a_down_that_drains_can_be_hastened(engine: ProcessEngine, root: Path) -> None:
    status = await engine.up(spec(1, drain_timeout=300))
    assert status.balancer is not None
    async with session(status.balancer.address):
        slow = asyncio.create_task(engine.down(drain=True, timeout=300))
        await reach(
            engine,
            lambda now: now.replicas and now.replicas[0].state is ReplicaState.DRAINING,
            "it drains",
        )
        await ProcessEngine(NAME).down(timeout=30)
        await asyncio.wait_for(slow, 30)
    assert (await engine.status()).state is StackState.ABSENT


async def test_force_ends_a_stack_whose_state_is_damaged(engine: ProcessEngine, root: Path) -> None:
    await engine.up(spec(2))
    stranger = psutil.Popen(["sleep", "600"], env={"WHISPERCTL_STATE_DIR": "elsewhere"})
    directory = root / "stacks" / NAME
    try:
        # A recorded id that was given to somebody else is left alone.
        state = json.loads((directory / "state.json").read_text())
        state["replicas"][0]["part"]["pid"] = stranger.pid
        (directory / "state.json").write_text(json.dumps(state))
        (directory / "desired.json").write_text("{half")
        with pytest.raises(StackError, match="--force"):
            await engine.down()
        await ProcessEngine(NAME).down(force=True)
        assert stranger.is_running()
        until(lambda: not family(root), "every process has gone", 10)
        assert not directory.exists()
        assert (await engine.status()).state is StackState.ABSENT
    finally:
        stranger.kill()
        stranger.wait()


async def test_force_needs_no_state_at_all(engine: ProcessEngine, root: Path) -> None:
    await engine.up(spec(1))
    directory = StackDirectory(root / "stacks" / NAME)
    (directory.path / "state.json").write_bytes(os.urandom(64))
    (directory.path / "desired.json").write_text("")
    await ProcessEngine(NAME).down(force=True)
    until(lambda: not family(root), "every process has gone", 10)
    await ProcessEngine("nobody").down(force=True)


async def test_a_supervisor_waits_for_damaged_state_to_be_mended(
    engine: ProcessEngine, root: Path
) -> None:
    before = await engine.up(spec(1))
    path = root / "stacks" / NAME / "desired.json"
    whole = path.read_bytes()

    def supervisors() -> set[int]:
        return {one.pid for one in family(root) if "stack.supervision" in one.cmdline()}

    watching = await asyncio.to_thread(supervisors)
    path.write_text("{half")
    await eventually(
        lambda: "unusable" in (path.parent / "state.json").read_text(), "it says what is wrong"
    )
    path.write_bytes(whole)
    after = await engine.scale(2)
    assert after.replicas[0].pid == before.replicas[0].pid
    assert await asyncio.to_thread(supervisors) == watching
    await engine.down()
