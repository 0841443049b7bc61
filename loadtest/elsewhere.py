"""Steps that another process plays now, as far as their journals tell."""

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from loadtest.journal import JOURNAL_SUFFIX
from loadtest.runfile import TimelineRow

_LONGEST_HEADER: Final = 64 * 1024 * 1024
_TAIL: Final = 256 * 1024
"""Bytes of a journal's end among which its latest row is looked for."""
_MOST: Final = 8
"""More journals than these at once are not looked into."""


@dataclass(frozen=True, slots=True)
class RunningStep:
    """A step whose writer lives."""

    run_id: str
    label: str
    clients: int
    step: int
    steps: int | None
    address: str
    """``host:port`` of the server under load."""
    row: TimelineRow | None
    """Its latest second."""


def running_steps(directory: Path, *, own: frozenset[str] = frozenset()) -> list[RunningStep]:
    """Return the steps whose journals in ``directory`` are being written, but for ``own`` run ids.

    Blocking file I/O; what can't be read is left out.
    """
    steps = []
    with suppress(OSError):
        for path in sorted(directory.glob(f"*.json{JOURNAL_SUFFIX}"))[:_MOST]:
            if path.name.removesuffix(f".json{JOURNAL_SUFFIX}") in own:
                continue
            with suppress(OSError, ValueError, KeyError, TypeError):
                if (step := _read(path)) is not None:
                    steps.append(step)
    return steps


def _read(path: Path) -> RunningStep | None:
    with path.open("rb") as file:
        try:
            # The writer holds the lock for as long as it lives.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            return None
        header, begins = _header(path, os.fstat(file.fileno()).st_ino)
        end = file.seek(0, 2)
        file.seek(max(begins, end - _TAIL))
        lines = file.read(_TAIL).splitlines()
    asked = header["test_configuration"]
    return RunningStep(
        run_id=str(header["run_id"])[:200],
        label=str(header["label"])[:200],
        clients=int(asked["num_clients"]),
        step=int(asked["step"]),
        steps=None if asked["steps"] is None else int(asked["steps"]),
        address=f"{asked['host']}:{asked['port']}",
        row=_latest(lines),
    )


@lru_cache(maxsize=_MOST)
def _header(path: Path, inode: int) -> tuple[dict[str, Any], int]:  # noqa: ARG001 - a part of the key
    """Return a journal's header, but for its clients, and where it ends.

    It may be megabytes long and never changes: it is read once.
    """
    with path.open("rb") as file:
        header: dict[str, Any] = json.loads(file.readline(_LONGEST_HEADER))["header"]
        header.pop("clients", None)
        return header, file.tell()


def _latest(lines: list[bytes]) -> TimelineRow | None:
    for line in reversed(lines):
        if b'"row"' in line:
            with suppress(ValueError, KeyError, TypeError):
                return TimelineRow.model_validate(json.loads(line)["row"])
    return None
