"""Processes that outlive whoever starts them, and their logs."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

PART_MARK: Final = "WHISPERCTL_PART_OF"
"""Environment variable of every part: the log directory of its stack."""

LOG_LIMIT: Final = 16 * 1024 * 1024
"""Bytes at which a part's log is begun anew."""

MODULE: Final = (sys.executable, "-P", "-m")
"""Runs a module of this project; ``-P`` keeps a directory named ``stack`` where the user happens
to be from taking its place."""

_PACKAGE_ROOT: Final = str(Path(__file__).resolve().parents[2])


def start(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a part that outlives whoever started it; its output is appended to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A session of its own: neither Ctrl-C nor the terminal's end reaches it.
            start_new_session=True,
            # Idle OpenMP threads that spin would take the cores from the other replicas.
            env=os.environ
            | {
                "OMP_WAIT_POLICY": "PASSIVE",
                "PYTHONUNBUFFERED": "1",
                PART_MARK: str(log.parent),
                "PYTHONPATH": os.pathsep.join(
                    filter(None, (_PACKAGE_ROOT, os.environ.get("PYTHONPATH")))
                ),
            },
        )


def bound(logs: Path) -> None:
    """Begin logs that have grown too large anew, keeping one older part of each.

    In place: their writers have them open for appending and go on at the new end.
    """
    for log in logs.glob("*.log"):
        with contextlib.suppress(OSError):
            if log.stat().st_size > LOG_LIMIT and not log.stem.endswith(".old"):
                shutil.copyfile(log, log.with_suffix(".old.log"))
                os.truncate(log, 0)


def last_line(log: Path) -> str:
    """Return the last line that a part wrote, or nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:400] if lines else ""
