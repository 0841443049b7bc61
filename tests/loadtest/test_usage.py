"""What each part used over a step: means of the plateau, peaks of the whole step."""

import pytest

from loadtest.runfile import TimelineRow
from loadtest.usage import PartKind, PartUse, part_uses
from stack.status import BalancerSample, GpuSample, MachineSample, ReplicaSample


def row(second: int, **values: object) -> TimelineRow:
    return TimelineRow.model_validate({"time": float(second), "sessions": 2, **values})


def uses(rows: list[TimelineRow], full: list[TimelineRow] | None = None) -> dict[str, PartUse]:
    return {part.name: part for part in part_uses(rows, rows if full is None else full)}


def test_the_mean_is_of_the_plateau_and_the_peak_of_every_second() -> None:
    rows = [
        row(second, replicas={"replica-1": ReplicaSample(cpu=cpu, queue_depth=int(10 * cpu))})
        for second, cpu in enumerate((0.9, 0.2, 0.4))
    ]
    figures = uses(rows, rows[1:])["replica-1"].figures
    assert figures["cpu"].mean == pytest.approx(0.3)
    assert (figures["cpu"].peak, figures["cpu"].seconds) == (0.9, 2)
    assert figures["queue_depth"].peak == 9
    assert figures["cpu"].p95 is None, "two seconds have no p95"


def test_what_is_unknown_is_left_out_and_counted_in_no_mean() -> None:
    rows = [
        row(1, replicas={"replica-1": ReplicaSample(cpu=0.5, missing=("service",))}),
        row(2, replicas={"replica-1": ReplicaSample(missing=("process", "service"))}),
        row(3, replicas={}),
    ]
    part = uses(rows)["replica-1"]
    assert part.figures["cpu"].mean == 0.5
    assert part.figures["cpu"].seconds == 1
    assert "memory" not in part.figures
    assert part.told["missing"] == {"service": 1.0, "process": 0.5}


def test_what_is_known_only_before_the_plateau_has_a_peak_and_no_mean() -> None:
    rows = [row(1, replicas={"replica-1": ReplicaSample(cpu=0.5)}), row(2)]
    use = uses(rows, rows[1:])["replica-1"].figures["cpu"]
    assert (use.mean, use.peak, use.seconds) == (None, 0.5, 0)


def test_a_counter_has_grown_whatever_restarts() -> None:
    def balancer(total: int | None) -> TimelineRow:
        sample = BalancerSample(requests_total=total, cpu=0.1)
        return row(0, machine=MachineSample(balancer=sample))

    part = uses([balancer(total) for total in (5, 9, None, 2, 4)])["balancer"]
    assert part.grown == {"requests_total": 4 + 2 + 2}
    assert "requests_total" not in part.figures, "the mean of a counter says nothing"


def test_machine_cards_and_generator_have_figures_of_their_own() -> None:
    card = GpuSample(index=1, name="A card", memory_used=5, throttle=("heat",))
    machine = MachineSample(cpu=0.5, cores=4, memory=100, memory_available=30, gpus=(card,))
    rows = [row(1, machine=machine, generator_cpu=0.25), row(2)]
    found = uses(rows)
    assert found["machine"].figures["memory_used"].peak == 70
    assert found["1"].kind is PartKind.GPU
    assert found["1"].label == "A card"
    assert found["1"].told["throttle"] == {"heat": 1.0}
    assert found["load generator"].figures["cpu"].mean == 0.25
    assert "balancer" not in found


def test_stages_are_figures_each() -> None:
    rows = [
        row(1, replicas={"replica-1": ReplicaSample(stage_seconds={"decode": 0.1})}),
        row(2, replicas={"replica-1": ReplicaSample(stage_seconds={"decode": 0.3})}),
    ]
    assert uses(rows)["replica-1"].figures["stage_seconds.decode"].mean == pytest.approx(0.2)


def test_replicas_come_as_people_count_them() -> None:
    sample = ReplicaSample(cpu=0.1)
    rows = [row(1, replicas={"replica-10": sample, "replica-2": sample})]
    assert list(uses(rows)) == ["replica-2", "replica-10"]


def test_percentiles_have_a_peak_and_are_never_averaged() -> None:
    rows = [
        row(second, machine=MachineSample(balancer=BalancerSample(cpu=0.1, connect_p50=value)))
        for second, value in enumerate((0.1, 0.4))
    ]
    figures = uses(rows)["balancer"].figures
    assert (figures["connect_p50"].mean, figures["connect_p50"].peak) == (None, 0.4)
    assert figures["cpu"].mean == 0.1
