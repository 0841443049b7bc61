"""The stack's lines by width, and what operations are said to cost. Pure."""

import pytest

from console.live import Live
from console.pressing import MOST, Presses
from console.rendering.losing import lost, model_plan, scale_plan, strategy_plan, what_becomes
from console.rendering.stack_lines import progress_line, seconds_text, stack_line
from stack.spec import ReplicaSpec, StackSpec
from stack.status import (
    BalancerStatus,
    ReplicaSample,
    ReplicaState,
    ReplicaStatus,
    StackState,
    StackStatus,
)

NOW = 1_000_000.0


def live(
    *states: ReplicaState, model: str = "offline", name: str = "default", **more: object
) -> Live:
    replicas = tuple(
        ReplicaStatus(name=f"replica-{n}", state=state, address="127.0.0.1:1", since=NOW - 5)
        for n, state in enumerate(states, start=1)
    )
    status = StackStatus(
        name=name,
        state=StackState.READY,
        spec=StackSpec(name=name, replicas=len(states), replica=ReplicaSpec(model=model)),
        replicas=replicas,
        balancer=BalancerStatus(address="127.0.0.1:8990", alive=True),
        supervised=True,
    )
    samples = {one.name: ReplicaSample(sessions=n) for n, one in enumerate(replicas, start=1)}
    return Live(status, samples, **more)  # type: ignore[arg-type]


READY = ReplicaState.READY


@pytest.mark.parametrize("width", [60, 78, 100, 138, 248])
@pytest.mark.parametrize(
    "model", ["offline", "large-v3", "/srv/models/somebody/whisper-large-v3-turbo-ct2"]
)
def test_what_matters_is_there_at_every_width(width: int, model: str) -> None:
    line = stack_line(live(READY, READY, model=model), width).plain
    assert len(line) <= width
    for expected in ("default", "ready", "2/2", "3 sessions"):
        assert expected in line
    assert model.rpartition("/")[2][:8] in line
    if width >= 138:
        assert "ws://127.0.0.1:8990" in line
        assert "least connections" in line


def test_a_long_name_and_a_long_model_share_what_room_there_is() -> None:
    shown = live(READY, model="distil-large-v3.5-something-long", name="a" * 32)
    line = stack_line(shown, 78).plain
    assert len(line) <= 78
    assert "…" in line
    assert "1 session  distil-" in line


def test_sessions_nobody_knows_are_no_zero() -> None:
    shown = live(READY)
    unknown = Live(shown.status, {"replica-1": ReplicaSample()})
    assert "– sessions" in stack_line(unknown, 78).plain


def test_the_wanted_number_stands_beside_the_real_one() -> None:
    assert "2/5" in stack_line(live(READY, READY, wanted=5), 78).plain


def test_what_goes_on_is_said_with_its_time() -> None:
    assert progress_line(live(READY), 78, NOW) is None
    starting = progress_line(live(READY, ReplicaState.STARTING), 78, NOW)
    assert starting is not None
    assert "replica-2 is started 5 s" in starting.plain
    busy = live(READY, busy="scaling to 2", busy_since=NOW - 65, way_back="esc goes back to 1")
    line = progress_line(busy, 78, NOW)
    assert line is not None
    assert line.plain == "◐ scaling to 2 1 min 5 s (esc goes back to 1)"
    trouble = progress_line(live(READY, trouble="Gone.", trouble_since=NOW - 3), 78, NOW)
    assert trouble is not None
    assert trouble.plain == "▲ no answer for 3 s: Gone."
    quick = live(READY, busy="killing replica-1", busy_since=NOW - 0.1)
    assert progress_line(quick, 78, NOW) is None, "most are over before anybody could read it"
    many = progress_line(live(*[ReplicaState.STARTING] * 5), 138, NOW)
    assert many is not None
    assert many.plain.endswith("and 3 more")


def test_time_spans() -> None:
    assert [seconds_text(s) for s in (-1, 8.9, 60, 125, 3720)] == [
        "0 s",
        "8 s",
        "1 min",
        "2 min 5 s",
        "1 h 2 min",
    ]


def test_what_would_be_lost_is_counted_by_replica() -> None:
    shown = live(READY, READY, ReplicaState.STARTING)
    found = lost(shown.status, shown.samples)
    assert found.total == 3, "one that starts has none"
    assert found.phrase == "3 open sessions (1 on replica-1, 2 on replica-2)"
    assert not lost(shown.status, {"replica-1": ReplicaSample(sessions=0)}, ["replica-1"])
    unknown = lost(shown.status, {}, ["replica-2"])
    assert unknown, "what nobody knows can be lost"
    assert unknown.phrase == "an unknown number of sessions on replica-2"
    one = lost(shown.status, shown.samples, ["replica-1"])
    assert what_becomes(one, 30) == (
        "1 open session on replica-1 may go on there for 30 s at most; what lasts longer is then "
        "ended."
    )
    assert what_becomes(one, 0) == "1 open session on replica-1 is ended at once."


def test_plans() -> None:
    shown = live(READY, READY, READY)
    assert scale_plan(shown.status, shown.samples, 3).endswith("nothing happens.")
    assert scale_plan(shown.status, shown.samples, 5).startswith("2 more replicas are started")
    fewer = scale_plan(shown.status, shown.samples, 1)
    assert fewer.startswith("replica-2 and replica-3 go. 5 open sessions (2 on replica-2, 3 on")
    plan = model_plan(shown.status, shown.samples, "small")
    assert plan.startswith("3 replicas are replaced one after another")
    assert "6 open sessions" in plan
    assert "30 s at most" in plan
    assert "nothing happens" in model_plan(shown.status, shown.samples, "offline")
    assert "by ip hash at once" in strategy_plan("ip_hash", "round_robin")


def test_presses_are_bounded_and_refused_once() -> None:
    heard: list[int | None] = []
    presses = Presses(heard.append)
    said = [presses.press(1, 2, 2, 64) for _ in range(30)]
    assert presses.pending == MOST
    assert heard[-1] == 2 + MOST
    assert len([text for text in said if text]) == 1
    presses.passed_on(MOST)
    assert presses.pending == 0
    assert heard[-1] is None
    assert presses.press(1, 2 + MOST, 2, 64) == "", "said already in this burst"
    assert presses.pending == 0, "as many as may are on their way"
    down = Presses(heard.append)
    assert "Fewer than 0" in [down.press(-1, 2, 2, 64) for _ in range(3)][-1]
    assert down.pending == -2
