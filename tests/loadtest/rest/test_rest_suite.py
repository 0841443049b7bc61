"""Whole measurements against a server whose capacity is known, and what their files survive."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from support.engine import FakeEngine
from support.rest_server import RestServer, calibrated, free_port

from loadtest.clips import usable_clips
from loadtest.rest.client import RestClient, drawn, encode
from loadtest.rest.events import (
    RestEvent,
    RestFinished,
    RestNote,
    RestStarted,
    RestStepFinished,
    RestStepStarted,
)
from loadtest.rest.failures import RestFailure
from loadtest.rest.measurement import ClosedLoop, order
from loadtest.rest.plan import RestKind, RestPlan, ladder
from loadtest.rest.report import Ended, RestReport, RestStatus
from loadtest.rest.scaling import ScalingSuite
from loadtest.rest.store import RestStore, read_report
from loadtest.rest.suite import SingleSuite, Suite
from loadtest.shards import LoadError
from loadtest.store import RunFileError, RunStore
from stack.engine import StackError
from stack.spec import BalancerSpec, StackSpec, Strategy

MakePlan = Callable[..., RestPlan]


async def finish(suite: Suite) -> tuple[RestReport, list[RestEvent]]:
    """Run to the end."""
    events = [event async for event in suite.run()]
    last = events[-1]
    assert isinstance(last, RestFinished)
    assert read_report(last.path) == last.report
    return last.report, events


async def follow(suite: Suite, at: Callable[[RestEvent], None]) -> None:
    """Run to the end, and do something at each event."""
    async for event in suite.run():
        at(event)


async def test_a_server_of_known_capacity(make_rest_plan: MakePlan, tmp_path: Path) -> None:
    slots, delay = 4, 0.2
    with calibrated(slots=slots, delay=delay) as url:
        plan = make_rest_plan(url, concurrencies=ladder(64), requests=8)
        report, _ = await finish(SingleSuite(plan, results_directory=tmp_path))
    assert report.single is not None
    capacity = slots / delay
    for step in report.steps:
        expected = min(step.concurrency, slots) / delay
        assert step.summary.rps is not None
        # A server that sleeps its delay can't do more; a busy machine may do less.
        assert 0.5 <= step.summary.rps / expected <= 1.001
        assert step.summary.latency.min is not None
        assert step.summary.latency.min >= delay
        assert step.summary.requests == max(8, 4 * step.concurrency)
        assert step.summary.success_rate == 1.0
    assert report.single.max_rps is not None
    assert 0.6 <= report.single.max_rps / capacity <= 1.001
    if not any(step.summary.client_distorted for step in report.steps):
        assert report.single.best_concurrency == slots
        assert [step.concurrency for step in report.steps] == [1, 2, 4, 8, 16]
        assert report.single.ended is Ended.FLAT
    # Queueing is in the client's real-time factor; the throughput doesn't change with it.
    four, last = report.steps[2].summary, report.steps[-1].summary
    assert four.throughput is not None
    assert four.throughput == pytest.approx(four.audio_duration / four.duration)
    assert last.real_time_factor is not None
    assert four.real_time_factor is not None
    assert last.real_time_factor > 1.5 * four.real_time_factor


async def test_a_server_that_refuses_ends_the_climb(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path
) -> None:
    server.limit, server.delay = 2, 0.1
    plan = make_rest_plan(server.url, concurrencies=(1, 2, 4, 8), requests=12, duration=None)
    report, _ = await finish(SingleSuite(plan, results_directory=tmp_path))
    assert [step.concurrency for step in report.steps] == [1, 2, 4]
    assert report.single is not None
    assert report.single.ended is Ended.FAILING
    assert report.single.best_concurrency in (1, 2)
    refused = report.steps[-1].summary
    assert set(refused.failures) == {RestFailure.TOO_MANY_REQUESTS}
    assert refused.latency.count == refused.successful < refused.requests


async def test_one_seed_sends_the_same_clips_in_the_same_order(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path
) -> None:
    async def sent(seed: int) -> list[list[str]]:
        plan = make_rest_plan(server.url, concurrencies=(1, 3), requests=12, seed=seed)
        report, _ = await finish(SingleSuite(plan, results_directory=tmp_path))
        orders = []
        for step in report.steps:
            samples = sorted(step.samples, key=lambda sample: sample.index)
            assert [sample.index for sample in samples] == list(range(12))
            starts = [sample.start for sample in samples]
            assert starts == sorted(starts)
            orders.append([sample.clip for sample in samples])
        return orders

    first, second, other = await sent(1), await sent(1), await sent(7)
    assert first == second
    assert first[0] == first[1]  # whatever the concurrency
    assert first != other
    for round_start in (0, 3, 6, 9):  # every clip once before any comes again
        assert len(set(first[0][round_start : round_start + 3])) == 3
    assert set(first[0]) == set(server.files)


async def test_warm_up_and_probe_do_not_count(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_rest_plan(server.url, concurrencies=(2,), requests=10, warm_up=5)
    report, _ = await finish(SingleSuite(plan, results_directory=tmp_path))
    assert len(server.files) == 1 + 5 + 10
    assert report.steps[0].summary.requests == 10
    assert report.steps[0].warm_up == 5


async def test_a_duration_starts_no_request_after_it(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path
) -> None:
    server.delay = 0.15
    plan = make_rest_plan(server.url, concurrencies=(2,), duration=0.5)
    report, _ = await finish(SingleSuite(plan, results_directory=tmp_path))
    (step,) = report.steps
    assert all(sample.start < 0.5 for sample in step.samples)
    assert all(sample.failure is None for sample in step.samples)  # none is cut off
    assert step.summary.duration >= 0.15


async def test_the_pool_has_as_many_connections_as_clients(
    server: RestServer, make_rest_plan: MakePlan
) -> None:
    plan = make_rest_plan(server.url)
    clips, _ = usable_clips(plan.audio_directory)
    server.slots, server.delay = 8, 0.05
    most = 0

    async def watched(client: RestClient) -> None:
        nonlocal most
        while True:
            most = max(most, server.working)
            await asyncio.sleep(0.005)

    async with RestClient(plan, concurrency=3, api_key=None) as client:
        watching = asyncio.create_task(watched(client))
        bodies = order(encode(clips, plan), "1")
        loop = ClosedLoop(client.send, bodies, concurrency=3, requests=24)
        await loop.run(asyncio.Event())
        watching.cancel()
    assert most == 3
    assert len(loop.measured.samples) == 24
    assert loop.measured.lateness


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/get", "(405)"),
        ("/nowhere", "(404)"),
        ("/status/401", "WHISPERCTL_API_KEY"),
        ("/status/400", "status 400"),
        ("/page", "no transcription"),
        ("/elsewhere", "redirects are not followed"),
    ],
)
async def test_what_can_never_work_is_said_at_once(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path, path: str, words: str
) -> None:
    plan = make_rest_plan(f"http://127.0.0.1:{server.port}{path}")
    with pytest.raises(LoadError) as caught:
        await finish(SingleSuite(plan, results_directory=tmp_path))
    assert words in str(caught.value)
    assert RestStore(tmp_path).entries() == []


async def test_a_probe_that_may_yet_work_is_measured(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_rest_plan(
        f"http://127.0.0.1:{server.port}/status/503", concurrencies=(1, 2), requests=4, warm_up=0
    )
    report, _ = await finish(SingleSuite(plan, results_directory=tmp_path))
    (step,) = report.steps
    assert step.summary.failures == {RestFailure.UNAVAILABLE: 4}
    assert step.summary.rps == 0.0
    assert step.summary.latency.count == 0
    assert report.single is not None
    assert report.single.best_concurrency is None


async def test_a_stop_keeps_what_was_measured(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_rest_plan(server.url, concurrencies=(2, 4), requests=8, timeout=60.0)
    suite = SingleSuite(plan, results_directory=tmp_path)
    events: list[RestEvent] = []
    async for event in suite.run():
        events.append(event)
        if isinstance(event, RestStepFinished) and event.step.concurrency == 2:
            server.delay = 30.0  # the next step hangs, with requests under way
        if isinstance(event, RestStepStarted) and event.concurrency == 4:
            asyncio.get_running_loop().call_later(0.3, suite.stop)
    report = read_report(events[-1].path)  # type: ignore[union-attr]
    assert report.status is RestStatus.STOPPED
    assert report.steps[0].status is RestStatus.COMPLETED
    assert [step.status for step in report.steps[1:]] == [RestStatus.STOPPED]
    assert report.steps[1].summary.failed == 0  # what the stop cut off is nobody's failure
    assert report.single is not None
    assert report.single.ended is Ended.STOPPED
    assert report.single.best_concurrency == 2


async def test_every_finished_step_is_saved_before_the_next_starts(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_rest_plan(server.url, concurrencies=(1, 2, 4), requests=4)
    suite = SingleSuite(plan, results_directory=tmp_path)
    finished = 0
    async for event in suite.run():
        if isinstance(event, RestStarted | RestStepStarted | RestStepFinished):
            finished += isinstance(event, RestStepFinished)
            # What a crash right here would leave.
            (path,) = (tmp_path / "rest").glob("*.json")
            saved = read_report(path)
            assert len(saved.steps) == finished
            assert saved.status is RestStatus.UNFINISHED
    assert finished == 3
    assert read_report(path).status is RestStatus.COMPLETED
    assert RunStore(tmp_path).entries() == []  # apart from the runs


async def test_results_that_cannot_be_written_are_said_before_measuring(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(LoadError, match="--results-dir"):
        await finish(SingleSuite(make_rest_plan(server.url), results_directory=blocked))
    assert len(server.files) == 1  # the probe


async def test_the_key_is_in_no_file(
    server: RestServer, make_rest_plan: MakePlan, tmp_path: Path
) -> None:
    server.text = "alpha Bearer s3cret-key"
    suite = SingleSuite(
        make_rest_plan(server.url), results_directory=tmp_path, api_key="s3cret-key"
    )
    await finish(suite)
    assert set(server.keys) == {"Bearer s3cret-key"}
    (path,) = (tmp_path / "rest").glob("*.json")
    assert "s3cret" not in path.read_text()


def test_files_are_found_and_broken_ones_named(tmp_path: Path) -> None:
    store = RestStore(tmp_path)
    with pytest.raises(RunFileError, match="rest single"):
        store.load("latest")
    store.directory.mkdir()
    (store.directory / "rest_single_x.json").write_text("{")
    (store.directory / "rest_single_y.json").write_text(json.dumps({"schema": 9}))
    problems = [entry.problem or "" for entry in store.entries()]
    assert "not whole JSON" in problems[0]
    assert "schema 9" in problems[1]
    with pytest.raises(RunFileError, match="not whole JSON"):
        store.load("rest_single_x")
    with pytest.raises(RunFileError, match="rest list"):
        store.load("other")


def test_no_more_clips_are_held_than_memory_should(
    clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, _ = usable_clips(clips)
    assert len(drawn(found, 1)) == 3
    monkeypatch.setattr("loadtest.rest.client.MAX_BODIES", 100_000)
    assert len(drawn(found, 1)) == 1
    assert drawn(found, 1) == drawn(list(reversed(found)), 1)


# --- scaling, with an engine in memory; the real one is in tests/console/cli/test_rest.py


def scaling(plan: RestPlan, engine: FakeEngine, results: Path) -> ScalingSuite:
    return ScalingSuite(plan, engine, results_directory=results)


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
    assert "scaled to 5 replicas by someone else" in notes[-1]
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
