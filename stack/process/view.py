"""A stack's status as people see it, from what should be and what is; pure."""

from stack.process.plan import UNANSWERED_SECONDS
from stack.process.state import Actual, ActualReplica, Desired, Phase, Stage, replica_number
from stack.spec import StackSpec
from stack.status import BalancerStatus, ReplicaState, ReplicaStatus, StackState, StackStatus


def stack_status(
    name: str,
    desired: Desired | None,
    actual: Actual,
    alive: frozenset[int],
    now: float,
) -> StackStatus:
    """Return the status; ``alive`` holds the pids whose process still is the recorded one."""
    if desired is None:
        return StackStatus(name=name, state=StackState.ABSENT)
    generations = {each.name: each.generation for each in desired.replicas}
    replicas = [_replica(each, generations, alive, now) for each in actual.replicas]
    shown = {each.name for each in replicas}
    replicas.extend(
        ReplicaStatus(name=missing, state=ReplicaState.STARTING, address="127.0.0.1:0")
        for missing in generations
        if missing not in shown
    )
    replicas.sort(key=lambda each: (replica_number(each.name), each.name))
    process = actual.balancer.process
    pid = process.pid if process is not None and process.pid in alive else None
    supervisor = actual.supervisor
    balancer = BalancerStatus(
        address=f"{desired.spec.balancer.host}:{desired.balancer_port}",
        alive=pid is not None and actual.balancer.answers,
        pid=pid,
        restarts=actual.balancer.restarts,
    )
    return StackStatus(
        name=name,
        state=_state(desired, actual, replicas, balancer),
        spec=desired.spec,
        replicas=tuple(replicas),
        balancer=balancer,
        supervised=supervisor is not None and supervisor.pid in alive,
        events=actual.events,
    )


def _state(
    desired: Desired, actual: Actual, replicas: list[ReplicaStatus], balancer: BalancerStatus
) -> StackState:
    if desired.phase is Phase.DOWN:
        return StackState.STOPPING
    ready = sum(each.state is ReplicaState.READY for each in replicas)
    if balancer.alive and ready >= len(desired.replicas):
        return StackState.READY
    wanted = {each.name for each in desired.replicas}
    ever = [each for each in actual.replicas if each.name in wanted and each.ever_ready]
    if not ever and not any(each.failures for each in actual.replicas):
        return StackState.STARTING
    return StackState.DEGRADED


def _replica(
    replica: ActualReplica, generations: dict[str, int], alive: frozenset[int], now: float
) -> ReplicaStatus:
    running = replica.process is not None and replica.process.pid in alive
    kept = generations.get(replica.name) == replica.generation
    return ReplicaStatus(
        name=replica.name,
        state=_replica_state(replica, now, running=running, kept=kept),
        address=replica.address,
        pid=replica.process.pid if replica.process is not None and running else None,
        started_at=replica.started_at or None,
        restarts=replica.restarts,
        detail=replica.detail,
    )


def _replica_state(
    replica: ActualReplica, now: float, *, running: bool, kept: bool
) -> ReplicaState:
    if replica.stage is Stage.GONE or not running:
        return ReplicaState.DEAD if kept else ReplicaState.STOPPED
    if replica.stage is not Stage.RUNNING or replica.reported_draining or not kept:
        return ReplicaState.DRAINING
    silent = replica.unanswered_since
    if silent is not None and now - silent >= UNANSWERED_SECONDS:
        return ReplicaState.UNHEALTHY
    return ReplicaState.READY if replica.ready else ReplicaState.STARTING


def differences(running: StackSpec, asked: StackSpec) -> list[str]:
    """Return what differs besides the number of replicas, as ``model: small, not offline``."""
    result: list[str] = []
    for label, ours, theirs in (
        ("replica", running.replica, asked.replica),
        ("balancer", running.balancer, asked.balancer),
    ):
        before, after = ours.model_dump(mode="json"), theirs.model_dump(mode="json")
        result.extend(
            f"{label} {key}: {before[key]}, not {after[key]}"
            for key in before
            if before[key] != after[key]
        )
    if running.drain_timeout != asked.drain_timeout:
        result.append(f"drain_timeout: {running.drain_timeout:g}, not {asked.drain_timeout:g}")
    return result
