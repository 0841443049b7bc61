"""The tables of a comparison."""

from dataclasses import replace

import pytest
from support.runs import client_result, example_run

from benchmarks.figures import (
    DISTORTED,
    Figures,
    ServerResult,
    capacity_table,
    figures_of,
    figures_table,
    markdown,
    verdict,
)
from loadtest.statistics import distribution

HEADING = [
    *("server", "N", "median", "p95", "word median", "word p95", "final median", "final p95"),
    *("WER", "success", "CPU", "within limits"),
]


def figures(clients=1, p95=0.5, **values):
    return Figures(
        **(
            {
                "clients": clients,
                "latency": distribution([p95] * 20),
                "final_latency": distribution([1.25, 1.5]),
                "word_latency": distribution([0.3] * 20),
                "wer": 0.0123,
                "success": 1.0,
                "cpu_per_audio": 0.0456,
                "audio": 14.9,
                "distorted": False,
            }
            | values
        )
    )


def cells(table):
    """Return the rows of a Markdown table, heading first."""
    lines = markdown(table).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert set("".join(rows.pop(1))) == {"-"}
    assert len({len(row) for row in rows}) == 1
    return rows


def test_figures_are_taken_from_the_run():
    run = example_run(
        "run_2_clients_20260102_000000", clients=2, results=[client_result(0), client_result(1)]
    )
    taken = figures_of(run, cpu_seconds=0.5, misses=["slow"])
    assert (taken.clients, taken.success, taken.wer) == (2, 1.0, 0.0)
    assert taken.cpu_per_audio == pytest.approx(0.5 / 4)
    assert taken.latency == run.summary.latency
    assert not taken.met
    assert figures_of(run, cpu_seconds=None, misses=[]).cpu_per_audio is None


def test_a_row_for_each_measured_count_with_its_first_run():
    result = ServerResult("ours", runs={1: [figures(1)], 4: [figures(4, p95=0.7), figures(4)]})
    rest = ["0.30", "0.30", "1.38", "max 1.50", "1.2%", "100%", "0.046", "yes"]
    assert cells(figures_table([result], [1, 2, 4])) == [
        HEADING,
        ["ours", "1", "0.50", "0.50", *rest],
        ["ours", "4", "0.70", "0.70", *rest],
    ]


def test_what_is_unknown_is_a_dash():
    unknown = figures(
        latency=distribution([]),
        final_latency=distribution([]),
        word_latency=distribution([]),
        wer=None,
        success=None,
        cpu_per_audio=None,
        misses=("no latency was measured",),
    )
    row = cells(figures_table([ServerResult("ours", runs={1: [unknown]})], [1]))[1]
    assert row == ["ours", "1", *["–"] * 9, "no: no latency was measured"]


def test_a_distorted_run_does_not_count():
    late = figures(distorted=True)
    assert not late.met
    assert verdict(late) == DISTORTED


def test_the_largest_shows_the_worse_of_its_runs_and_what_came_above():
    result = ServerResult(
        "ours",
        runs={
            4: [figures(4, p95=0.7, wer=0.01), figures(4, p95=0.6, wer=0.02)],
            6: [figures(6, p95=2.5, misses=("p95 latency 2.50 s is over 2 s",))],
            8: [figures(8, misses=("slower still",))],
        },
        largest=4,
        searched=True,
    )
    heading, row = cells(capacity_table([result]))
    assert heading == ["server", "largest N", "p95", "WER", "CPU", "what ended the search"]
    assert row == ["ours", "4", "0.70", "2.0%", "0.046", "N = 6: p95 latency 2.50 s is over 2 s"]


def test_the_largest_of_all_that_were_tried_says_so():
    result = ServerResult("ours", runs={4: [figures(4)]}, largest=4, capped=True, searched=True)
    row = cells(capacity_table([result]))[1]
    assert (row[1], row[-1]) == ("≥ 4", "no larger N was tried")


def test_a_server_that_carries_nobody_has_a_largest_of_none():
    result = ServerResult("ours", runs={1: [figures(misses=("slow",))]}, searched=True)
    assert cells(capacity_table([result]))[1] == ["ours", "0", "–", "–", "–", "N = 1: slow"]


def test_a_search_that_the_generator_ended_says_so():
    result = ServerResult(
        "ours",
        runs={4: [figures(4)], 5: [figures(5, distorted=True)]},
        largest=4,
        searched=True,
    )
    assert cells(capacity_table([result]))[1][-1] == f"N = 5: {DISTORTED}"


def test_a_server_that_did_not_start_shows_why():
    result = ServerResult("ours", problem="ours ended by itself (exit code 2).")
    assert cells(capacity_table([result]))[1] == ["ours", *["–"] * 4, result.problem]
    assert len(cells(figures_table([result], [1]))) == 1


def test_a_search_that_was_stopped_says_so():
    result = ServerResult("ours", runs={4: [figures(4)]})
    assert cells(capacity_table([result]))[1] == ["ours", *["–"] * 4, "stopped before its end"]


def test_long_sentences_stay_on_one_line():
    result = ServerResult("ours", problem="why " * 500)
    assert len(markdown(capacity_table([result])).splitlines()) == 3


def test_met_needs_a_run_that_counts_and_misses_nothing():
    assert figures().met
    assert not replace(figures(), misses=("slow",)).met
