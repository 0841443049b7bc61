"""In what order replicas are tried for a new session. Pure."""

from collections.abc import Mapping, Sequence

from stack.balancer.config import Target
from stack.spec import Strategy


def order(
    strategy: Strategy, targets: Sequence[Target], turn: int, open_sessions: Mapping[str, int]
) -> list[Target]:
    """Return the targets, best first; the others are tried when the best can't be reached.

    ``turn`` counts the sessions so far: round robin goes by it, and least connections parts ties
    by it, so that replicas that are equally idle take turns.
    """
    if not targets:
        return []
    start = turn % len(targets)
    rotated = [*targets[start:], *targets[:start]]
    if strategy is Strategy.LEAST_CONNECTIONS:
        # sorted() is stable: ties stay in the order of the rotation.
        return sorted(rotated, key=lambda target: open_sessions.get(target.name, 0))
    return rotated
