"""What samples and steps come to, by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from loadtest.rest.failures import RestFailure
from loadtest.rest.report import Ended, RequestSample, RestStatus, RestStep
from loadtest.rest.summary import (
    ClientLoad,
    climbed_enough,
    conclude_scaling,
    conclude_single,
    efficiency,
    summarise,
)

QUIET = ClientLoad(lateness=[0.001] * 200, cpu=0.2)


def sample(index: int, start: float, latency: float, **values: Any) -> RequestSample:
    defaults = {"clip": "one.wav", "audio_duration": 2.0, "status": 200}
    return RequestSample(index=index, start=start, latency=latency, **(defaults | values))


def step(
    concurrency: int, rps: float, *, failed: int = 0, replicas: int | None = None, **values: Any
) -> RestStep:
    """A step of a hundred requests that came to this RPS."""
    good = 100 - failed
    duration = good / rps
    each = duration / 100
    samples = [
        sample(i, i * each, each, failure=RestFailure.UNAVAILABLE if i < failed else None)
        for i in range(100)
    ]
    return RestStep(
        concurrency=concurrency,
        replicas=replicas,
        status=values.pop("status", RestStatus.COMPLETED),
        started_at=datetime.now(UTC),
        warm_up=1,
        summary=summarise(samples, QUIET, cut_off=0),
        samples=samples,
    )


def test_figures_of_a_step() -> None:
    samples = [
        sample(0, 0.0, 1.0, replica="replica-1", transcript="alpha bravo", reference="Alpha, x."),
        sample(1, 0.5, 1.5, replica="replica-2"),
        sample(2, 1.0, 3.0, replica="replica-1", failure=RestFailure.BAD_GATEWAY, status=502),
        sample(3, 1.0, 2.0, failure=RestFailure.REFUSED, status=None),
    ]
    found = summarise(samples, QUIET, cut_off=1)
    assert (found.requests, found.successful, found.failed, found.cut_off) == (4, 2, 2, 1)
    assert found.failures == {RestFailure.BAD_GATEWAY: 1, RestFailure.REFUSED: 1}
    assert found.success_rate == 0.5
    assert found.duration == 4.0  # until the failed one ended, too
    assert found.rps == 0.5
    assert found.throughput == 1.0  # 4 s of audio in 4 s
    assert found.real_time_factor == pytest.approx(2.5 / 4)
    assert found.latency.count == 2
    assert found.latency.max == 1.5  # failed requests are in no latency
    assert found.latency.p95 is None  # too few samples
    assert found.wer is not None
    assert found.wer.wer == 0.5
    assert found.replicas == {"replica-1": 2, "replica-2": 1}
    assert found.unknown_replica == 1
    assert not found.client_distorted


def test_the_clock_of_a_step_starts_with_its_first_request() -> None:
    found = summarise([sample(0, 5.0, 1.0), sample(1, 5.5, 1.5)], QUIET, cut_off=0)
    assert found.duration == 2.0
    assert found.rps == 1.0


def test_nothing_measured_is_unknown() -> None:
    found = summarise([], ClientLoad(lateness=[], cpu=0.0), cut_off=3)
    assert (found.rps, found.success_rate, found.throughput) == (None, None, None)
    assert found.real_time_factor is None
    assert found.wer is None


@pytest.mark.parametrize(
    ("client", "distorted"),
    [
        (ClientLoad(lateness=[0.004] * 200, cpu=0.1), False),
        (ClientLoad(lateness=[0.006] * 200, cpu=0.1), True),
        (ClientLoad(lateness=[0.001] * 190 + [0.019] * 10, cpu=0.1), False),
        (ClientLoad(lateness=[0.001] * 190 + [0.021] * 10, cpu=0.1), True),
        (ClientLoad(lateness=[0.001] * 190 + [0.05] * 10, cpu=0.1), True),
        (ClientLoad(lateness=[0.001] * 20 + [0.05], cpu=0.1), True),  # too few for a p99
        (ClientLoad(lateness=[0.001] * 200, cpu=0.95), True),
    ],
)
def test_a_late_or_busy_client_distorts(client: ClientLoad, distorted: bool) -> None:
    samples = [sample(0, 0.0, 0.1)]
    assert summarise(samples, client, cut_off=0).client_distorted is distorted


def test_lateness_as_fine_as_a_timer_distorts_nothing() -> None:
    client = ClientLoad(lateness=[0.0015] * 200, cpu=0.1)
    assert not summarise([sample(0, 0.0, 0.004)], client, cut_off=0).client_distorted


@pytest.mark.parametrize(
    ("steps", "ended"),
    [
        ([step(1, 10)], None),
        ([step(1, 10), step(2, 20), step(4, 20.5)], None),
        ([step(1, 10), step(2, 20), step(4, 20.5), step(8, 20.9)], Ended.FLAT),
        ([step(1, 10), step(2, 9), step(4, 9)], Ended.FLAT),
        ([step(1, 10), step(2, 10), step(4, 12)], None),
        ([step(1, 10), step(2, 20, failed=1)], None),
        ([step(1, 10), step(2, 20, failed=2)], Ended.FAILING),
    ],
)
def test_when_a_ladder_is_climbed_no_further(
    steps: Sequence[RestStep], ended: Ended | None
) -> None:
    assert climbed_enough(steps, 0.99) is ended


def test_the_best_is_the_smallest_within_the_margin() -> None:
    steps = [step(1, 10), step(2, 19), step(4, 19.5), step(8, 20), step(16, 60, failed=50)]
    found = conclude_single(steps, Ended.FAILING, min_success=0.99)
    assert (found.best_concurrency, found.max_rps_concurrency) == (2, 8)
    assert found.best_rps == pytest.approx(19)
    assert found.max_rps == pytest.approx(20)
    just_under = conclude_single([step(1, 18.9), step(8, 20)], Ended.TOP, min_success=0.99)
    assert just_under.best_concurrency == 8


def test_a_step_that_was_stopped_or_failed_is_no_best() -> None:
    steps = [step(1, 10), step(2, 50, status=RestStatus.STOPPED)]
    assert conclude_single(steps, Ended.STOPPED, min_success=0.99).best_concurrency == 1
    nothing = conclude_single([step(1, 10, failed=50)], Ended.FAILING, min_success=0.99)
    assert nothing.best_concurrency is None
    assert nothing.max_rps is None


def test_efficiency_is_held_against_one_replica_wherever_it_stands() -> None:
    steps = [step(4, 30, replicas=3), step(4, 12, replicas=1), step(4, 18, replicas=2)]
    base = conclude_scaling(steps)
    assert base.base_rps == pytest.approx(12)
    assert base.base_workers == 1
    found = [efficiency(one, base) for one in steps]
    assert found == [pytest.approx(30 / 36), pytest.approx(1.0), pytest.approx(18 / 24)]


def test_without_one_replica_the_first_count_is_the_base() -> None:
    steps = [step(4, 20, replicas=2), step(4, 30, replicas=4)]
    base = conclude_scaling(steps)
    assert (base.base_rps, base.base_workers) == (pytest.approx(10), 2)
    assert [efficiency(one, base) for one in steps] == [pytest.approx(1.0), pytest.approx(0.75)]
    assert conclude_scaling([]).base_rps is None
    stopped = step(4, 30, replicas=4, status=RestStatus.STOPPED)
    assert efficiency(stopped, base) is None
