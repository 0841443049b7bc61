"""The search for the capacity, against a server whose capacity is known."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from loadtest.calibration.sink import Sink, serving
from loadtest.capacity import Largest
from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.plan import LoadPlan, Slo
from loadtest.verdict import capacity_verdict, clients_text

# What the sink says is no text of the clips.
SLO = Slo(wer_over_baseline=None)


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with serving(Sink(delay=0.1, step=0.25)) as server:
        yield server


@pytest.mark.parametrize(("limit", "cap"), [(3, 16), (1, 16), (4, 4)])
async def test_a_search_finds_the_known_capacity_exactly(
    sink: Sink, make_plan: Callable[..., LoadPlan], limit: int, cap: int
) -> None:
    sink.limit = limit
    plan = make_plan(clients=(1,), find_capacity=cap, port=sink.port, duration=0.6, slo=SLO)
    controller = LoadController(plan)
    runs = [event.run async for event in controller.run() if isinstance(event, StepFinished)]
    assert controller.capacity == Largest(limit, capped=limit == cap)
    counts = [run.test_configuration.num_clients for run in runs]
    assert counts[-1] == limit
    assert counts.count(limit) == 2
    assert runs[-1].summary.average_audio_duration > 1.5 * runs[0].summary.average_audio_duration
    verdict = capacity_verdict(runs, controller.capacity)
    assert verdict.passed
    assert f"Capacity: {clients_text(limit)} met the SLO in 2 runs" in verdict.sentence
    if limit < cap:
        assert f"{limit + 1} clients did not: 1 of {limit + 1} sessions failed" in verdict.sentence
    else:
        assert "nothing larger was tried" in verdict.sentence
    assert all(run.test_configuration.steps is None for run in runs)


@pytest.mark.alone
async def test_two_searches_on_one_server_find_about_the_same(
    make_plan: Callable[..., LoadPlan],
) -> None:
    # Two answers a second and client, 50 a second in all: room for 25 clients.
    async def found() -> int:
        async with serving(Sink(delay=0.05, step=0.5, service=0.02)) as sink:
            slo = Slo(p95_latency=0.5, wer_over_baseline=None)
            plan = make_plan(clients=(10,), find_capacity=60, port=sink.port, duration=6.0, slo=slo)
            controller = LoadController(plan)
            async for _ in controller.run():
                pass
        assert controller.capacity is not None
        assert controller.capacity.clients is not None
        return controller.capacity.clients

    one, other = await asyncio.gather(found(), found())
    # Runs of six seconds, on a machine that does other things, too: no closer than a fifth.
    assert abs(one - other) <= 5
    assert min(one, other) >= 20
    assert max(one, other) <= 30


async def test_a_search_that_finds_nothing_says_why(
    sink: Sink, make_plan: Callable[..., LoadPlan]
) -> None:
    sink.limit = 0
    plan = make_plan(clients=(1,), find_capacity=8, port=sink.port, duration=0.6, slo=SLO)
    controller = LoadController(plan)
    runs = [event.run async for event in controller.run() if isinstance(event, StepFinished)]
    assert controller.capacity == Largest(None)
    verdict = capacity_verdict(runs, controller.capacity)
    assert not verdict.passed
    assert "Not even 1 client met the SLO" in verdict.sentence
