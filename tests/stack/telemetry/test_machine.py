"""The machine as a whole, and what is served of it to Prometheus."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel
from support.engine import FakeEngine

from stack.engine import StackError
from stack.figures import BALANCER_FIGURES, GPU_FIGURES, MACHINE_FIGURES, REPLICA_FIGURES, Figure
from stack.spec import StackSpec
from stack.status import (
    BalancerSample,
    GpuSample,
    MachineSample,
    ReplicaSample,
    StackState,
)
from stack.telemetry.machine import MachineReader
from stack.telemetry.prometheus import (
    MAX_AGE,
    StackCollector,
)
from stack.telemetry.watching import Look, StackWatch, watched


@contextlib.contextmanager
def burning(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def test_a_busy_machine_reads_busy_from_whatever_thread() -> None:
    reader = MachineReader()
    cores = psutil.cpu_count() or 1
    with burning(cores):
        deadline = time.monotonic() + 30
        shares: list[float] = []
        # Threads of a pool: each reading may come from another.
        while len(shares) < 6 and time.monotonic() < deadline:
            await asyncio.sleep(0.3)
            together = [asyncio.to_thread(reader.read, None) for _ in range(3)]
            for sample in await asyncio.gather(*together):
                if sample.cpu is not None:
                    shares.append(sample.cpu)
        assert len(shares) >= 6
        assert min(shares[-3:]) > 0.8
    assert sample.cores == cores
    assert sample.memory == psutil.virtual_memory().total


# --- for Prometheus -------------------------------------------------------------------------------


def scraped(look: Look | None) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StackCollector("trial", lambda: look))
    found: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.documentation
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


async def look_at(engine: FakeEngine, machine: MachineSample, *, age: float = 0.0) -> Look:
    return Look(await engine.status(), await engine.stats(), machine, time.monotonic() - age)


@pytest.mark.parametrize(
    ("sample", "figures"),
    [
        (ReplicaSample, REPLICA_FIGURES),
        (BalancerSample, BALANCER_FIGURES),
        (MachineSample, MACHINE_FIGURES),
        (GpuSample, GPU_FIGURES),
    ],
)
def test_every_figure_of_a_sample_is_served(
    sample: type[BaseModel], figures: Mapping[str, Figure]
) -> None:
    numbers = {int, float, bool, int | None, float | None}
    fields = {name for name, field in sample.model_fields.items() if field.annotation in numbers}
    # A card's index is its label.
    assert fields - {"index"} == set(figures)


async def test_what_is_known_is_served_and_nothing_else() -> None:
    engine = FakeEngine(up=StackSpec(name="default", replicas=2))
    engine.samples = {
        "replica-1": ReplicaSample(
            cpu=0.5, memory=1000, sessions=3, stage_seconds={"decode": 0.02}
        ),
        "replica-2": ReplicaSample(gpu_memory=5 * 2**30),
    }
    machine = MachineSample(
        cpu=0.25,
        cores=4,
        balancer=BalancerSample(cpu=0.1, requests_total=7),
        gpus=(GpuSample(index=1, name="A2", temperature=55.0),),
    )
    found = scraped(await look_at(engine, machine))
    assert found["whisperctl_stack_up"] == [({"stack": "trial"}, 1.0)]
    assert found["whisperctl_replica_cpu_cores"] == [
        ({"stack": "trial", "replica": "replica-1"}, 0.5)
    ]
    assert found["whisperctl_replica_gpu_memory_bytes"] == [
        ({"stack": "trial", "replica": "replica-2"}, 5 * 2**30)
    ]
    assert found["whisperctl_machine_cpu_ratio"][0][1] == 0.25
    states = {
        labels["state"]: value
        for labels, value in found["whisperctl_replica_state"]
        if labels["replica"] == "replica-1"
    }
    assert states["ready"] == 1.0
    assert sum(states.values()) == 1.0
    assert found["whisperctl_balancer_cpu_cores"] == [({"stack": "trial"}, 0.1)]
    assert found["whisperctl_balancer_requests_total"] == [({"stack": "trial"}, 7.0)]
    card = {"stack": "trial", "gpu": "1", "name": "A2"}
    assert found["whisperctl_gpu_temperature_celsius"] == [(card, 55.0)]
    stage = {"stack": "trial", "replica": "replica-1", "stage": "decode"}
    assert found["whisperctl_replica_stage_seconds"] == [(stage, 0.02)]
    assert "whisperctl_balancer_memory_bytes" not in found


async def test_old_figures_are_not_served_as_present_ones() -> None:
    engine = FakeEngine(up=StackSpec(replicas=1))
    engine.samples = {"replica-1": ReplicaSample(cpu=0.5)}
    found = scraped(await look_at(engine, MachineSample(), age=MAX_AGE + 1))
    assert "whisperctl_replica_cpu_cores" not in found
    assert found["whisperctl_sample_age_seconds"][0][1] > MAX_AGE
    # An alert on these goes off when nobody can look any more, and not before the first look.
    assert found["whisperctl_up"][0][1] == 0.0
    assert "whisperctl_stack_up" not in found
    assert scraped(None) == {}
    gone = scraped(await look_at(FakeEngine(), MachineSample()))
    assert gone["whisperctl_stack_up"] == [({"stack": "trial"}, 0.0)]
    assert gone["whisperctl_up"] == [({"stack": "trial"}, 1.0)]


async def test_a_watch_survives_an_engine_that_fails() -> None:
    engine = FakeEngine(up=StackSpec(replicas=1))
    said: list[str] = []
    watch = StackWatch(engine, said.append)
    stop = asyncio.Event()
    running = asyncio.create_task(watched(watch, stop))

    async def until(condition: object) -> None:
        deadline = time.monotonic() + 20
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    await until(lambda: watch.latest is not None)
    assert watch.latest is not None
    assert watch.latest.status.state is StackState.READY

    async def fails() -> Mapping[str, ReplicaSample]:
        raise StackError("The engine is away.")

    good = engine.stats
    engine.stats = fails  # type: ignore[method-assign]
    await until(lambda: watch.problem == "The engine is away.")
    before = watch.latest.taken_at
    engine.stats = good  # type: ignore[method-assign]
    await until(lambda: watch.problem is None and watch.latest.taken_at > before)  # type: ignore[union-attr]
    stop.set()
    await running
    assert said == ["The engine is away.", "The stack answers again."]


async def test_a_watch_that_breaks_does_not_leave_its_server_alone() -> None:
    engine = FakeEngine(up=StackSpec(replicas=1))

    async def breaks() -> Mapping[str, ReplicaSample]:
        raise KeyError("a bug")

    engine.stats = breaks  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        await asyncio.wait_for(watched(StackWatch(engine), asyncio.Event()), 20)


@pytest.mark.parametrize("listen", ["9109", "127.0.0.1:", "127.0.0.1:x", ":9109", "::1:99999"])
def test_addresses_to_serve_on_are_checked(listen: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console", "metrics", "--listen", listen],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert done.returncode == 2
    assert "write it like 127.0.0.1:9109" in done.stderr
