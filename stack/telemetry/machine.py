"""The machine as a whole, and the balancer's share of it. Blocking: call from a thread."""

from collections.abc import Sequence

import psutil

from stack.status import MachineSample
from stack.telemetry.processes import ProcessReader, processes_use


class MachineReader:
    """Remembers what the machine had done a moment ago."""

    def __init__(self) -> None:
        self._processes = ProcessReader()
        # The first figure would be that since the machine was started.
        psutil.cpu_percent()

    def read(self, balancer: int | None) -> MachineSample:
        """Return what is used now; ``balancer`` is the balancer's first process."""
        pids = _family(balancer) if balancer is not None else []
        found = self._processes.read(pids)
        use = processes_use([found.get(pid) for pid in pids])
        memory = psutil.virtual_memory()
        return MachineSample(
            cpu=psutil.cpu_percent() / 100,
            cores=psutil.cpu_count(),
            memory=memory.total,
            memory_available=memory.available,
            balancer_cpu=use.cpu if use else None,
        )


def _family(pid: int) -> Sequence[int]:
    """Return a process and all it started: nginx works in children."""
    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.Error:
        return []
