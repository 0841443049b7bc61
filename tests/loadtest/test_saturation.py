"""When a step is ended early: only when nothing that is still to come could mend it."""

import asyncio
import random
from collections.abc import Callable

import pytest

from loadtest.calibration.sink import Sink, serving
from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.plan import LoadPlan, Slo
from loadtest.runfile import Run, RunStatus
from loadtest.saturation import MIN_WINDOWS, SIGNIFICANCE, SaturationWatch, rising, still_growing
from loadtest.verdict import series_verdict


def follow(
    latencies: Callable[[int], list[float]],
    *,
    seconds: int,
    slo: Slo | None = None,
    backlog: Callable[[int], float] = lambda _: 1.0,
    failed: int = 0,
    clients: int = 10,
) -> tuple[int, str] | None:
    """Play a step second by second; return when and why it was ended."""
    watch = SaturationWatch(slo or Slo(), clients=clients, ramp=2.0, expected=float(seconds))
    for second in range(1, seconds):
        watch.add(float(second), latencies(second))
        why = watch.verdict(float(second), backlog=backlog(second), failed=failed)
        if why is not None:
            return second, why
    return None


def test_a_steady_step_is_left_alone() -> None:
    chance = random.Random(1)
    assert follow(lambda _: [chance.uniform(0.2, 1.9) for _ in range(20)], seconds=600) is None


def test_latency_that_grows_beyond_the_limit_ends_it() -> None:
    # Slow enough that arithmetic alone is not certain for long: 40 minutes are still to come.
    found = follow(lambda second: [0.1 * second] * 10, seconds=2400)
    assert found is not None
    second, why = found
    assert "latency grew through the step" in why
    assert 20 <= second <= 40


def test_latency_that_grows_within_the_limit_does_not() -> None:
    assert follow(lambda second: [0.003 * second] * 10, seconds=600) is None


def test_a_hump_that_passes_does_not() -> None:
    def hump(second: int) -> list[float]:
        return [3.0 if 10 <= second < 13 else 0.5] * 10

    assert follow(hump, seconds=120) is None


def test_text_that_stops_coming_ends_it() -> None:
    found = follow(lambda _: [], seconds=600, backlog=float)
    assert found is not None
    assert "audio that waits for text grew" in found[1]


def test_a_speakers_silence_does_not() -> None:
    assert follow(lambda _: [0.5], seconds=600, backlog=lambda second: second % 6) is None


def test_more_late_updates_than_can_be_mended_end_it() -> None:
    found = follow(lambda _: [2.5] * 10, seconds=60)
    assert found is not None
    second, why = found
    assert "updates were later than 2 s" in why
    assert second < 30


def test_a_slow_start_does_not_end_a_step_that_recovers() -> None:
    # The first updates are late; during the ramp there are few of all, so that their rate says
    # little of what is still to come.
    def recovers(second: int) -> list[float]:
        return [3.0] * 2 if second <= 4 else [0.5] * 20

    watch = SaturationWatch(Slo(), clients=10, ramp=6.0, expected=30.0)
    for second in range(1, 30):
        watch.add(float(second), recovers(second))
        assert watch.verdict(float(second), backlog=1.0, failed=0) is None


def test_a_few_late_updates_do_not() -> None:
    assert follow(lambda _: [0.5] * 49 + [9.0], seconds=300) is None


def test_a_failure_too_many_ends_it() -> None:
    found = follow(lambda _: [0.5], seconds=60, failed=1)
    assert found == (1, "1 of 10 sessions failed before its end (asked 100.0%)")
    assert follow(lambda _: [0.5], seconds=60, failed=1, slo=Slo(success_rate=0.9)) is None


def test_limits_that_nobody_set_end_nothing() -> None:
    none = Slo(p95_latency=None, success_rate=None)
    assert follow(lambda second: [second], seconds=300, slo=none, failed=5) is None


def test_chance_alone_looks_like_growth_as_rarely_as_it_should() -> None:
    chance = random.Random(7)
    hits = sum(rising([chance.random() for _ in range(20)]) < 0.05 for _ in range(2000))
    # 2000 trials at 5 %: 100 are expected, with a standard deviation of 10.
    assert 60 <= hits <= 140
    assert rising(list(range(MIN_WINDOWS))) < SIGNIFICANCE
    assert rising(list(range(MIN_WINDOWS - 1))) == 1.0
    assert rising(list(range(30, 0, -1))) == 1.0


def test_only_what_still_grows_at_its_end_grows() -> None:
    assert still_growing([0.1 * number for number in range(12)], 2.0)
    # It settles down after the start.
    assert not still_growing([0.1, 0.2, 0.3, 0.4, *(0.5 + 0.001 * n for n in range(12))], 2.0)
    # So little of the limit that it matters to nobody.
    assert not still_growing([0.1 + 0.01 * number for number in range(12)], 2.0)
    # Too short to say.
    assert not still_growing([0.5, 1.0, 1.5, 2.0], 2.0)


@pytest.mark.alone
async def test_a_limit_met_only_because_the_run_ended_is_not_met(
    make_plan: Callable[..., LoadPlan],
) -> None:
    async def loaded(clients: int) -> Run:
        # Two answers a second and client, 20 a second in all: room for 10 clients.
        async with serving(Sink(delay=0.1, step=0.5, service=0.05)) as sink:
            plan = make_plan(
                clients=(clients,), port=sink.port, duration=22.0, slo={"p95_latency": 5.0}
            )
            events = [event async for event in LoadController(plan).run()]
        (run,) = [event.run for event in events if isinstance(event, StepFinished)]
        return run

    within, beyond = await asyncio.gather(loaded(8), loaded(11))
    assert within.summary.slo is not None
    assert not within.summary.latency_grew
    assert within.summary.slo.met
    # A tenth more than the server can do: after 22 s it lags two behind, and p95 is fine as yet.
    assert beyond.summary.latency.p95 is not None
    assert beyond.summary.latency.p95 < 5.0
    assert beyond.summary.latency_grew
    assert beyond.summary.slo is not None
    assert not beyond.summary.slo.met
    assert "still growing when the run ended" in beyond.summary.slo.reasons[0]


@pytest.mark.parametrize("early", [True, False])
async def test_a_hopeless_step_costs_a_part_of_its_time(
    make_plan: Callable[..., LoadPlan], early: bool
) -> None:
    async with serving(Sink(delay=1.0, step=0.25)) as sink:
        plan = make_plan(
            clients=(4,),
            port=sink.port,
            duration=12.0,
            stop_early=early,
            slo={"p95_latency": 0.5},
        )
        events = [event async for event in LoadController(plan).run()]
    (run,) = [event.run for event in events if isinstance(event, StepFinished)]
    assert run.summary.slo is not None
    assert not run.summary.slo.met
    if not early:
        assert run.status is RunStatus.COMPLETED
        assert run.summary.successful_clients == 4
        return
    assert run.status is RunStatus.STOPPED
    assert run.summary.total_duration < 11
    assert run.summary.stopped_because is not None
    assert "updates were later than 0.5 s" in run.summary.stopped_because
    # Nobody's session failed: they were cut off.
    assert run.summary.failed_clients == 0
    assert run.summary.incomplete_clients == 4
    assert "stopped early" in series_verdict([run]).sentence
