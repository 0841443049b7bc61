"""What the supervisor does next: a pure function of what should be, what is, and the time."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from stack.balancer.config import BalancerConfig, BalancerReplica
from stack.process.state import Actual, ActualReplica, Desired, Phase, Stage

FIRST_BACK_OFF: Final = 0.5
LONGEST_BACK_OFF: Final = 30.0
STABLE_SECONDS: Final = 60.0
END_SECONDS: Final = 10.0
"""From the polite signal to the one that can't be ignored."""
UNANSWERED_SECONDS: Final = 5.0
"""A busy replica is not a dead one: so long it may say nothing before it is called unhealthy."""
DRAIN_SETTLE_SECONDS: Final = 0.4
"""From taking a replica out of the balancer to telling it to drain."""


class Deed(StrEnum):
    """What is to be done to a replica."""

    START = "start"
    TAKE_OUT = "take out"
    ASK_DRAIN = "ask drain"
    END = "end"
    KILL = "kill"
    FORGET = "forget"


@dataclass(frozen=True)
class Action:
    """One deed; ``generation`` matters for START, ``deadline`` (monotonic) for TAKE_OUT."""

    deed: Deed
    name: str
    generation: int = 0
    deadline: float = 0.0


def back_off(failures: int) -> float:
    """Return the seconds to wait before start number ``failures`` + 1."""
    return float(min(LONGEST_BACK_OFF, FIRST_BACK_OFF * 2 ** min(max(failures - 1, 0), 16)))


def plan(
    desired: Desired, actual: Actual, open_connections: dict[str, int] | None, now: float
) -> list[Action]:
    """Return what to do to the replicas now.

    ``open_connections`` is what the balancer counts per replica; None when it does not answer.
    """
    up = desired.phase is Phase.UP
    wanted = {each.name: each for each in desired.replicas} if up else {}
    actions: list[Action] = []
    present: set[str] = set()
    for replica in actual.replicas:
        want = wanted.get(replica.name)
        if want is not None and want.generation == replica.generation:
            present.add(replica.name)
            if replica.stage is Stage.GONE and _due(replica.next_start, now):
                actions.append(Action(Deed.START, replica.name, want.generation))
            continue
        gentle = up or desired.drain
        action = _farewell(replica, desired, open_connections, now, gentle=gentle)
        if action is not None:
            actions.append(action)
        if action is None or action.deed is not Deed.FORGET:
            present.add(replica.name)
    actions.extend(
        Action(Deed.START, name, want.generation)
        for name, want in wanted.items()
        if name not in present
    )
    return actions


def _due(moment: float | None, now: float) -> bool:
    # Moments outlive a reboot on disk, and the clock starts anew then.
    return moment is None or now >= moment or moment - now > LONGEST_BACK_OFF


def _farewell(
    replica: ActualReplica,
    desired: Desired,
    open_connections: dict[str, int] | None,
    now: float,
    *,
    gentle: bool,
) -> Action | None:
    match replica.stage:
        case Stage.GONE:
            return Action(Deed.FORGET, replica.name)
        case Stage.RUNNING:
            if not gentle or not replica.ever_ready:
                return Action(Deed.END, replica.name)
            return Action(Deed.TAKE_OUT, replica.name, deadline=now + desired.spec.drain_timeout)
        case Stage.DRAINING:
            if not gentle or now >= (replica.deadline or 0.0):
                return Action(Deed.END, replica.name)
            if not replica.drain_asked:
                settled = now - replica.stage_since >= DRAIN_SETTLE_SECONDS
                return Action(Deed.ASK_DRAIN, replica.name) if settled else None
            return Action(Deed.END, replica.name) if _empty(replica, open_connections) else None
        case Stage.ENDING:
            overdue = now >= (replica.deadline or 0.0)
            return Action(Deed.KILL, replica.name) if overdue else None


def _empty(replica: ActualReplica, open_connections: dict[str, int] | None) -> bool:
    """Tell whether nobody uses it; who doesn't answer has no say, and silence proves nothing."""
    counts = [replica.sessions]
    if open_connections is not None:
        counts.append(open_connections.get(replica.name, 0))
    known = [count for count in counts if count is not None]
    return bool(known) and not any(known)


def balancer_config(desired: Desired, actual: Actual, now: float) -> BalancerConfig:
    """Return the config that the balancer should use; its revision is left at 0."""
    kept = {each.name: each.generation for each in desired.replicas}
    replicas = []
    for replica in actual.replicas:
        if replica.stage not in (Stage.RUNNING, Stage.DRAINING):
            continue
        silent = replica.unanswered_since
        replicas.append(
            BalancerReplica(
                name=replica.name,
                address=replica.address,
                enabled=replica.stage is Stage.RUNNING
                and desired.phase is Phase.UP
                and kept.get(replica.name) == replica.generation
                and replica.ready
                and not replica.reported_draining,
                suspect=silent is not None and now - silent >= UNANSWERED_SECONDS,
            )
        )
    return BalancerConfig(
        host=desired.spec.balancer.host,
        port=desired.balancer_port,
        strategy=desired.spec.balancer.strategy,
        replicas=tuple(replicas),
    )
