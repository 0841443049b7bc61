"""What a change of the model makes of the desired state, and what is due next. Pure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.engine import StackError
from stack.spec import StackSpec, Strategy
from stack.status import ReplicaState
from stack.supervision.desired import Desired
from stack.supervision.rollout import next_move, what_goes_on
from stack.supervision.state import BalancerRecord, ReplicaRecord, State


def desired(count: int = 2) -> Desired:
    return Desired(spec=StackSpec(replicas=0), replicas=()).with_count(count)


def state(names: tuple[str, ...], **changes: dict[str, Any]) -> State:
    """All of these take sessions, but for what is said of single ones."""
    records = [
        ReplicaRecord(name=name, state=ReplicaState.READY, port=1).model_copy(
            update=changes.get(name.replace("-", "_"), {})
        )
        for name in names
    ]
    return State(replicas=records, balancer=BalancerRecord(alive=True, targets=names))


def after(now: Desired, seen: State) -> Desired:
    move = next_move(now, seen)
    assert move is not None
    return move[0](now)


def test_a_change_keeps_as_many_as_were_asked_for() -> None:
    now = desired().with_model("small")
    assert now.replicas == now.outdated == ("replica-1", "replica-2")
    assert now.spec_of("replica-1").replica.model == "offline"
    now = after(now, state(now.names))
    assert now.names == ("replica-1", "replica-2", "replica-3")
    assert now.spec.replicas == 2
    assert now.spec_of("replica-3").replica.model == "small"
    assert what_goes_on(now) == "changing to model 'small', 0 of 2 replaced"
    assert next_move(now, state(("replica-1", "replica-2"))) is None, "it is awaited"
    starting = {"replica_3": {"state": ReplicaState.STARTING}}
    assert next_move(now, state(now.names, **starting)) is None
    now = after(now, state(now.names))
    assert now.replicas == now.names == ("replica-2", "replica-3")
    assert next_move(now, state(("replica-1", *now.names))) is None, "the old one still drains"
    now = after(now, state(now.names))
    assert now.names == ("replica-1", "replica-2", "replica-3")
    now = after(now, state(now.names))
    assert now.replicas == ("replica-1", "replica-3")
    assert now.change is None
    assert what_goes_on(now) == ""


def test_a_replica_the_balancer_does_not_send_to_is_not_there_yet() -> None:
    now = desired(1).with_model("small").with_coming(())
    seen = state(now.names)
    seen.balancer.targets = ("replica-1",)
    assert next_move(now, seen) is None


def test_a_model_that_does_not_start_is_given_up_and_the_others_go_back() -> None:
    now = desired().with_model("small").with_coming(()).with_arrived().with_coming(())
    dead = {"replica_1": {"state": ReplicaState.DEAD, "failures": 2, "detail": "No room."}}
    now = after(now, state(now.names, **dead))
    assert now.spec.replica.model == "offline"
    assert "can't be started with 'small' (No room)." in now.problem
    assert now.outdated == ("replica-3",)
    assert now.spec_of("replica-3").replica.model == "small"
    assert now.spec_of("replica-2").replica.model == "offline"
    now = now.with_coming(())
    dead = {"replica_1": {"state": ReplicaState.DEAD, "failures": 9}}
    assert next_move(now, state(now.names, **dead)) is None, "on the way back nobody gives up"


def test_scaling_and_draining_in_the_middle_of_a_change() -> None:
    now = desired(3).with_model("small").with_coming(())
    fewer = now.with_count(1)
    assert fewer.outdated == ("replica-1",)
    more = now.with_count(4)
    assert more.replicas == ("replica-1", "replica-2", "replica-3", "replica-5"), "not the coming"
    assert more.spec_of("replica-5").replica.model == "small"
    none = now.with_count(0)
    assert after(none, state(())).change is None


def test_the_way_back_and_no_third_way() -> None:
    now = desired().with_model("small").with_coming(()).with_arrived()
    assert now.with_model("small") == now
    with pytest.raises(StackError, match="wait until it has"):
        now.with_model("medium")
    back = now.with_model("offline")
    assert back.spec.replica.model == "offline"
    assert back.outdated == ("replica-3",)
    assert desired().with_model("small").with_model("offline").change is None
    assert desired(0).with_model("small").change is None
    with_problem = desired().model_copy(update={"problem": "It was so."})
    assert with_problem.with_model("offline").problem == ""


@given(st.lists(st.sampled_from(["step", "more", "fewer", "back", "there"]), max_size=25))
def test_whatever_is_asked_the_count_and_the_models_agree(asked: list[str]) -> None:
    now = desired(2).with_model("small")
    wanted = 2
    for each in asked:
        if each in {"more", "fewer"}:
            wanted = max(0, min(5, wanted + (1 if each == "more" else -1)))
            now = now.with_count(wanted)
        elif each == "step":
            move = next_move(now, state(now.names))
            now = move[0](now) if move is not None else now
        else:
            now = now.with_model("offline" if each == "back" else "small")
        assert len(now.replicas) == now.spec.replicas == wanted
        assert len(set(now.names)) == len(now.names) <= wanted + 1
        models = {now.spec_of(name).replica.model for name in now.replicas}
        assert models <= {"offline", "small"}
        if now.change is None and now.replicas:
            assert models == {now.spec.replica.model}


def test_what_an_earlier_version_wrote_is_read() -> None:
    known = {"spec", "phase", "replicas", "generations", "drain_on_down"}
    earlier = desired().with_restart("replica-1").model_dump_json(include=known)
    read = Desired.model_validate_json(earlier)
    assert read.names == ("replica-1", "replica-2")
    assert read.change is None
    assert read.generations == {"replica-1": 1}


def test_a_strategy_is_part_of_the_spec() -> None:
    now = desired().with_strategy(Strategy.IP_HASH)
    assert now.spec.balancer.strategy is Strategy.IP_HASH
    assert now.change is None
