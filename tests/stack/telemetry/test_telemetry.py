"""Samples of real processes and sockets."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
from support.listening import listening

from stack.status import BalancerSample, MachineSample, ReplicaSample
from stack.telemetry.answers import replica_answer
from stack.telemetry.environment import environment
from stack.telemetry.processes import ProcessReader
from stack.telemetry.rates import Counters
from stack.telemetry.sampler import Sampler, Source, combine

BUSY = "while True: pass"


@contextlib.contextmanager
def running(code: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_busy_process_uses_a_core_and_an_idle_one_none() -> None:
    reader = ProcessReader()
    with running(BUSY) as busy, running("import time; time.sleep(600)") as idle:
        first = reader.read([busy.pid, idle.pid])
        assert first[busy.pid].cpu is None, "one reading is no rate"
        time.sleep(1.0)  # what is measured: a second of work
        second = reader.read([busy.pid, idle.pid])
        used, unused = second[busy.pid].cpu, second[idle.pid].cpu
        assert used is not None
        assert unused is not None
        assert 0.15 < used < 1.3, "a fraction of a core, however loaded the machine is"
        assert unused < used / 2
        assert second[busy.pid].memory == pytest.approx(
            psutil.Process(busy.pid).memory_info().rss, rel=0.2
        )


def test_a_process_that_is_gone_is_left_out_and_its_pid_forgotten() -> None:
    reader = ProcessReader()
    with running(BUSY) as process:
        assert process.pid in reader.read([process.pid])
    assert reader.read([process.pid]) == {}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"name": "replica-1", "sessions": 3, "queue_depth": 2}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    async with listening(answer) as address:
        yield address


async def test_a_dead_or_silent_replica_costs_its_own_cells_only(address: str) -> None:
    own = psutil.Process().pid
    async with listening() as hanging:
        sampler = Sampler()
        samples = await sampler.sample(
            [
                Source("replica-1", (own,), address),
                Source("replica-2", (), None),
                Source("replica-3", (own,), hanging),
            ]
        )
        await sampler.close()
    assert (samples["replica-1"].sessions, samples["replica-1"].queue_depth) == (3, 2)
    assert samples["replica-1"].cpu is not None, "the first sample is a whole one"
    assert samples["replica-1"].memory
    nothing = samples["replica-2"]
    assert nothing == ReplicaSample(missing=nothing.missing), "nothing is known of it"
    assert [samples[f"replica-{number}"].missing for number in (1, 2, 3)] == [(), (), ("service",)]
    assert samples["replica-3"].memory
    assert samples["replica-3"].sessions is None


def test_nonsense_from_a_replica_is_unknown() -> None:
    answer = replica_answer({"sessions": "many", "queue_depth": -1})
    sample = combine(None, None, answer, Counters())
    assert sample.sessions is None
    assert sample.queue_depth is None


def test_the_environment_says_what_machine_but_not_whose() -> None:
    found = environment()
    assert found.memory == psutil.virtual_memory().total
    assert found.cores
    assert found.cpu
    assert not {"hostname", "host", "node", "user"} & set(found.model_dump())


def test_a_run_file_of_before_still_tells_the_balancers_cpu() -> None:
    old = MachineSample.model_validate({"cpu": 0.5, "cores": 2, "balancer_cpu": 0.3})
    assert old.balancer == BalancerSample(cpu=0.3)
    assert old.balancer_cpu == 0.3
    again = MachineSample.model_validate_json(old.model_dump_json())
    assert again == old
    assert MachineSample.model_validate({"balancer_cpu": None}).balancer is None
    assert MachineSample().balancer_cpu is None
