"""Whole stacks: real supervisor, real balancer, real replicas with the offline model."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest
from support.stacks import reach, session
from support.waiting import until
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from stack.engine import StackError
from stack.offline import MODEL_DIRECTORY
from stack.process import parts
from stack.process.engine import ProcessEngine
from stack.spec import BalancerSpec, ReplicaSpec
from stack.status import ReplicaState, StackState
from stack.supervision import processes
from stack.supervision.state import StackDirectory
from tests.stack.process.conftest import NAME, family, spec


def files_under(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_life_of_a_stack(engine: ProcessEngine, root: Path) -> None:
    assert (await engine.status()).state is StackState.ABSENT
    status = await engine.up(spec(2))
    assert status.state is StackState.READY
    assert status.ready_replicas == 2
    assert status.supervised
    assert status.balancer is not None

    # Another console adopts it: the same processes, nothing started twice.
    second = ProcessEngine(NAME)
    again = await second.up(spec(2))
    assert [each.pid for each in again.replicas] == [each.pid for each in status.replicas]
    assert again.balancer == status.balancer
    with pytest.raises(StackError, match="already runs with"):
        await second.up(spec(2, replica=ReplicaSpec(max_sessions=3)))

    samples = await engine.stats()
    assert all(sample.memory and sample.sessions == 0 for sample in samples.values())

    names = set()
    async with session(status.balancer.address) as one, session(status.balancer.address) as two:
        balancer = await engine.balancer_stats()
        assert balancer is not None
        assert not balancer.missing
        assert balancer.active_connections == 2
        assert (balancer.accepted_total or 0) >= (balancer.requests_total or 0) >= 2
        assert balancer.handled_total == balancer.accepted_total
        assert balancer.memory
        assert balancer.cpu is not None
        for each in (one, two):
            assert each.response is not None
            names.add(each.response.headers["X-Replica"])
    assert names == {"replica-1", "replica-2"}, "least connections spreads two over two"

    sources = {line.source async for line in engine.logs(tail=50)}
    assert {"replica-1", "replica-2", "balancer", "supervisor"} <= sources
    with pytest.raises(StackError, match="replica-9"):
        await engine.restart("replica-9")

    ports = [int(each.address.rpartition(":")[2]) for each in status.replicas]
    ports.append(int(status.balancer.address.rpartition(":")[2]))
    await engine.down()
    assert (await engine.status()).state is StackState.ABSENT
    assert not [port for port in ports if listens(port)]
    assert not files_under(root)
    until(lambda: not family(root), "every process has gone", 10)


async def test_scaling_in_keeps_the_open_session(engine: ProcessEngine) -> None:
    status = await engine.up(spec(2))
    assert status.balancer is not None
    address = status.balancer.address
    async with contextlib.AsyncExitStack() as open_sessions:
        held = [await open_sessions.enter_async_context(session(address)) for _ in range(2)]
        by_replica = {each.response.headers["X-Replica"]: each for each in held if each.response}
        await engine.scale(1, wait=False)
        await reach(
            engine,
            lambda now: now.replicas[-1].state is ReplicaState.DRAINING,
            "the second replica drains",
        )
        # New sessions go to the other one, and the old one still answers.
        async with session(address) as third:
            assert third.response is not None
            assert third.response.headers["X-Replica"] == "replica-1"
        going = by_replica["replica-2"]
        await asyncio.wait_for(await going.ping(), 30)
        assert len((await engine.status()).replicas) == 2
    status = await reach(engine, lambda now: len(now.replicas) == 1, "the second replica goes")
    assert status.replicas[0].name == "replica-1"
    await engine.down()


async def test_a_dead_replica_is_seen_and_comes_back(engine: ProcessEngine) -> None:
    status = await engine.up(spec(1))
    pid = status.replicas[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    await reach(engine, lambda now: now.replicas[0].state is not ReplicaState.READY, "death seen")
    assert time.monotonic() - killed < 2.0
    status = await reach(engine, lambda now: now.ready_replicas == 1, "it is ready again")
    assert status.replicas[0].restarts == 1
    assert status.replicas[0].pid != pid
    assert any(event.severity == "error" for event in status.events)

    # The balancer comes back on the same port.
    assert status.balancer is not None
    before = status.balancer
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    status = await reach(
        engine,
        lambda now: now.balancer.alive and now.balancer.pid not in (None, before.pid),
        "the balancer is back",
    )
    assert status.balancer is not None
    assert status.balancer.address == before.address
    async with session(before.address):
        pass
    await engine.down()


async def test_a_killed_supervisor_takes_nothing_with_it(engine: ProcessEngine, root: Path) -> None:
    status = await engine.up(spec(1))
    assert status.balancer is not None
    async with session(status.balancer.address) as open_session:
        for process in family(root):
            if "stack.supervision" in process.cmdline():
                process.kill()
        now = await reach(engine, lambda now: not now.supervised, "nobody supervises")
        assert now.replicas[0].pid == status.replicas[0].pid
        assert psutil.pid_exists(status.replicas[0].pid or 0)
        adopted = await ProcessEngine(NAME).up(spec(1))
        assert adopted.supervised
        assert adopted.replicas[0].pid == status.replicas[0].pid
        assert adopted.balancer is not None
        assert adopted.balancer.pid == status.balancer.pid
        await asyncio.wait_for(await open_session.ping(), 30)
    await engine.down()
    until(lambda: not family(root), "every process has gone", 10)


async def test_restart_replaces_the_process(engine: ProcessEngine) -> None:
    before = await engine.up(spec(1))
    after = await engine.restart("replica-1")
    assert after.ready_replicas == 1
    assert after.replicas[0].pid != before.replicas[0].pid
    await engine.down()


async def test_presses_at_the_same_time_add_up(engine: ProcessEngine) -> None:
    await engine.up(spec(0))
    others = [ProcessEngine(NAME) for _ in range(3)]
    await asyncio.gather(*(each.scale_by(1, wait=False) for each in others))
    status = await engine.status()
    assert status.spec is not None
    assert status.spec.replicas == 3
    await engine.down()


async def test_a_taken_port_is_one_sentence(engine: ProcessEngine, root: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(StackError, match=f"Port {port} .* is taken by process {os.getpid()}"):
            await engine.up(spec(1, balancer=BalancerSpec(port=port)))
    assert not family(root)
    assert (await engine.status()).state is StackState.ABSENT


async def test_a_missing_model_and_too_many_replicas_are_one_sentence(
    engine: ProcessEngine, root: Path
) -> None:
    with pytest.raises(StackError, match="is missing"):
        await engine.up(spec(1, replica=ReplicaSpec(model="/nowhere/at/all")))
    with pytest.raises(StackError, match="ask for"):
        await engine.up(spec(64, replica=ReplicaSpec(model="large-v3")))
    with pytest.raises(StackError, match="no stack"):
        await engine.scale(2)
    assert not family(root)


async def test_a_replica_that_can_not_start_takes_the_fresh_stack_down(
    engine: ProcessEngine, root: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken-model"
    broken.mkdir()
    (broken / "model.bin").write_bytes(b"no model at all")
    with pytest.raises(StackError, match="replica-1 can't be started"):
        await engine.up(spec(1, replica=ReplicaSpec(model=str(broken))))
    assert (await engine.status()).state is StackState.ABSENT
    until(lambda: not family(root), "every process has gone", 10)


async def test_a_busy_replica_keeps_its_session_while_it_drains(engine: ProcessEngine) -> None:
    """A replica that is too busy to answer for some seconds still has its session."""
    status = await engine.up(spec(2))
    assert status.balancer is not None
    async with contextlib.AsyncExitStack() as open_sessions:
        held = [
            await open_sessions.enter_async_context(session(status.balancer.address))
            for _ in range(2)
        ]
        last = next(e for e in held if e.response and e.response.headers["X-Replica"][-1] == "2")
        pid = status.replicas[1].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            await engine.scale(1, wait=False)
            await asyncio.sleep(3.0)  # the fault itself: so long it answers nobody
        finally:
            os.kill(pid, signal.SIGCONT)
        await asyncio.sleep(2.0)
        await asyncio.wait_for(await last.ping(), 10)


async def test_one_command_starts_one_supervisor(engine: ProcessEngine, root: Path) -> None:
    most = 0
    start = asyncio.create_task(engine.up(spec(1)))
    while not start.done():
        now = [p for p in await asyncio.to_thread(family, root) if _is_supervisor(p)]
        most = max(most, len(now))
        await asyncio.sleep(0.05)
    await start
    assert most == 1


def _is_supervisor(process: psutil.Process) -> bool:
    try:
        # Between fork and exec a part it starts still looks like the supervisor.
        parent = process.parent()
        forked = parent is not None and "stack.supervision" in parent.cmdline()
        return "stack.supervision" in process.cmdline() and not forked
    except psutil.Error:
        return False


async def test_what_died_unseen_is_brought_back(engine: ProcessEngine, root: Path) -> None:
    status = await engine.up(spec(1))
    for process in family(root):
        if _is_supervisor(process):
            process.kill()
    await reach(engine, lambda now: not now.supervised, "nobody supervises")
    pid = status.replicas[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await reach(engine, lambda now: now.replicas[0].state is ReplicaState.DEAD, "it is dead")
    again = await ProcessEngine(NAME).up(spec(1))
    assert again.state is StackState.READY
    assert again.replicas[0].pid != pid


async def test_a_model_directory_is_meant_from_where_one_stands(
    engine: ProcessEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(MODEL_DIRECTORY.parent)
    status = await engine.up(spec(0, replica=ReplicaSpec(model="./model")))
    assert status.spec is not None
    assert status.spec.replica.model == str(MODEL_DIRECTORY)


async def test_a_directory_of_the_same_name_is_not_run(
    engine: ProcessEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a user happens to stand there may be a ``stack`` of his own."""
    strange = tmp_path / "elsewhere" / "stack"
    strange.mkdir(parents=True)
    (strange / "__init__.py").write_text("raise SystemExit('the wrong stack')")
    monkeypatch.chdir(strange.parent)
    status = await engine.up(spec(1), timeout=30)
    assert status.ready_replicas == 1


