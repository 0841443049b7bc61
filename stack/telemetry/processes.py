"""CPU and memory of processes with psutil. Blocking: call from a thread."""

from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What one process used; None is unknown."""

    cpu: float | None
    """Fraction of one core since the last reading; None in the first."""
    memory: int | None
    """Resident bytes."""


class ProcessReader:
    """Remembers processes between readings, because CPU use is a difference."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def read(self, pids: Iterable[int]) -> dict[int, ProcessUse]:
        """Return what these processes use; those that are gone are left out."""
        found: dict[int, ProcessUse] = {}
        wanted = set(pids)
        for pid in set(self._known) - wanted:
            del self._known[pid]
        for pid in wanted:
            try:
                fresh = pid not in self._known or not self._known[pid].is_running()
                if fresh:
                    self._known[pid] = psutil.Process(pid)
                process = self._known[pid]
                # The first call only remembers where to count from and says 0.
                cpu = process.cpu_percent(interval=None) / 100
                memory = int(process.memory_info().rss)
            except psutil.Error:
                self._known.pop(pid, None)
                continue
            found[pid] = ProcessUse(cpu=None if fresh else cpu, memory=memory)
        return found
