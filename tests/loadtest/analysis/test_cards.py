"""What an analysis makes of the cards' own figures."""

from typing import Any

import pytest

from loadtest.analysis.figures import step_figures
from loadtest.analysis.model import Analysis, Bottleneck
from loadtest.analysis.series import analyse
from loadtest.runfile import Run
from stack.status import GpuSample
from tests.loadtest.analysis.test_analysis import broken, step

GIB = 2**30


def card(index: int = 0, **values: Any) -> GpuSample:
    figures = {"memory": 24 * GIB, "memory_used": 6 * GIB, "utilisation": 0.5} | values
    return GpuSample(index=index, name=f"Card {index}", **figures)


def run_on(*cards: GpuSample, replica: dict[str, Any] | None = None, **values: Any) -> Run:
    """A step whose replicas are on card 0."""
    return step(
        8,
        5.0,
        replica={"gpus": (0,), "gpu_memory": GIB, "gpu_utilisation": 0.25} | (replica or {}),
        machine={"cpu": 0.2, "cores": 8, "gpus": cards},
        environment={"gpus": [{"name": "card", "memory": 24 * GIB}]},
        **values,
    )


def findings_of(found: Analysis) -> list[Bottleneck]:
    assert found.bottleneck is not None
    return [found.bottleneck.bottleneck, *(one.bottleneck for one in found.others)]


def test_a_card_that_its_replicas_fill_together_is_full() -> None:
    run = run_on(card(memory_used=int(23.5 * GIB), utilisation=0.98))
    assert findings_of(broken(run)) == [Bottleneck.GPU_UTILISATION, Bottleneck.GPU_MEMORY]
    figures = step_figures(run)
    assert figures.gpu_memory == pytest.approx(23.5 / 24), "more than the replicas' own 2 GiB"
    assert figures.gpu_utilisation == pytest.approx(0.98)


def test_a_card_that_no_replica_uses_limits_nothing() -> None:
    full = card(1, memory_used=24 * GIB, utilisation=1.0, throttle=("heat",))
    run = run_on(card(), full)
    assert findings_of(broken(run)) == [Bottleneck.UNKNOWN]
    assert [one.index for one in step_figures(run).cards] == [0]


def test_a_card_that_is_too_hot_broke_first() -> None:
    run = run_on(card(throttle=("power limit", "heat")), replica={"queue_depth": 3})
    found = broken(run)
    assert findings_of(found) == [
        Bottleneck.GPU_CLOCKS,
        Bottleneck.INFERENCE,
        Bottleneck.GPU_CLOCKS,
    ]
    assert found.bottleneck is not None
    assert found.bottleneck.sentence == (
        "GPU clocks were held back: GPU 0 (Card 0): heat 100 % of the time."
    )
    assert found.others[1].sentence.endswith("GPU 0 (Card 0): power limit 100 % of the time.")
    assert "cooling" in found.advice[0]


def test_a_clock_held_back_now_and_then_is_no_finding() -> None:
    run = run_on(card())
    for row in run.timeline[:2]:
        assert row.machine is not None
        row.machine = row.machine.model_copy(update={"gpus": (card(throttle=("heat",)),)})
    assert findings_of(broken(run)) == [Bottleneck.UNKNOWN]
    assert step_figures(run).cards[0].held_back == {"heat": pytest.approx(0.4)}


def test_clocks_as_somebody_set_them_are_no_finding() -> None:
    assert findings_of(broken(run_on(card(throttle=("clocks as set",))))) == [Bottleneck.UNKNOWN]


def test_a_card_that_was_lost_is_a_warning() -> None:
    run = run_on(card())
    gone = card(memory_used=None, utilisation=None, problem="lost")
    for row in run.timeline[3:]:
        assert row.machine is not None
        row.machine = row.machine.model_copy(update={"gpus": (gone,)})
    assert (
        "8 clients: GPU 0 (Card 0) gave no figures in 40 % of the seconds: lost."
        in analyse([run]).warnings
    )
    assert step_figures(run).gpu_memory == pytest.approx(0.25), "of the seconds that are known"


def test_runs_of_earlier_versions_are_judged_as_before() -> None:
    run = step(
        8,
        5.0,
        replica={"gpu_memory": 12 * GIB},
        environment={"gpus": [{"memory": 24 * GIB}]},
    )
    assert step_figures(run).gpu_memory == 1.0
    assert step_figures(run).cards == []
