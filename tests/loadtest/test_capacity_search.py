"""The search for the capacity, against a server whose capacity is known."""

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
