"""What to make of a stack's desired and actual state. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from stack.engine import StackError
from stack.spec import StackSpec
from stack.status import (
    BalancerStatus,
    ReplicaState,
    ReplicaStatus,
    StackState,
    StackStatus,
)
from stack.supervision.desired import Desired, Phase
from stack.supervision.rollout import what_goes_on
from stack.supervision.state import Part, State

BACKOFF_FIRST: Final = 0.5
BACKOFF_LONGEST: Final = 30.0
_FAILURES_OF_A_FRESH_START: Final = 2
"""Deaths before a replica was ever ready after which bringing the stack up is given up."""


def said_state(answer: Mapping[str, Any]) -> ReplicaState:
    """Read the state that a replica says of itself; nonsense is unhealthy."""
    said = str(answer.get("state"))
    known = said in {state.value for state in ReplicaState}
    return ReplicaState(said) if known else ReplicaState.UNHEALTHY


def backoff(failures: int) -> float:
    """Return the seconds to wait before the start after the ``failures``-th death in a row."""
    return float(min(BACKOFF_LONGEST, BACKOFF_FIRST * 2 ** max(0, failures - 1)))


def all_ready(desired: Desired, state: State) -> bool:
    """Tell whether every replica that should be takes sessions."""
    names = tuple(record.name for record in state.replicas)
    return (
        names == desired.replicas
        and desired.change is None
        # Only when the balancer sends sessions there, too, does a replica really take them.
        and state.balancer.alive
        and state.balancer.targets == desired.replicas
        and state.balancer.strategy in {None, desired.spec.balancer.strategy}
        and all(
            record.state is ReplicaState.READY
            and record.generation >= desired.generations.get(record.name, 0)
            and record.kills >= desired.kills.get(record.name, 0)
            for record in state.replicas
        )
    )


def give_up_on_deaths(state: State) -> None:
    """Raise StackError when a part dies again and again before it was ever ready."""
    for record in state.replicas:
        if record.failures >= _FAILURES_OF_A_FRESH_START:
            reason = record.detail or "it wrote nothing"
            raise StackError(f"{record.name} can't be started: {reason}")
    if state.balancer.restarts >= _FAILURES_OF_A_FRESH_START and not state.balancer.alive:
        text = next((e.text for e in reversed(state.events) if e.subject == "balancer"), "")
        raise StackError(f"The balancer can't be started: {text}")


def stack_state(
    desired: Desired, replicas: tuple[ReplicaStatus, ...], balancer: BalancerStatus
) -> StackState:
    """Give the state of the stack as a whole."""
    if desired.phase is Phase.DOWN:
        return StackState.STOPPING
    ready = {replica.name for replica in replicas if replica.state is ReplicaState.READY}
    if balancer.alive and set(desired.replicas) <= ready:
        return StackState.READY
    starting = any(replica.state is ReplicaState.STARTING for replica in replicas)
    if not ready and (starting or not replicas):
        return StackState.STARTING
    return StackState.DEGRADED


def status_of(
    desired: Desired, state: State, pid: Callable[[Part | None], int | None], *, supervised: bool
) -> StackStatus:
    """Put the status together; ``pid`` gives a part's process id, where it has one."""
    replicas = tuple(
        ReplicaStatus(
            name=record.name,
            state=record.state,
            address=record.address or "",
            pid=pid(record.part),
            started_at=record.started_at,
            restarts=record.restarts,
            detail=record.detail,
            model=record.model,
            since=record.since,
            deadline=record.deadline,
            wanted=record.name in desired.names,
        )
        for record in state.replicas
    )
    spec = desired.spec
    balancer = BalancerStatus(
        address=f"{spec.balancer.host}:{spec.balancer.port}",
        alive=state.balancer.alive,
        pid=pid(state.balancer.part),
        restarts=state.balancer.restarts,
    )
    return StackStatus(
        name=spec.name,
        state=stack_state(desired, replicas, balancer),
        spec=spec,
        replicas=replicas,
        balancer=balancer,
        supervised=supervised,
        events=tuple(state.events),
        doing="" if desired.phase is Phase.DOWN else what_goes_on(desired),
        problem=desired.problem,
    )


def differences(running: StackSpec, wanted: StackSpec) -> str:
    """Say in what a running stack differs from a wanted one."""
    there, asked = _flat(running), _flat(wanted)
    return ", ".join(
        f"{name} {there[name]} instead of {asked.get(name)}"
        for name in there
        if asked.get(name) != there[name]
    )


def _flat(spec: StackSpec) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in spec.model_dump(mode="json").items():
        if isinstance(value, dict):
            flat |= {f"{name} {key}".replace("_", " "): inner for key, inner in value.items()}
        else:
            flat[name.replace("_", " ")] = value
    return flat