async def test_a_part_that_nobody_knows_of_is_ended(engine: ProcessEngine, root: Path) -> None:
    """A supervisor killed right after it started a part has not written it down."""
    await engine.up(spec())
    logs = root / "stacks" / NAME / "logs"
    desired = StackDirectory(logs.parent).read_desired()
    assert desired is not None
    command = parts.replica_command(desired.spec, "replica-9", parts.free_port())
    orphan = processes.start(command, logs / "replica-9.log")
    for process in family(root):
        if "stack.supervision" in " ".join(process.cmdline()):
            process.kill()
    await reach(engine, lambda status: not status.supervised, "the supervisor's end")
    await engine.scale(1)
    assert orphan.wait(timeout=60) < 0
    assert [replica.name for replica in (await engine.status()).replicas] == ["replica-1"]
    await engine.down()


def test_a_log_that_grew_too_large_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT", 100)
    log = tmp_path / "replica-1.log"
    with log.open("a") as writer:
        writer.write("old line\n" * 20)
        writer.flush()
        processes.bound(tmp_path)
        assert log.stat().st_size == 0
        writer.write("new line\n")
    assert log.read_text() == "new line\n"
    assert (tmp_path / "replica-1.old.log").read_text().count("old line") == 20
    processes.bound(tmp_path)
    assert log.read_text() == "new line\n"


async def test_every_replica_asks_for_the_stacks_key_whoever_starts_it(
    engine: ProcessEngine, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPERCTL_API_KEY", "first")
    await engine.up(spec(1))
    for process in family(root):
        if "stack.supervision" in process.cmdline():
            process.kill()
    await reach(engine, lambda status: not status.supervised, "nobody supervises")
    # Another shell, another day.
    monkeypatch.delenv("WHISPERCTL_API_KEY")
    status = await ProcessEngine(NAME).scale(2)
    for replica in status.replicas:
        with pytest.raises(InvalidStatus, match="401"):
            async with connect(f"ws://{replica.address}/"):
                pass
        async with connect(f"ws://{replica.address}/?token=first"):
            pass
    assert "first" not in status.model_dump_json()
    monkeypatch.setenv("WHISPERCTL_API_KEY", "second")
    with pytest.raises(StackError, match="already runs with another key"):
        await engine.up(spec(2))
    await engine.down()
    assert files_under(root) == []
