"""The supervisor's work in this process, over real replicas; and its pure parts."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from support.waiting import until

from stack.engine import StackError
from stack.process import parts
from stack.process.engine import ProcessEngine
from stack.process.runtime import ProcessRuntime
from stack.status import ReplicaState, StackState
from stack.supervision import logs
from stack.supervision.__main__ import supervise
from stack.supervision.desired import Desired, Phase
from stack.supervision.judgement import BACKOFF_LONGEST, backoff
from stack.supervision.preflight import check_memory, check_model, replica_memory
from stack.supervision.state import ProcessIdentity, StackDirectory
from tests.stack.process.conftest import NAME, family, spec


@pytest.fixture
async def supervised(engine: ProcessEngine, root: Path, monkeypatch: pytest.MonkeyPatch):
    """An engine whose supervisor runs here."""
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[int]] = []
    directory = StackDirectory(root / "stacks" / NAME)

    def begin() -> None:
        if not tasks or tasks[-1].done():
            tasks.append(loop.create_task(supervise(directory, ProcessRuntime(directory))))

    monkeypatch.setattr(
        ProcessEngine, "_ensure_supervisor", lambda _: loop.call_soon_threadsafe(begin)
    )
    return engine, tasks


async def reach(engine: ProcessEngine, condition, what: str) -> None:
    end = time.monotonic() + 60
    while not condition(await engine.status()):
        assert time.monotonic() < end, f"not in time: {what}"
        await asyncio.sleep(0.05)


async def test_one_supervisor_does_it_all(supervised, root: Path) -> None:
    engine, tasks = supervised
    status = await engine.up(spec(2))
    assert status.state is StackState.READY
    first, second = (each.pid for each in status.replicas)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await reach(
        engine,
        lambda now: now.ready_replicas == 2 and now.replicas[0].pid != first,
        "the dead one is back",
    )
    assert status.balancer is not None
    assert status.balancer.pid is not None
    os.kill(status.balancer.pid, signal.SIGKILL)
    await reach(
        engine,
        lambda now: now.balancer.alive and now.balancer.restarts == 1,
        "the balancer is back",
    )
    await engine.restart("replica-2")
    status = await engine.drain("replica-1")
    await reach(engine, lambda now: [each.name for each in now.replicas] == ["replica-2"], "gone")
    # The free name is taken again.
    status = await engine.scale(2)
    assert [each.name for each in status.replicas] == ["replica-1", "replica-2"]
    assert second not in [each.pid for each in status.replicas]
    sequence = [event.sequence for event in status.events]
    assert sequence == sorted(set(sequence))
    await engine.down(drain=True)
    assert await asyncio.wait_for(tasks[0], 20) == 0
    until(lambda: not family(root), "every process has gone", 10)
    assert not [path for path in root.rglob("*") if path.is_file()]  # noqa: ASYNC240


async def test_a_silent_replica_is_unhealthy_and_well_again(
    supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.supervision.supervisor.UNHEALTHY_AFTER", 0.5)
    engine, _ = supervised
    status = await engine.up(spec(1))
    pid = status.replicas[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await reach(
        engine, lambda now: now.replicas[0].state is ReplicaState.UNHEALTHY, "it is unhealthy"
    )
    os.kill(pid, signal.SIGCONT)
    await reach(engine, lambda now: now.ready_replicas == 1, "it is well again")
    assert (await engine.status()).replicas[0].pid == pid, "silence alone kills nothing"
    await engine.down()


def test_back_off_doubles_up_to_its_bound() -> None:
    assert [backoff(failures) for failures in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert backoff(500) == BACKOFF_LONGEST


def test_names_are_the_lowest_free_and_the_highest_go() -> None:
    desired = Desired(spec=spec(0), replicas=()).with_count(3)
    assert desired.replicas == ("replica-1", "replica-2", "replica-3")
    gap = desired.with_names(["replica-1", "replica-3"])
    assert gap.spec.replicas == 2
    assert gap.with_count(3).replicas == ("replica-1", "replica-2", "replica-3")
    assert gap.with_count(1).replicas == ("replica-1",)
    many = Desired(spec=spec(0), replicas=()).with_count(12)
    assert many.replicas[-1] == "replica-12", "by number, not by letter"


def test_changes_are_never_lost(root: Path) -> None:
    directory = StackDirectory(root / "stacks" / NAME)
    directory.create(Desired(spec=spec(0), replicas=()), None)
    for _ in range(3):
        directory.change(lambda desired: desired.with_count(len(desired.replicas) + 1))
    found = directory.read_desired()
    assert found is not None
    assert len(found.replicas) == 3
    assert directory.path.stat().st_mode & 0o777 == 0o700
    directory.write_desired(found.model_copy(update={"phase": Phase.DOWN}))
    with pytest.raises(StackError, match="no stack"):
        directory.change(lambda desired: desired)


async def test_a_damaged_state_is_one_sentence(engine: ProcessEngine, root: Path) -> None:
    directory = root / "stacks" / NAME
    directory.mkdir(parents=True)
    (directory / "desired.json").write_text("{half")
    with pytest.raises(StackError, match="unusable") as raised:
        await engine.status()
    assert "\n" not in str(raised.value)


def test_a_supervisor_gives_way_to_the_one_there_is(root: Path) -> None:
    directory = StackDirectory(root / "stacks" / NAME)
    directory.create(Desired(spec=spec(0), replicas=()), None)
    handle = directory.claim_supervision()
    assert handle is not None
    assert directory.is_supervised()
    assert directory.claim_supervision() is None
    assert asyncio.run(supervise(directory, ProcessRuntime(directory), patience=0.1)) == 0
    os.close(handle)
    assert not directory.is_supervised()


def test_a_pid_that_was_given_out_again_is_another_process() -> None:
    mine = ProcessIdentity.of(os.getpid())
    assert mine is not None
    assert mine.find() is not None
    other = mine.model_copy(update={"create_time": mine.create_time - 5})
    assert other.find() is None
    assert parts.end(other, signal.SIGKILL) is False, "a stranger gets no signal"


def test_models_and_memory(tmp_path: Path) -> None:
    check_model("offline")
    check_model("small")
    with pytest.raises(StackError, match="holds no model"):
        check_model(str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"x" * 1024)
    check_model(str(tmp_path))
    large, small = replica_memory("large-v3"), replica_memory("small")
    assert large is not None
    assert small is not None
    assert large > 2 * small
    assert replica_memory("somebody/their-model") is None
    check_memory("offline", -3)
    with pytest.raises(StackError, match=r"GiB are free; ask for \d+ at most"):
        check_memory("offline", 100_000)


async def test_logs_are_read_from_their_end_and_followed(tmp_path: Path) -> None:
    first, second = tmp_path / "a.log", tmp_path / "b.log"
    now, before = "2026-01-01 00:00:00,000", "2025-01-01 00:00:00,000"
    first.write_text("".join(f"{now} line {number}\n" for number in range(50_000)))
    second.write_text(f"{before} old\n")
    tail = [line async for line in logs.read(tmp_path, "a", follow=False, tail=3)]
    assert [line.text for line in tail] == [f"{now} line {n}" for n in (49997, 49998, 49999)]
    merged = [line async for line in logs.read(tmp_path, None, follow=False, tail=100_000)]
    assert merged[0].source == "b", "in the order of time"

    following = logs.read(tmp_path, None, follow=True, tail=1)
    assert (await anext(following)).text == f"{now} line 49999"
    with second.open("a") as file:
        file.write("half")
        file.flush()
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0.6)
        assert not waiting.done(), "half a line is no line"
        file.write(" and half\n")
    assert (await asyncio.wait_for(waiting, 10)).text == "half and half"
    second.write_text("anew\n")
    assert (await asyncio.wait_for(anext(following), 10)).text == "anew"
    await following.aclose()
