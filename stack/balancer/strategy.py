"""In what order replicas are tried for a new session. Pure."""

import hashlib
from collections.abc import Mapping, Sequence

from stack.balancer.config import Target
from stack.spec import Strategy


def order(
    strategy: Strategy,
    targets: Sequence[Target],
    turn: int,
    open_sessions: Mapping[str, int],
    key: str = "",
) -> list[Target]:
    """Return the targets, best first; the others are tried when the best can't be reached.

    ``turn`` counts the sessions so far: round robin goes by it, and least connections parts ties
    by it, so that replicas that are equally idle take turns. ``key`` is what the hashes go by: the
    same key gets the same replica while that is there, and when one comes or goes only the keys
    that are its own move (rendezvous hashing, Thaler and Ravishankar 1998).
    """
    if not targets:
        return []
    if strategy in (Strategy.IP_HASH, Strategy.CONSISTENT_HASH):
        return sorted(targets, key=lambda target: _weight(target.name, key), reverse=True)
    start = turn % len(targets)
    rotated = [*targets[start:], *targets[:start]]
    if strategy is Strategy.LEAST_CONNECTIONS:
        # sorted() is stable: ties stay in the order of the rotation.
        return sorted(rotated, key=lambda target: open_sessions.get(target.name, 0))
    return rotated


def _weight(name: str, key: str) -> bytes:
    return hashlib.blake2b(f"{name}\n{key}".encode(), digest_size=8).digest()
