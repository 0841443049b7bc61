"""A change of the model, step by step: what is due next. Pure but for the writing down.

A new replica is warmed up, takes the place of an old one, and that drains; then the next one. So
there is never one less that takes sessions, and never more than one more in memory.
"""

from collections.abc import Callable
from typing import Final

from stack.engine import StackError
from stack.status import ReplicaState
from stack.supervision.desired import Desired
from stack.supervision.state import ReplicaRecord, StackDirectory, State

_FAILURES: Final = 2
"""Deaths of a new replica before it was ever ready after which the new model is given up."""

Say = Callable[..., None]
"""Takes subject, text and ``severity``."""


def advance(directory: StackDirectory, desired: Desired, state: State, say: Say) -> Desired:
    """Take the next step of a change, if one is due; returns what should be from now on.

    Blocking. What a command has changed meanwhile stays: the step is taken at the next comparison.
    """
    if desired.change is None:
        return desired
    move = next_move(desired, state)
    if move is None:
        return desired
    change, subject, text, severity = move

    def apply(now: Desired) -> Desired:
        return change(now) if now == desired else now

    try:
        after = directory.change(apply)
    except StackError:
        return desired  # it is going down
    if after == change(desired):
        say(subject, text, severity=severity)
    return after


Move = tuple[Callable[[Desired], Desired], str, str, str]
"""How the desired state changes; subject, text and severity of the event."""


def next_move(desired: Desired, state: State) -> Move | None:
    """Return the step that is due; None while something is awaited."""
    change = desired.change
    model = desired.spec.replica.model
    if change is None:
        return None
    if not desired.outdated:
        done = f"Every replica runs model '{model}'."
        return Desired.finished, "stack", done, "information"
    if change.coming is None:
        names = {record.name for record in state.replicas}
        if names - set(desired.names):
            return None  # the last one that was replaced still has sessions
        coming = desired.with_coming(names)
        new = coming.change.coming if coming.change is not None else None
        text = f"It takes the place of {desired.outdated[0]} when it is warm, with model '{model}'."
        return (lambda now: now.with_coming(names)), str(new), text, "information"
    record = next((one for one in state.replicas if one.name == change.coming), None)
    if record is None:
        return None
    if _takes_sessions(record, state):
        left = len(desired.outdated) - 1
        text = f"It has taken the place of {desired.outdated[0]}; {left or 'none'} more to go."
        return Desired.with_arrived, record.name, text, "information"
    if record.failures >= _FAILURES and not change.back:
        said = (record.detail or "it wrote nothing").rstrip(".")
        problem = (
            f"The stack keeps model '{change.before}': {record.name} can't be started with "
            f"'{model}' ({said})."
        )
        return (lambda now: now.with_refused(problem)), "stack", problem, "error"
    return None


def _takes_sessions(record: ReplicaRecord, state: State) -> bool:
    balancer = state.balancer
    return record.state is ReplicaState.READY and balancer.alive and record.name in balancer.targets


def what_goes_on(desired: Desired) -> str:
    """Say how far a change of the model is; nothing without one."""
    change = desired.change
    if change is None:
        return ""
    total = len(desired.replicas)
    done = total - len(desired.outdated)
    verb = "going back" if change.back else "changing"
    return f"{verb} to model '{desired.spec.replica.model}', {done} of {total} replaced"
