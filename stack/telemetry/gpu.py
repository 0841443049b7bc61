"""GPU figures with nvidia-ml-py. No GPU is a normal state and looks like one: nothing.

NVML calls block: call these from a thread.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pynvml

_T = TypeVar("_T")
_LOOK_BACK: Final = 1.2
"""Seconds; the driver takes a sample about every sixth of a second."""


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What one process uses of its GPUs, or the whole card's figures, marked ``shared``."""

    memory: int | None
    """Bytes."""
    utilisation: float | None
    """Fraction of the GPU's time."""
    shared: bool


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card."""

    index: int
    name: str
    memory: int | None
    """Bytes."""
    driver: str | None


def _ask(call: Callable[..., _T], *arguments: Any) -> _T | None:
    """Return what NVML says, None when it can't say."""
    try:
        return call(*arguments)
    except pynvml.NVMLError:
        return None


class GpuReader:
    """Reads NVML; survives a driver that is missing, goes, or comes back."""

    def __init__(self) -> None:
        self._ready = False

    def _handles(self) -> list[Any]:
        try:
            if not self._ready:
                pynvml.nvmlInit()
                self._ready = True
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError:
            # The next reading tries to begin anew.
            self._ready = False
            return []
        handles = (_ask(pynvml.nvmlDeviceGetHandleByIndex, index) for index in range(count))
        return [handle for handle in handles if handle is not None]

    def devices(self) -> list[Gpu]:
        """Return the cards of this machine."""
        found = []
        for index, handle in enumerate(self._handles()):
            memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
            found.append(
                Gpu(
                    index=index,
                    name=_text(_ask(pynvml.nvmlDeviceGetName, handle)) or "unknown",
                    memory=memory.total if memory else None,
                    driver=_text(_ask(pynvml.nvmlSystemGetDriverVersion)),
                )
            )
        return found

    def use(self, pids: Iterable[int]) -> dict[int, GpuUse]:
        """Return what these processes use; those that use no GPU are left out."""
        wanted = set(pids)
        found: dict[int, GpuUse] = {}
        for handle in self._handles():
            running = _ask(pynvml.nvmlDeviceGetComputeRunningProcesses, handle) or []
            ours = {process.pid: process.usedGpuMemory for process in running}
            ours = {pid: memory for pid, memory in ours.items() if pid in wanted}
            if not ours:
                continue
            utilisation = _utilisation(handle)
            for pid, memory in ours.items():
                own = GpuUse(
                    memory=memory,
                    utilisation=utilisation.get(pid, 0.0) if utilisation is not None else None,
                    shared=False,
                )
                if memory is None or utilisation is None:
                    own = _card(handle, own)
                found[pid] = _add(found[pid], own) if pid in found else own
        return found


def gpu_use(uses: Sequence[GpuUse | None]) -> GpuUse | None:
    """Put the processes of one replica together; None when none uses a GPU."""
    known = [use for use in uses if use is not None]
    total = known[0] if known else None
    for use in known[1:]:
        total = _add(total, use) if total is not None else use
    return total


def _utilisation(handle: Any) -> dict[int, float] | None:
    """Return each process's mean share of the GPU over the last second; None: unknown.

    The driver keeps samples stamped in microseconds since the epoch. A fixed look-back, not one
    since the last reading: two who watch one stack must not spoil each other's figures.
    """
    since = int((time.time() - _LOOK_BACK) * 1e6)
    try:
        samples = pynvml.nvmlDeviceGetProcessUtilization(handle, since)
    except pynvml.NVMLError_NotFound:
        return {}  # nobody has used the GPU since
    except pynvml.NVMLError:
        return None
    shares: dict[int, list[int]] = {}
    for sample in samples:
        shares.setdefault(sample.pid, []).append(sample.smUtil)
    return {pid: sum(values) / len(values) / 100 for pid, values in shares.items()}


def _card(handle: Any, own: GpuUse) -> GpuUse:
    """Fill in the card's figures where the driver can't tell processes apart."""
    memory = _ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
    rates = _ask(pynvml.nvmlDeviceGetUtilizationRates, handle)
    return GpuUse(
        memory=own.memory if own.memory is not None else (memory.used if memory else None),
        utilisation=own.utilisation
        if own.utilisation is not None
        else (rates.gpu / 100 if rates else None),
        shared=True,
    )


def _add(one: GpuUse, other: GpuUse) -> GpuUse:
    """Put a process's use of two cards together: memory adds up, utilisation is the busier's."""
    memories = [use.memory for use in (one, other) if use.memory is not None]
    shares = [use.utilisation for use in (one, other) if use.utilisation is not None]
    return GpuUse(
        memory=sum(memories) if memories else None,
        utilisation=max(shares, default=None),
        shared=one.shared or other.shared,
    )


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
