"""Whole measurements against a server whose capacity is known, and what their files survive."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.rest_server import RestServer, calibrated
from support.rest_suites import finish

from loadtest.clips import usable_clips
from loadtest.rest.client import RestClient, drawn, encode
from loadtest.rest.events import (
    RestEvent,
    RestStarted,
    RestStepFinished,
    RestStepStarted,
)
from loadtest.rest.failures import RestFailure
from loadtest.rest.measurement import ClosedLoop, order
from loadtest.rest.plan import RestPlan, ladder
from loadtest.rest.report import Ended, RestStatus
from loadtest.rest.store import RestStore, read_report
from loadtest.rest.suite import SingleSuite
from loadtest.shards import LoadError
from loadtest.store import RunFileError, RunStore

MakePlan = Callable[..., RestPlan]


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
    # As many clients as slots leave a slot idle while its next request is on its way. On a busy
    # machine that may cost more than the margin; then twice as many are best, and never fewer.
    assert report.single.best_concurrency in (slots, 2 * slots)
    assert report.single.ended is Ended.FLAT
    assert len(report.steps) in (5, 6)
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
