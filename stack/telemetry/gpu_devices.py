"""Which cards a process could use, told by the device files that it has open. Blocking."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

_LASTING: Final = 10.0
"""Seconds: a process opens its devices when it starts, and looking costs milliseconds."""
_EVERY_CARD: Final = "/dev/dxg"
"""Windows' cards under WSL, whichever."""


class DeviceFiles:
    """Looks into processes, and remembers for a while what it saw."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, ...], tuple[float, frozenset[str] | None]] = {}

    def could_use(self, pids: Sequence[int], minor: int) -> bool:
        """Tell whether processes, or their children, could use the card of this device number.

        Those that can't be looked into, as another user's, could.
        """
        held = self._held(tuple(pids))
        return held is None or bool(held & {f"/dev/nvidia{minor}", _EVERY_CARD})

    def _held(self, pids: tuple[int, ...]) -> frozenset[str] | None:
        now = time.monotonic()
        seen = self._seen.get(pids)
        if seen is None or now - seen[0] > _LASTING:
            self._seen = {key: one for key, one in self._seen.items() if now - one[0] <= _LASTING}
            seen = self._seen[pids] = now, _open_files(pids)
        return seen[1]


def _open_files(pids: Sequence[int]) -> frozenset[str] | None:
    """Return what processes and their children have open; None where that can't be seen."""
    found: set[str] = set()
    for pid in [*pids, *_children(pids)]:
        try:
            for descriptor in os.scandir(f"/proc/{pid}/fd"):
                try:
                    found.add(str(Path(descriptor.path).readlink()))
                except FileNotFoundError:
                    continue  # closed meanwhile
        except PermissionError:
            return None
        except OSError:
            continue  # the process is gone
    return frozenset(found)


def _children(pids: Sequence[int]) -> set[int]:
    found: set[int] = set()
    for pid in pids:
        try:
            found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
        except psutil.Error:
            continue
    return found
