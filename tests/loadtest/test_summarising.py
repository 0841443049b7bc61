"""What samples and timelines come to."""

import pytest

from loadtest.runfile import TimelineRow
from loadtest.summarising import resources, spreads, together
from stack.status import ReplicaSample


def test_resources_are_summarised_over_the_timeline() -> None:
    rows = [
        TimelineRow(
            time=float(second),
            sessions=1,
            replicas={
                "replica-1": ReplicaSample(
                    cpu=second / 10,
                    memory=second,
                    gpu_memory=10 * second,
                    gpu_utilisation=0.5,
                    sessions=second,
                    queue_depth=second,
                ),
                "replica-2": ReplicaSample(),
            },
        )
        for second in range(1, 5)
    ]
    found = resources(rows)
    assert found["replica-1"].cpu_mean == pytest.approx(0.25)
    assert found["replica-1"].memory_peak == 4
    assert found["replica-1"].gpu_memory_peak == 40
    assert found["replica-1"].sessions_peak == 4
    # Unknown stays unknown.
    assert found["replica-2"].cpu_mean is None
    assert found["replica-2"].memory_peak is None


def test_what_replicas_use_together_is_added_up_second_by_second() -> None:
    def row(second: float, **samples: ReplicaSample) -> TimelineRow:
        return TimelineRow(time=second, sessions=1, replicas=samples)

    rows = [
        row(1.0, a=ReplicaSample(cpu=0.9, gpu_memory=100), b=ReplicaSample(cpu=0.1)),
        row(2.0, a=ReplicaSample(cpu=0.1), b=ReplicaSample(cpu=0.8, gpu_memory=50)),
        row(3.0),
    ]
    # The peaks of 0.9 and 0.8 never came together.
    assert together(rows, "cpu") == pytest.approx([1.0, 0.9])
    shared = {"gpu_memory": 100, "gpu_memory_shared": True, "gpu_shared": True}
    card = row(1.0, a=ReplicaSample(**shared), b=ReplicaSample(**shared))
    assert together([card], "gpu_memory") == [100.0]


def test_every_figure_of_a_sample_is_summarised() -> None:
    samples = [ReplicaSample(cpu=0.1 * n, queue_depth=n, gpu_shared=True) for n in range(21)]
    found = spreads(samples)
    assert set(found) == {"cpu", "queue_depth"}
    assert found["queue_depth"].peak == 20
    assert found["queue_depth"].mean == 10
    assert found["queue_depth"].p95 == pytest.approx(19)
    assert spreads(samples[:5])["cpu"].p95 is None
    assert spreads([]) == {}
