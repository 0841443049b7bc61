"""Starting and ending the processes of a stack."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil

from stack.process.state import ProcessIdentity
from stack.spec import StackSpec

_MARK: Final = "WHISPERCTL_PART_OF"
"""Environment variable of every part: the log directory of its stack."""

LOG_LIMIT: Final = 16 * 1024 * 1024
"""Bytes at which a part's log is begun anew."""

MODULE: Final = (sys.executable, "-P", "-m")
"""Runs a module of this project; ``-P`` keeps a directory named ``stack`` where the user happens
to be from taking its place."""

_PACKAGE_ROOT: Final = str(Path(__file__).resolve().parents[2])


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def replica_command(spec: StackSpec, name: str, port: int) -> list[str]:
    """Return the command line of one replica."""
    replica = spec.replica
    return [
        *MODULE,
        "stack.replica",
        "--host=127.0.0.1",
        f"--port={port}",
        f"--name={name}",
        f"--model={replica.model}",
        f"--device={replica.device}",
        f"--compute-type={replica.compute_type}",
        f"--threads={replica.threads_of(spec.replicas, _cores())}",
        f"--max-sessions={replica.max_sessions}",
        f"--max-connection-time={replica.max_connection_time}",
        f"--min-chunk={replica.min_chunk}",
        *(["--final-pass"] if replica.final_pass else []),
    ]


def _cores() -> int:
    """Count the cores that this process may use, not those that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def balancer_command(spec: StackSpec, config: Path) -> list[str]:
    """Return the command line of the balancer."""
    return [
        *MODULE,
        "stack.balancer",
        f"--host={spec.balancer.host}",
        f"--port={spec.balancer.port}",
        f"--config={config}",
    ]


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
                _MARK: str(log.parent),
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


def end_orphans(logs: Path, known: set[int]) -> list[int]:
    """End replicas and balancers of this stack that nobody knows of; returns their process ids.

    A supervisor that was killed just after it had started a part could not write it down.
    """
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = process.info["cmdline"] or []
        if process.pid in known or not {"stack.replica", "stack.balancer"} & set(command):
            continue
        with contextlib.suppress(psutil.Error):
            if process.environ().get(_MARK) == str(logs):
                process.kill()
                found.append(process.pid)
    return found


def end(identity: ProcessIdentity | None, number: signal.Signals = signal.SIGTERM) -> bool:
    """Send a signal to a part's process; returns False when it is gone already."""
    process = identity.find() if identity else None
    if process is None:
        return False
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process.pid, number)
    return True


def last_line(log: Path) -> str:
    """Return the last line that a part wrote, or nothing."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].strip()[:400] if lines else ""
