"""Scaling with an engine in memory; the real one is in tests/console/cli/test_rest.py."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from support.engine import FakeEngine
from support.rest_server import RestServer, free_port
from support.rest_suites import finish, follow
from support.stacks import eventually

from loadtest.rest.events import RestEvent, RestNote, RestStepFinished, RestStepStarted
from loadtest.rest.plan import RestKind, RestPlan
from loadtest.rest.report import RestStatus
from loadtest.rest.scaling import ScalingSuite
from loadtest.rest.store import RestStore
from loadtest.shards import LoadError
from stack.engine import StackError
from stack.spec import BalancerSpec, StackSpec, Strategy
from stack.status import ReplicaState, StackState, StackStatus

MakePlan = Callable[..., RestPlan]


def scaling(plan: RestPlan, engine: FakeEngine, results: Path) -> ScalingSuite:
    return ScalingSuite(plan, engine, results_directory=results)


class SlowEngine(FakeEngine):
    """An engine whose last replica is never ready when it has just been scaled."""

    state = ReplicaState.STARTING
    deaths = 0

    async def status(self) -> StackStatus:
        status = await super().status()
        if not self.calls:
            return status
        self.deaths += self.state is ReplicaState.DEAD
        update = {"state": self.state, "restarts": self.deaths, "detail": "no memory"}
        last = status.replicas[-1].model_copy(update=update)
        update = {"replicas": (*status.replicas[:-1], last), "state": StackState.DEGRADED}
        return status.model_copy(update=update)


async def test_a_stop_does_not_wait_for_replicas_and_a_second_not_for_the_former_ones(
    server: RestServer, make_scaling_plan: MakePlan, tmp_path: Path
) -> None:
    engine = SlowEngine(up=StackSpec(replicas=2))
    suite = scaling(make_scaling_plan(server.url), engine, tmp_path)
    running = asyncio.create_task(finish(suite))
    await eventually(lambda: engine.calls == ["scale 1"], "the scaling")
    suite.stop()
    await eventually(lambda: engine.calls == ["scale 1", "scale 2"], "the former count")
    assert not running.done()  # it waits until the stack is as it was
    suite.stop()
    report, _ = await asyncio.wait_for(running, 20)
    assert report.status is RestStatus.STOPPED
    assert report.steps == []
    assert engine.calls == ["scale 1", "scale 2"]


async def test_a_replica_that_dies_again_and_again_is_not_waited_for(
    server: RestServer, make_scaling_plan: MakePlan, tmp_path: Path
) -> None:
    engine = SlowEngine(up=StackSpec(replicas=2))
    engine.state = ReplicaState.DEAD
    suite = scaling(make_scaling_plan(server.url), engine, tmp_path)
    with pytest.raises(LoadError, match=r"replica-\d dies again and again: no memory"):
        await finish(suite)
    assert engine.calls == ["scale 1", "scale 2"]


@pytest.fixture
def make_scaling_plan(make_rest_plan: MakePlan) -> MakePlan:
    def make(url: str, **values: Any) -> RestPlan:
        defaults = {"kind": RestKind.SCALING, "workers": (1, 3), "concurrencies": (3,)}
        return make_rest_plan(url, **(defaults | {"requests": 12} | values))

    return make


async def test_a_stack_is_scaled_measured_and_put_back(
    server: RestServer, make_scaling_plan: MakePlan, tmp_path: Path
) -> None:
    server.replicas = ["replica-1", "replica-2", "replica-3"]
    engine = FakeEngine(up=StackSpec(replicas=2))
    plan = make_scaling_plan(server.url)
    report, events = await finish(scaling(plan, engine, tmp_path))
    assert engine.calls == ["scale 1", "scale 3", "scale 2"]
    assert [step.replicas for step in report.steps] == [1, 3]
    assert report.steps[1].summary.replicas == {"replica-1": 4, "replica-2": 4, "replica-3": 4}
    one, three = (step.summary for step in report.steps)
    assert one.rps is not None
    assert three.rps is not None
    assert one.efficiency == pytest.approx(1.0)
    assert three.efficiency == pytest.approx(three.rps / (3 * one.rps))
    assert RestNote("Stack 'default' has its 2 replicas again.") in events


async def test_a_replica_that_gets_nothing_is_named(
    server: RestServer, make_scaling_plan: MakePlan, tmp_path: Path
) -> None:
    server.replicas = ["replica-1"]
    engine = FakeEngine(up=StackSpec(replicas=2))
    report, _ = await finish(scaling(make_scaling_plan(server.url, workers=(2,)), engine, tmp_path))
    (step,) = report.steps
    assert "replica-2 answered none of" in step.notes[0]
    assert step.summary.replicas == {"replica-1": 12, "replica-2": 0}
    assert step.warm_up > 3


async def test_a_stack_is_put_back_when_the_measurement_breaks(
    server: RestServer,
    make_scaling_plan: MakePlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = FakeEngine(up=StackSpec(replicas=2))
    suite = scaling(make_scaling_plan(server.url), engine, tmp_path)

    def at(event: RestEvent) -> None:
        if isinstance(event, RestStepStarted):
            (tmp_path / "rest").rename(tmp_path / "gone")
            (tmp_path / "rest").write_text("a file where a directory was")

    with pytest.raises(LoadError, match="--results-dir"):
        await follow(suite, at)
    assert engine.calls == ["scale 1", "scale 2"]


async def test_a_failed_scaling_is_said_saved_and_put_back(
    server: RestServer, make_scaling_plan: MakePlan, tmp_path: Path
) -> None:
    engine = FakeEngine(up=StackSpec(replicas=1))
    suite = scaling(make_scaling_plan(server.url), engine, tmp_path)

    def at(event: RestEvent) -> None:
        if isinstance(event, RestStepFinished):
            engine.fail = "no memory left"

    with pytest.raises(StackError, match="no memory left"):
        await follow(suite, at)
    report = RestStore(tmp_path).load("latest")[1]
    assert report.status is RestStatus.FAILED
    assert report.problem == "no memory left"
    assert [step.replicas for step in report.steps] == [1]
    assert len((await engine.status()).replicas) == 1


async def test_a_cancelled_measurement_puts_the_stack_back(
    server: RestServer, make_scaling_plan: MakePlan, tmp_path: Path
) -> None:
    engine = FakeEngine(up=StackSpec(replicas=2))
    plan = make_scaling_plan(server.url, timeout=60.0)
    suite = scaling(plan, engine, tmp_path)
    started = asyncio.Event()

    async def run() -> None:
        async with aclosing(suite.run()) as events:
            async for event in events:
                if isinstance(event, RestStepStarted):
                    started.set()

    task = asyncio.create_task(run())
    await asyncio.wait_for(started.wait(), 20)
    server.delay = 30.0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.calls[-1] == "scale 2"
    assert RestStore(tmp_path).load("latest")[1].status is RestStatus.STOPPED


async def test_what_someone_else_scaled_is_left_alone(
    server: RestServer, make_scaling_plan: MakePlan, tmp_path: Path
) -> None:
    engine = FakeEngine(up=StackSpec(replicas=2))
    suite = scaling(make_scaling_plan(server.url, workers=(1,)), engine, tmp_path)
    notes = []
    async for event in suite.run():
        if isinstance(event, RestStepFinished):
            await engine.scale(5)
        if isinstance(event, RestNote):
            notes.append(event.text)
    assert "scaled stack 'default' to 5 replicas" in notes[-1]
    assert engine.calls == ["scale 1", "scale 5"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (None, "whisperctl up"),
        (StackSpec(replicas=0), "whisperctl scale 1"),
        (StackSpec(balancer=BalancerSpec(strategy=Strategy.IP_HASH)), "least_connections"),
    ],
)
async def test_a_stack_that_cannot_be_measured_is_left_alone(
    server: RestServer,
    make_scaling_plan: MakePlan,
    tmp_path: Path,
    spec: StackSpec | None,
    words: str,
) -> None:
    engine = FakeEngine(up=spec)
    with pytest.raises(LoadError, match=words):
        await finish(scaling(make_scaling_plan(server.url), engine, tmp_path))
    assert engine.calls == []


async def test_nobody_there_leaves_the_stack_alone(
    make_scaling_plan: MakePlan, tmp_path: Path
) -> None:
    engine = FakeEngine(up=StackSpec(replicas=2))
    plan = make_scaling_plan(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(LoadError, match="Nobody listens"):
        await finish(scaling(plan, engine, tmp_path))
    assert engine.calls == []
