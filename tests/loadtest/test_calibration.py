"""The generator's figures against a server whose delays are known."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.runs import example_run

from loadtest.calibration.measuring import Measured, SinkSettings, measure, sink_process
from loadtest.calibration.record import Calibration, load, save
from loadtest.calibration.search import (
    MAX_ERROR,
    MAX_SLIP,
    CalibrationPlan,
    calibrate,
    judge,
)
from loadtest.calibration.sink import Sink
from loadtest.controller import LoadController
from loadtest.events import StepFinished, StepProgress
from loadtest.plan import LoadPlan
from loadtest.runfile import Run
from loadtest.target import TargetFacts
from loadtest.verdict import generator_notes
from test_audio import CLIPS_DIRECTORY

TRIES = 4
"""What is shown is that the generator can be exact, not that nobody else ever uses this machine."""


async def best_of(settings: SinkSettings, *, clients: int, seconds: float) -> Measured:
    """Measure until it is free of distortion, or a few times."""
    measured = None
    for _ in range(TRIES):
        measured = await measure(
            clients, settings, audio=CLIPS_DIRECTORY, seconds=seconds, chunk=0.1
        )
        if not judge(measured, settings.delay).problems:
            break
    assert measured is not None
    return measured


@pytest.mark.parametrize("delay", [0.05, 0.2, 1.0])
async def test_200_clients_report_the_delay_that_was_injected(delay: float) -> None:
    measured = await best_of(SinkSettings(delay=delay), clients=200, seconds=5.0)
    latency, slip = measured.run.summary.latency, measured.run.summary.slip
    assert measured.run.summary.successful_clients == 200
    assert latency.count >= 900
    for reported in (latency.median, latency.p95):
        assert reported is not None
        assert abs(reported - delay) < MAX_ERROR
    assert slip.p99 is not None
    assert slip.p99 < MAX_SLIP
    # The injected delay is really there: nothing is ever reported faster.
    assert latency.min is not None
    assert latency.min >= delay


async def test_a_spread_of_delays_comes_out_as_it_went_in() -> None:
    settings = SinkSettings(delay=0.3, jitter=0.2, step=0.5)
    measured = await best_of(settings, clients=40, seconds=5.0)
    for name in ("median", "p95", "p99"):
        error = measured.error(name)
        assert error is not None
        assert abs(error) < MAX_ERROR
    # Even from 0.1 to 0.5 s: the median in the middle, p95 nine tenths of the way up.
    assert measured.run.summary.latency.median == pytest.approx(0.3, abs=0.04)
    assert measured.run.summary.latency.p95 == pytest.approx(0.48, abs=0.03)


async def test_a_change_in_the_middle_shows_in_the_timeline_when_it_comes() -> None:
    settings = SinkSettings(delay=0.1, step=0.25, change=(4.0, 0.8))
    measured = await best_of(settings, clients=10, seconds=12.0)
    rows = measured.run.timeline
    before = [row.latency_p50 for row in rows if 2.0 <= row.time <= 4.5]
    after = [row.latency_p50 for row in rows if 10.5 <= row.time <= 12.0]
    assert all(value is not None and value < 0.3 for value in before)
    assert after
    assert all(value is not None and value > 0.7 for value in after)
    samples = np.array([s for client in measured.run.clients for s in client.latency_samples])
    # 16 of 48 updates a client were quick: both kinds are there in their numbers.
    assert 0.25 < float((samples < 0.45).mean()) < 0.42


@asynccontextmanager
async def starving(running: Callable[[], list[psutil.Process]]) -> AsyncIterator[None]:
    """Keep processes from the CPU four fifths of the time."""

    def tell(number: int) -> None:
        for process in running():
            with suppress(psutil.NoSuchProcess):
                os.kill(process.pid, number)

    async def starve() -> None:
        try:
            while True:
                tell(signal.SIGSTOP)
                await asyncio.sleep(0.2)
                tell(signal.SIGCONT)
                await asyncio.sleep(0.05)
        finally:
            tell(signal.SIGCONT)

    task = asyncio.create_task(starve())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_generator_without_cpu_says_so_instead_of_blaming_the_server(
    make_plan: Callable[..., LoadPlan],
) -> None:
    def generators() -> list[psutil.Process]:
        return [
            child
            for child in psutil.Process().children()
            if "loadtest.generator" in " ".join(child.cmdline())
        ]

    run: Run | None = None
    async with sink_process(SinkSettings(delay=0.02, step=0.25)) as sink:
        plan = make_plan(clients=(20,), port=sink.port, duration=4.0, slo={"p95_latency": 0.1})
        async for event in LoadController(plan).run():
            if isinstance(event, StepProgress) and event.elapsed < 1.5:
                starved = starving(generators)
                await starved.__aenter__()
            if isinstance(event, StepFinished):
                await starved.__aexit__(None, None, None)
                run = event.run
    assert run is not None
    assert run.summary.generator_distorted
    assert run.summary.slo is not None
    assert not run.summary.slo.met
    assert "load generator itself was late" in run.summary.slo.reasons[0]
    assert "they are not the server's" in generator_notes(run)[0]
    # The truth was 20 ms; what is reported instead is the generator's, and the slip says so.
    assert run.summary.slip.p99 is not None
    assert run.summary.slip.p99 > 0.1
    assert run.summary.latency.p95 is not None
    assert run.summary.latency.p95 > 0.1


async def test_a_small_calibration_from_end_to_end(tmp_path: Path) -> None:
    plan = CalibrationPlan(CLIPS_DIRECTORY, max_clients=4, seconds=1.5, chunk=0.1)
    events = [event async for event in calibrate(plan, {"cores": 2})]
    found = events[-1]
    assert isinstance(found, Calibration)
    # Two runs at the cap, and one at each other delay, unless the machine was too busy.
    assert len(found.steps) == len(events) - 1
    assert [step.clients for step in found.steps][:1] == [4]
    if found.clients:
        assert found.capped
        assert {step.delay for step in found.steps} == {0.05, 0.2, 1.0}
    save(found, tmp_path / "calibration.json")
    assert load(tmp_path / "calibration.json") == found


def example(clients: int = 100, chunk: float = 0.1) -> Calibration:
    return Calibration(
        created_at=datetime.now(UTC),
        environment={"cpu": "a", "cores": 2, "machine": "x", "whisperctl": "1", "memory": 5},
        chunk=chunk,
        clients=clients,
        capped=False,
        steps=(),
    )


def test_a_calibration_holds_for_its_machine_and_version_only() -> None:
    found = example()
    assert found.holds_for({"cpu": "a", "cores": 2, "machine": "x", "whisperctl": "1"})
    assert not found.holds_for({"cpu": "b", "cores": 2, "machine": "x", "whisperctl": "1"})
    assert not found.holds_for({"cpu": "a", "cores": 2, "machine": "x", "whisperctl": "2"})


def test_shorter_messages_allow_fewer_clients_and_longer_ones_not_more() -> None:
    assert example().clients_at(0.1) == 100
    assert example().clients_at(0.05) == 50
    assert example().clients_at(1.0) == 100


def test_a_broken_calibration_is_none(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    assert load(path) is None
    path.write_text("{")
    assert load(path) is None


async def test_runs_beyond_the_calibration_are_marked(make_plan: Callable[..., LoadPlan]) -> None:
    class Target:
        async def describe(self) -> TargetFacts:
            return TargetFacts(calibrated_clients=1)

        async def stats(self) -> dict[str, object]:
            return {}

        async def machine(self) -> None:
            return None

    async with sink_process(SinkSettings(delay=0.05)) as sink:
        plan = make_plan(clients=(1, 2), port=sink.port)
        runs = [
            event.run
            async for event in LoadController(plan, target=Target()).run()  # type: ignore[arg-type]
            if isinstance(event, StepFinished)
        ]
    assert [run.beyond_calibration for run in runs] == [False, True]
    assert runs[1].summary.calibrated_clients == 1
    assert any("2 clients are more than the 1" in note for note in generator_notes(runs[1]))


def test_a_run_without_calibration_is_not_marked() -> None:
    assert not example_run("run_1_clients_a").beyond_calibration


def test_a_sink_refuses_delays_that_could_change_places() -> None:
    with pytest.raises(ValueError, match="jitter"):
        Sink(delay=1.0, jitter=0.6, step=1.0)
