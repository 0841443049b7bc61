"""Series held against each other."""

import json
from typing import Any

import pytest
from support.runs import example_run, varied_run

from loadtest.comparison.model import Change
from loadtest.comparison.runs import compare
from loadtest.comparison.series import compare_series
from loadtest.plan import Slo
from loadtest.runfile import Run, RunStatus

SLO = Slo(p95_latency=1.0)


def series(series_id: str, factors: dict[int, float], **values: Any) -> list[Run]:
    """A run for each client count; a factor over 2 misses the SLO."""
    runs = [
        varied_run(f"{series_id}_{count}", factor, sessions=count, slo=SLO, **values)
        for count, factor in factors.items()
    ]
    for run in runs:
        run.series_id = series_id
    return runs


def test_runs_are_matched_by_client_count_and_the_rest_is_listed() -> None:
    one = series("one", {5: 1.0, 10: 1.0, 20: 3.0})
    two = series("two", {10: 0.5, 5: 1.0, 40: 3.0})
    comparison = compare_series([one, two])
    assert comparison.titles == ["one", "two"]
    assert list(comparison.matched) == [5, 10]
    assert comparison.unmatched == {20: ["A"], 40: ["B"]}
    assert comparison.matched[10].as_json() == compare([one[1], two[0]]).as_json()
    p95 = {row.name: row for row in comparison.matched[10].metrics}["latency p95"]
    assert p95.verdicts[1] is Change.BETTER


@pytest.mark.parametrize(
    ("factors", "sentence"),
    [
        ({5: 1.0, 10: 1.0, 20: 3.0}, "10 clients"),
        ({5: 1.0, 10: 1.0}, "10 clients or more, nothing larger was tried"),
        ({5: 3.0}, "no client count met the SLO"),
        (
            {5: 3.0, 10: 3.0, 20: 1.0},
            "none, as 5 clients missed the SLO, though 20 clients met it",
        ),
    ],
)
def test_the_capacity_is_the_largest_count_that_met_the_slo_below_any_that_missed_it(
    factors: dict[int, float], sentence: str
) -> None:
    comparison = compare_series([series("one", factors), series("two", {5: 1.0})])
    assert comparison.capacities[0].sentence == sentence


def test_a_count_must_meet_the_slo_in_every_run() -> None:
    once = [*series("one", {5: 1.0, 10: 1.0}), *series("one", {10: 3.0})]
    comparison = compare_series([once, series("two", {10: 1.0})])
    assert comparison.capacities[0].clients == 5
    assert comparison.warnings == [
        "A has 2 runs with 10 clients: one_10 is compared, the last whole one."
    ]


def test_of_several_runs_the_last_whole_one_is_compared() -> None:
    cut = series("one", {10: 9.0}, status=RunStatus.STOPPED)
    whole = series("one", {10: 1.0})
    whole[0].run_id = "whole"
    comparison = compare_series([[*whole, *cut], series("two", {10: 1.0})])
    assert comparison.matched[10].titles[0] == "whole"


def test_warnings_say_with_how_many_clients_unless_with_all() -> None:
    one, two = series("one", {5: 1.0, 10: 1.0}), series("two", {5: 1.0, 10: 1.0}, seed=2)
    two[1].summary.generator_distorted = True
    warnings = compare_series([one, two]).warnings
    assert "Different seeds (1; 2): the clients sent different audio." in warnings
    assert any(text.startswith("With 10 clients: B had a load generator") for text in warnings)
    other = series("two", {5: 1.0})
    other[0].test_configuration.slo = Slo(p95_latency=0.5)
    assert "different SLOs" in compare_series([one, other]).warnings[0]


def test_series_without_a_common_count_still_show_their_capacities() -> None:
    comparison = compare_series([series("one", {5: 1.0}), series("two", {6: 1.0}, seed=2)])
    assert comparison.matched == {}
    assert "no client count in common" in comparison.warnings[0]
    rows = {row.name: row.values for row in comparison.configuration}
    assert rows["clients"] == ["5", "6"]
    assert rows["seed"] == ["1", "2"]


def test_a_comparison_of_series_is_plain_data_and_needs_two() -> None:
    data = json.loads(
        json.dumps(compare_series([series("one", {5: 1.0}), series("two", {5: 1.0})]).as_json())
    )
    assert data["series"] == ["one", "two"]
    assert data["matched"]["5"]["runs"] == ["one_5", "two_5"]
    assert data["capacities"][0] == {"clients": 5, "missed": None, "met_above": []}
    with pytest.raises(ValueError, match="two"):
        compare_series([[example_run("a")]])
