"""CPU and memory of processes with psutil. Blocking: call from a thread."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import psutil

WINDOW: Final = 1.0
"""Seconds that a figure of CPU looks back on at least, once so much has been seen.

CPU use is a difference. Taken since the last reading it would depend on who else reads: two who
watch one stack would spoil each other's figures."""


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What one process used; None is unknown."""

    cpu: float | None
    """Fraction of one core over the last second; None in the first reading."""
    memory: int | None
    """Resident bytes."""


@dataclass(slots=True)
class _Known:
    process: psutil.Process
    readings: deque[tuple[float, float]] = field(default_factory=deque)
    """Monotonic second and seconds of CPU used until then, oldest first."""

    def cpu(self, now: float, used: float) -> float | None:
        self.readings.append((now, used))
        # The newest reading that is a whole window old is what is looked back to.
        while len(self.readings) > 2 and self.readings[1][0] <= now - WINDOW:
            self.readings.popleft()
        then, before = self.readings[0]
        return (used - before) / (now - then) if now > then else None


class ProcessReader:
    """Remembers what processes had used a moment ago."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def read(self, pids: Iterable[int]) -> dict[int, ProcessUse]:
        """Return what these processes use; those that are gone are left out."""
        wanted = set(pids)
        for pid in set(self._known) - wanted:
            del self._known[pid]
        found: dict[int, ProcessUse] = {}
        for pid in wanted:
            try:
                known = self._known.get(pid)
                if known is None or not known.process.is_running():
                    known = self._known[pid] = _Known(psutil.Process(pid))
                with known.process.oneshot():
                    times = known.process.cpu_times()
                    memory = int(known.process.memory_info().rss)
            except psutil.Error:
                self._known.pop(pid, None)
                continue
            found[pid] = ProcessUse(known.cpu(time.monotonic(), times.user + times.system), memory)
        return found


def processes_use(uses: Sequence[ProcessUse | None]) -> ProcessUse | None:
    """Put the processes of one replica together; None when nothing is known of any."""
    known = [use for use in uses if use is not None]
    if not known:
        return None
    shares = [use.cpu for use in known if use.cpu is not None]
    memories = [use.memory for use in known if use.memory is not None]
    return ProcessUse(
        cpu=sum(shares) if shares else None, memory=sum(memories) if memories else None
    )
