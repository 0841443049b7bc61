"""What can be known of upstream's server, which has no status of its own."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from stack.status import ReplicaState

_TIMEOUT: Final = 1.0
_ESTABLISHED: Final = "01"
"""A connection's state in /proc/net/tcp (the kernel's include/net/tcp_states.h)."""


async def ask_upstream(host: str, port: int, pids: Sequence[int]) -> dict[str, Any] | None:
    """Return what a replica of ours would say: ready if it takes connections; None if not.

    ``sessions`` are the connections that the kernel counts in the container's network, so that a
    replica can go when its last one has ended; None where they can't be counted.
    """
    if not host:
        return None
    # Asked first, so that the question is not counted as a session.
    sessions = await asyncio.to_thread(_connections, port, pids)
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return {"state": ReplicaState.READY.value, "sessions": sessions}


def _connections(port: int, pids: Sequence[int]) -> int | None:
    """Count connections to a port in the network of a process."""
    for pid in pids:
        try:
            tables = [
                Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii")
                for name in ("tcp", "tcp6")
            ]
        except OSError:
            continue
        return sum(count_established(table, port) for table in tables)
    return None


def count_established(table: str, port: int) -> int:
    """Count the established connections to a local port in a table of /proc/net/tcp's form."""
    found = 0
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == _ESTABLISHED:
            found += int(fields[1].rpartition(":")[2], 16) == port
    return found
