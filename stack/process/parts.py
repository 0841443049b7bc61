"""Command lines of a stack's processes, and ending them."""

import contextlib
import os
import signal
import socket
from pathlib import Path

import psutil

from stack.cores import usable_cores
from stack.replica.options import replica_options
from stack.spec import StackSpec
from stack.supervision.processes import MODULE, PART_MARK
from stack.supervision.state import ProcessIdentity


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on at this moment."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def replica_command(spec: StackSpec, name: str, port: int) -> list[str]:
    """Return the command line of one replica."""
    threads = spec.replica.threads_of(spec.replicas, usable_cores())
    options = replica_options(spec, name, threads=threads)
    return [*MODULE, "stack.replica", "--host=127.0.0.1", f"--port={port}", *options]


def balancer_command(spec: StackSpec, config: Path) -> list[str]:
    """Return the command line of the balancer."""
    return [
        *MODULE,
        "stack.balancer",
        f"--host={spec.balancer.host}",
        f"--port={spec.balancer.port}",
        f"--config={config}",
    ]


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
            if process.environ().get(PART_MARK) == str(logs):
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
