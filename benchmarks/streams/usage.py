"""CPU time over a run: whose, and of what cores."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import numpy as np
import psutil
from pydantic import BaseModel

_LOOK: Final = 2.0
_CHILDREN_INTERVAL: Final = 0.5
"""Seconds between two searches for child processes: they read all of /proc."""


class Usage(BaseModel):
    """Seconds of CPU time, since some time in the past or over a while."""

    time: float
    """Monotonic second; over a while its length."""
    user: float
    """Of the generator's processes, outside the kernel."""
    system: float
    """... and inside."""
    first: float
    """Both, of the generator's first process alone: for ours the controller."""
    sink: float
    generator_core: float
    """By whomever, of the core that the generator is held to."""
    sink_core: float
    """By whomever, of the core of sink and benchmark."""
    benchmark: float
    """Of the benchmark's own process."""

    @property
    def generator(self) -> float:
        """Of all the generator's processes."""
        return self.user + self.system


def between(samples: Sequence[Usage], begin: float, end: float) -> Usage:
    """Return what was used between two monotonic seconds, interpolated between samples.

    ``samples``: of counters, in order, at least one.
    """
    times = [sample.time for sample in samples]

    def used(name: str) -> float:
        counter = [getattr(sample, name) for sample in samples]
        before, after = np.interp((begin, end), times, counter)
        return float(after - before)

    return Usage(**{name: used(name) for name in Usage.model_fields})


class Sampler:
    """Reads the counters of one run: processes by id, cores by number."""

    def __init__(self, generator: int, sink: int, *, generator_core: int, sink_core: int) -> None:
        self._root = psutil.Process(generator)
        self._children: dict[int, psutil.Process] = {}
        self._last: dict[int, tuple[float, float]] = {}
        self._looked = 0.0
        self._sink = psutil.Process(sink)
        self._cores = generator_core, sink_core
        self.samples: list[Usage] = []

    def take(self) -> None:
        """Take a sample; nothing where the generator has just ended."""
        with suppress(psutil.Error):
            now = time.monotonic()
            root, sink = self._root.cpu_times(), self._sink.cpu_times()
            if now - self._looked > _CHILDREN_INTERVAL:
                self._looked = now
                found = self._root.children(recursive=True)
                self._children |= {child.pid: child for child in found}
            for child in self._children.values():
                # What has ended keeps what it had used.
                with suppress(psutil.Error):
                    times = child.cpu_times()
                    self._last[child.pid] = times.user, times.system
            cores = psutil.cpu_times(percpu=True)
            generator_core, sink_core = (_busy(cores[core]) for core in self._cores)
            self.samples.append(
                Usage(
                    time=now,
                    user=root.user + sum(user for user, _ in self._last.values()),
                    system=root.system + sum(system for _, system in self._last.values()),
                    first=root.user + root.system,
                    sink=sink.user + sink.system,
                    generator_core=generator_core,
                    sink_core=sink_core,
                    benchmark=time.process_time(),
                )
            )


def wait_until_quiet(cores: Sequence[int], limit: float, patience: float) -> None:
    """Wait, ``patience`` seconds at most, until nobody uses more of a core than ``limit``."""
    give_up = time.monotonic() + patience
    while time.monotonic() < give_up:
        before = psutil.cpu_times(percpu=True)
        time.sleep(_LOOK)
        after = psutil.cpu_times(percpu=True)
        if all(_busy(after[core]) - _busy(before[core]) <= limit * _LOOK for core in cores):
            return


def _busy(core: object) -> float:
    """Add up what a core did for anybody, and what another virtual machine took from it."""
    names = ("user", "nice", "system", "irq", "softirq", "steal")
    return float(sum(getattr(core, name, 0.0) for name in names))


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Hold what is started within to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
