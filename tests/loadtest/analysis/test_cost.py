"""The table of what each step cost: mean and peak of every part, in units that stand beside it."""

import pytest
from support.series import gpu_series, made_step

from console.rendering.analysis import analysis_markdown
from loadtest.analysis.cost import COST_TITLE, cost_table
from loadtest.analysis.series import analyse
from loadtest.report.page import series_page
from stack.status import GpuSample, MachineSample, ReplicaSample

MIB = 2**20


def rows_of(*samples: ReplicaSample, machine: MachineSample | None = None) -> list[dict[str, str]]:
    """A step of which the last rows are after its plateau."""
    run = made_step(2, 0.2, replicas=1, seconds=len(samples))
    for row, sample in zip(run.timeline, samples, strict=True):
        row.replicas, row.machine, row.generator_cpu = {"replica-1": sample}, machine, None
    run.timeline[-1].sessions = 0
    header, rows, _ = cost_table(analyse([run]).steps, wide=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_mean_and_peak_stand_side_by_side() -> None:
    quiet = ReplicaSample(cpu=0.5, memory=100 * MIB, queue_depth=1, throttled=0.25)
    (row,) = rows_of(quiet, quiet, ReplicaSample(cpu=1.5, memory=300 * MIB, queue_depth=4))
    assert row["part"] == "replica-1"
    assert row["CPU"] == "0.50 / 1.50", "the peak after the plateau is not hidden"
    assert row["memory"] == "100 / 300"
    assert row["queue"] == "1.0 / 4.0"
    assert row["throttled"] == "0.25 / 0.25"
    assert "GPU %" not in row, "nobody knows of a card"


def test_a_shared_figure_is_marked() -> None:
    own = {"gpu_memory": 5 * MIB, "gpu_utilisation": 0.5}
    (own_row,) = rows_of(*[ReplicaSample(**own)] * 2)
    assert (own_row["GPU memory"], own_row["GPU %"]) == ("5 / 5", "50 / 50")
    shared = {"gpu_utilisation_shared": True, "gpu_shared": True}
    (row,) = rows_of(*[ReplicaSample(**own, **shared)] * 2)
    assert (row["GPU memory"], row["GPU %"]) == ("5 / 5", "50 / 50 card")
    (earlier,) = rows_of(*[ReplicaSample(**own, gpu_shared=True)] * 2)
    assert earlier["GPU memory"].endswith("card")


def test_machine_and_cards_are_in_the_units_of_their_columns() -> None:
    card = GpuSample(index=0, name="A card", memory_used=7 * MIB, utilisation=0.25, temperature=61)
    machine = MachineSample(
        cpu=0.5, cores=4, memory=10 * MIB, memory_available=4 * MIB, gpus=(card,)
    )
    _, whole, gpu = rows_of(*[ReplicaSample(cpu=0.1)] * 2, machine=machine)
    assert (whole["part"], whole["CPU"], whole["memory"]) == ("machine", "2.00 / 2.00", "6 / 6")
    assert (gpu["part"], gpu["GPU memory"], gpu["GPU %"]) == ("GPU 0", "7 / 7", "25 / 25")
    assert (gpu["memory"], gpu["°C"]) == ("–", "61 / 61")


def test_the_legend_says_what_is_there_and_nothing_else() -> None:
    steps = analyse(gpu_series()).steps
    narrow, wide = cost_table(steps), cost_table(steps, wide=True)
    assert len(narrow.header) < len(wide.header)
    assert "queue: " in narrow.legend
    assert "batch: " not in wide.legend
    assert "card: " not in wide.legend
    assert {row[0] for row in narrow.rows} == {"5", "10", "20", "30", "40"}


@pytest.mark.parametrize("page", [series_page, lambda runs: analysis_markdown(analyse(runs))])
def test_page_and_markdown_have_the_table(page: object) -> None:
    assert callable(page)
    assert COST_TITLE in page(gpu_series())
    bare = made_step(2, 0.2)
    bare.timeline = []
    assert COST_TITLE not in page([bare])


def test_the_data_has_every_figure_in_its_own_unit() -> None:
    analysis = analyse(gpu_series()).as_json()
    replica = analysis["steps"][-1]["usage"][0]
    assert replica["kind"] == "replica"
    assert replica["figures"]["gpu_memory"]["peak"] > replica["figures"]["queue_depth"]["peak"]
    assert set(replica["figures"]["cpu"]) == {"mean", "p95", "peak", "seconds"}
