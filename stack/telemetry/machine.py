"""The machine as a whole. Blocking: call from a thread."""

from typing import Final

import psutil

from stack.status import BalancerSample, MachineSample
from stack.telemetry.gpu import GpuReader

_SHORTEST: Final = 0.2
"""Seconds of CPU time, of all cores: the kernel counts in hundredths."""


class MachineReader:
    """Remembers what the machine had done a moment ago."""

    def __init__(self) -> None:
        self._gpus = GpuReader()
        self._before = _cpu_seconds()
        self._share: float | None = None

    def read(self, balancer: BalancerSample | None) -> MachineSample:
        """Return what is used now; ``balancer`` is the balancer's sample, if it is ours."""
        memory = psutil.virtual_memory()
        return MachineSample(
            cpu=self._cpu(),
            cores=psutil.cpu_count(),
            memory=memory.total,
            memory_available=memory.available,
            balancer=balancer,
            gpus=self._gpus.cards(),
        )

    def _cpu(self) -> float | None:
        """Return the busy share since the last reading; None in the first, if it comes at once.

        psutil's own ``cpu_percent`` remembers a reading for each thread: from a pool of threads it
        would look back by chance.
        """
        busy, total = _cpu_seconds()
        passed = total - self._before[1]
        if passed >= _SHORTEST:
            self._share = min(1.0, max(0.0, (busy - self._before[0]) / passed))
            self._before = (busy, total)
        return self._share


def _cpu_seconds() -> tuple[float, float]:
    """Return the seconds that all cores together were busy, and those that passed."""
    times = psutil.cpu_times()
    # A guest's time is in the user's already.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    total = sum(times) - guests
    idle = times.idle + getattr(times, "iowait", 0.0)
    return total - idle, total
