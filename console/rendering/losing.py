"""What an operation would cost: open sessions, by replica. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stack.status import ReplicaSample, ReplicaState, StackStatus, sessions_text

_TALKING = {ReplicaState.READY, ReplicaState.DRAINING, ReplicaState.UNHEALTHY}
"""States in which a replica can have sessions."""
_NAMED = 4
"""Replicas that a sentence names one by one."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Open sessions that an operation touches."""

    sessions: tuple[tuple[str, int], ...] = ()
    """Replica and how many it has; those without any are left out."""
    unknown: tuple[str, ...] = ()
    """Replicas that don't say how many they have."""

    def __bool__(self) -> bool:
        """Whether anything can be lost: what nobody knows can."""
        return bool(self.sessions or self.unknown)

    @property
    def total(self) -> int:
        """Sessions, of the replicas that say so."""
        return sum(count for _, count in self.sessions)

    @property
    def phrase(self) -> str:
        """Name them: ``5 open sessions (3 on replica-1, 2 on replica-2)``."""
        parts = []
        if self.sessions:
            count = sessions_text(self.total).replace(" ", " open ", 1)
            shown = [f"{number} on {name}" for name, number in self.sessions[:_NAMED]]
            if len(self.sessions) > _NAMED:
                shown.append(f"the rest on {len(self.sessions) - _NAMED} more")
            parts.append(
                f"{count} on {self.sessions[0][0]}"
                if len(self.sessions) == 1
                else f"{count} ({', '.join(shown)})"
            )
        if self.unknown:
            parts.append(f"an unknown number of sessions on {_listed(self.unknown)}")
        return " and ".join(parts) or "no open session"


def lost(
    status: StackStatus, samples: Mapping[str, ReplicaSample], names: Iterable[str] | None = None
) -> Lost:
    """Count the open sessions of these replicas, or of all."""
    wanted = None if names is None else set(names)
    sessions, unknown = [], []
    for replica in status.replicas:
        if replica.state not in _TALKING or (wanted is not None and replica.name not in wanted):
            continue
        count = samples.get(replica.name, ReplicaSample()).sessions
        if count is None:
            unknown.append(replica.name)
        elif count:
            sessions.append((replica.name, count))
    return Lost(tuple(sessions), tuple(unknown))


def going_first(status: StackStatus, fewer: int) -> list[str]:
    """Return the replicas that go when there are to be so many fewer: the last."""
    staying = [replica.name for replica in status.replicas if replica.wanted]
    return staying[len(staying) - fewer :] if fewer > 0 else []


def _listed(names: Iterable[str]) -> str:
    first, *rest = names
    return f"{first} and {len(rest)} more" if len(rest) > 1 else " and ".join([first, *rest])


def what_becomes(found: Lost, seconds: float) -> str:
    """Say what becomes of sessions whose replica drains."""
    if not found:
        return "No session is open there: nothing is lost."
    one = found.total == 1 and not found.unknown
    phrase = found.phrase[0].upper() + found.phrase[1:]
    if not seconds:
        return f"{phrase} {'is' if one else 'are'} ended at once."
    return f"{phrase} may go on there for {seconds:g} s at most; what lasts longer is then ended."


def scale_plan(status: StackStatus, samples: Mapping[str, ReplicaSample], wanted: int) -> str:
    """Say what happens when the stack is to have so many replicas."""
    if status.spec is None:
        return ""
    more = wanted - status.spec.replicas
    if more == 0:
        return "So many there are already: nothing happens."
    if more > 0:
        noun = "replica is" if more == 1 else "replicas are"
        return f"{more} more {noun} started, and take sessions when they are warm."
    names = going_first(status, -more)
    verb = "goes" if len(names) == 1 else "go"
    becomes = what_becomes(lost(status, samples, names), status.spec.drain_timeout)
    return f"{_listed(names)} {verb}. {becomes}"


def model_plan(status: StackStatus, samples: Mapping[str, ReplicaSample], model: str) -> str:
    """Say what happens when the replicas are to run another model."""
    if status.spec is None or not model:
        return "Name a model."
    if model == status.spec.replica.model:
        return "The stack runs this model already: nothing happens."
    count = status.spec.replicas
    if not count:
        return "No replica runs: the next ones are started with it."
    how = (
        "1 replica is replaced"
        if count == 1
        else (f"{count} replicas are replaced one after another")
    )
    return (
        f"{how}: the new one is warm before the old one drains, so there must be memory for one "
        f"more meanwhile. {what_becomes(lost(status, samples), status.spec.drain_timeout)}"
    )


def strategy_plan(strategy: str, running: str) -> str:
    """Say what happens when the balancer is to choose another way."""
    if strategy == running:
        return "The balancer chooses like this already: nothing happens."
    words = strategy.replace("_", " ")
    return f"New sessions are spread by {words} at once. Open ones stay where they are."
