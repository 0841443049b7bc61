"""What trees of processes use, from /proc with psutil. Blocking: call from a thread."""

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from stack.status import PartSample
from stack.telemetry.rates import WINDOW, Counters

_FORGET: Final = 10.0
"""Seconds after which a process that nobody asks about is forgotten."""
_LARGEST_TREE: Final = 256
"""Processes of one part that are looked at."""


@dataclass(slots=True)
class _Tree:
    """A part's first process, and those that it has started."""

    root: psutil.Process
    members: dict[int, psutil.Process] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    asked_at: float = 0.0


class ProcessReader:
    """Remembers what processes had used a moment ago. Implements ``sampler.UsageReader``."""

    name = "process"
    settling = WINDOW

    def __init__(self) -> None:
        self._trees: dict[int, _Tree] = {}

    def read(self, parts: Iterable[int]) -> dict[int, PartSample]:
        """Return what each of these processes uses together with all that it has started.

        By the first process's id; one that is gone is left out. The first reading has no rates.
        """
        now = time.monotonic()
        for pid in [pid for pid, tree in self._trees.items() if tree.asked_at < now - _FORGET]:
            del self._trees[pid]
        found: dict[int, PartSample] = {}
        for pid in parts:
            try:
                tree = self._trees.get(pid)
                if tree is None or not tree.root.is_running():
                    tree = self._trees[pid] = _Tree(psutil.Process(pid))
                tree.asked_at = now
                if tree.root.status() == psutil.STATUS_ZOMBIE:
                    raise psutil.ZombieProcess(pid)
                found[pid] = _sample(tree)
            except psutil.Error:
                self._trees.pop(pid, None)
        return found


def _sample(tree: _Tree) -> PartSample:
    """Look at a tree; raises psutil.Error when its first process is gone."""
    _grow(tree)
    memory, cpu, read, written = 0, 0.0, 0.0, 0.0
    counts_disk = True
    for process in list(tree.members.values()):
        try:
            with process.oneshot():
                times = process.cpu_times()
                resident = int(process.memory_info().rss)
        except psutil.Error:
            if process.pid == tree.root.pid:
                raise
            continue
        # What a child that has ended used is its parent's then, in both figures (proc(5): cutime,
        # and the kernel's task_io_accounting of a thread group): the sums only grow.
        cpu += times.user + times.system + times.children_user + times.children_system
        memory += resident
        try:
            counted = process.io_counters()
            read, written = read + counted.read_bytes, written + counted.write_bytes
        except (psutil.Error, AttributeError):
            counts_disk = False  # of other users' processes, and on systems without /proc
    totals = {"cpu": cpu} | ({"read": read, "written": written} if counts_disk else {})
    tree.counters.add(time.monotonic(), totals)
    return PartSample(
        cpu=tree.counters.rate("cpu"),
        memory=memory,
        disk_read=tree.counters.rate("read"),
        disk_written=tree.counters.rate("written"),
    )


def _grow(tree: _Tree) -> None:
    """Look which processes a tree has now."""
    pids = {tree.root.pid: None}  # in the order they were found
    waiting = [tree.root.pid]
    while waiting and len(pids) < _LARGEST_TREE:
        for child in _children(waiting.pop()):
            if child not in pids:
                pids[child] = None
                waiting.append(child)
    known, tree.members = tree.members, {tree.root.pid: tree.root}
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            process = known.get(pid)
            if process is None or not process.is_running():
                process = psutil.Process(pid)
            tree.members.setdefault(pid, process)


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started and that have not ended."""
    try:
        found = []
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text("ascii").split()]
        return found
    except OSError:
        # A kernel without this file: psutil looks at every process of the machine instead.
        with contextlib.suppress(psutil.Error):
            return [child.pid for child in psutil.Process(pid).children()]
        return []
