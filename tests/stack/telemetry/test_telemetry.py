"""Samples of real processes and sockets; the GPU's driver is the only stand-in."""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from stack.status import BalancerSample, MachineSample
from stack.telemetry.answers import replica_answer
from stack.telemetry.environment import environment
from stack.telemetry.gpu import GpuReader, GpuUse
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


def test_no_driver_is_a_normal_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    reader = GpuReader()
    assert reader.devices() == []
    assert reader.use([1]) == {}


class Driver:
    """NVML with one card; ``failing`` calls raise ``failure``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cards = 1
        self.memory: int | None = 300
        self.samples = [SimpleNamespace(pid=10, smUtil=40, timeStamp=5)]
        self.since: list[int] = []
        self.failing: set[str] = set()
        self.failure: type[pynvml.NVMLError] = pynvml.NVMLError_NotSupported

        def utilisation(handle: int, since: int) -> list[SimpleNamespace]:
            self.since.append(since)
            return self.samples

        for name, answer in {
            "nvmlInit": lambda: None,
            "nvmlSystemGetDriverVersion": lambda: b"560.1",
            "nvmlDeviceGetCount": lambda: self.cards,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetName": lambda handle: "Card",
            "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=1000, used=700),
            "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=90),
            "nvmlDeviceGetComputeRunningProcesses": lambda handle: [
                SimpleNamespace(pid=10, usedGpuMemory=self.memory),
                SimpleNamespace(pid=99, usedGpuMemory=5),
            ],
            "nvmlDeviceGetProcessUtilization": utilisation,
        }.items():
            monkeypatch.setattr(pynvml, name, self._guarded(name, answer))

    def _guarded(self, name, answer):
        def call(*arguments):
            if name in self.failing:
                raise self.failure
            return answer(*arguments)

        return call


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    return Driver(monkeypatch)


def test_gpu_figures_are_the_process_own(driver: Driver) -> None:
    reader = GpuReader()
    (card,) = reader.devices()
    assert (card.name, card.memory, card.driver) == ("Card", 1000, "560.1")
    assert reader.use([10, 11]) == {10: GpuUse(300, 0.4, shared=False)}
    driver.samples = []
    assert reader.use([10])[10].utilisation == 0.0
    back = [time.time() - since / 1e6 for since in driver.since]
    assert all(0.5 < seconds < 5 for seconds in back), "a fixed while, whoever else reads"


def test_two_cards_add_up(driver: Driver) -> None:
    driver.cards = 2
    assert GpuReader().use([10]) == {10: GpuUse(600, 0.4, shared=False)}


def test_what_the_driver_hides_is_the_cards_and_marked(driver: Driver) -> None:
    driver.failing = {"nvmlDeviceGetProcessUtilization"}
    assert GpuReader().use([10]) == {10: GpuUse(300, 0.9, shared=True)}
    driver.memory = None
    assert GpuReader().use([10]) == {10: GpuUse(700, 0.9, shared=True)}


def test_nobody_used_the_card_is_not_hidden(driver: Driver) -> None:
    driver.failing = {"nvmlDeviceGetProcessUtilization"}
    driver.failure = pynvml.NVMLError_NotFound
    assert GpuReader().use([10]) == {10: GpuUse(300, 0.0, shared=False)}


@pytest.mark.parametrize(
    "failing",
    [
        "nvmlInit",
        "nvmlDeviceGetCount",
        "nvmlDeviceGetHandleByIndex",
        "nvmlDeviceGetName",
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetComputeRunningProcesses",
        "nvmlDeviceGetProcessUtilization",
        "nvmlSystemGetDriverVersion",
    ],
)
def test_a_driver_that_fails_and_comes_back(driver: Driver, failing: str) -> None:
    reader = GpuReader()
    driver.failing = {failing}
    driver.failure = pynvml.NVMLError_GpuIsLost
    reader.devices()
    reader.use([10])
    driver.failing = set()
    assert reader.use([10]) == {10: GpuUse(300, 0.4, shared=False)}


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"name": "replica-1", "sessions": 3, "queue_depth": 2}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_dead_or_silent_replica_costs_its_own_cells_only(address: str) -> None:
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    own = psutil.Process().pid
    async with silent:
        hanging = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        samples = await Sampler().sample(
            [
                Source("replica-1", (own,), address),
                Source("replica-2", (), None),
                Source("replica-3", (own,), hanging),
            ]
        )
    assert (samples["replica-1"].sessions, samples["replica-1"].queue_depth) == (3, 2)
    assert samples["replica-1"].cpu is not None, "the first sample is a whole one"
    assert samples["replica-1"].memory
    nothing = samples["replica-2"].model_dump(exclude={"gpu_shared", "missing"})
    assert set(nothing.values()) == {None}
    assert [samples[f"replica-{number}"].missing for number in (1, 2, 3)] == [(), (), ("service",)]
    assert samples["replica-3"].memory
    assert samples["replica-3"].sessions is None


async def test_a_driver_that_hangs_costs_its_own_cells_only(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    asked = []

    def hang(reader: GpuReader, pids: list[int]) -> dict[int, GpuUse]:
        asked.append(1)
        release.wait(60)
        return {}

    monkeypatch.setattr(GpuReader, "use", hang)
    sampler = Sampler()
    try:
        for _ in range(3):
            began = time.monotonic()
            samples = await sampler.sample([Source("replica-1", (psutil.Process().pid,), address)])
            assert time.monotonic() - began < 5
            assert samples["replica-1"].memory
            assert samples["replica-1"].sessions == 3
            assert samples["replica-1"].gpu_memory is None
        assert len(asked) == 1, "one that hangs holds one thread, not one more a second"
    finally:
        release.set()


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
