"""What a plan will do, said before it is begun."""

from collections.abc import Callable

import pytest

from loadtest.outlook import duration_text, outlook, outlook_text
from loadtest.plan import LoadPlan

Plans = Callable[..., LoadPlan]


def test_a_series_is_its_steps_and_the_pauses_between(make_plan: Plans) -> None:
    plan = make_plan(clients=(2, 4, 8), duration=20.0, cool_down=1.0)
    found = outlook(plan)
    assert [step.clients for step in found.steps] == [2, 4, 8]
    assert found.steps[1].begins == pytest.approx(found.steps[0].seconds + 1.0)
    assert found.shortest == found.longest == pytest.approx(68.2, abs=0.1)
    text = outlook_text(plan, found)
    assert text == "3 steps: 2, 4 and 8 clients, 20 s each, about 1 min 8 s."


def test_a_ramp_counts_and_one_clip_each_is_as_long_as_the_longest(make_plan: Plans) -> None:
    plan = make_plan(clients=(10,), ramp=10.0)
    assert outlook(plan, 4.0).longest == pytest.approx(9.0 + 4.0 + 2.0)
    assert outlook_text(plan, outlook(plan, 4.0)).startswith("1 step: 10 clients, one clip each")
    assert "as the clips last" in outlook_text(plan, outlook(plan), clip_known=False)


def test_a_search_is_between_its_shortest_and_its_longest(make_plan: Plans) -> None:
    plan = make_plan(clients=(2,), find_capacity=60, duration=10.0, cool_down=1.0)
    found = outlook(plan)
    # Not even the first count: one step. And all counts: 2, 4, 8, 16, 32, 60, and 60 for 20 s.
    assert found.shortest == pytest.approx(12.05)
    assert found.longest > 7 * 12 + 10
    assert found.steps[-1].begins + found.steps[-1].seconds == pytest.approx(found.longest)
    text = outlook_text(plan, found)
    assert text.startswith("A search for the capacity from 2 clients up to 60, 10 s each: 12 s to ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (12.2, "12 s"), (72.4, "1 min 12 s"), (120, "2 min"), (7500, "2 h 5 min")],
)
def test_durations_are_written_for_people(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
