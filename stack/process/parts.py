"""How parts of a stack are started: their command lines, environment and log files."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from stack.process.directory import StackDirectory
from stack.process.identity import MARKER
from stack.process.state import Desired

MAX_LOG_BYTES: Final = 8 * 1024 * 1024
KEPT_LOG_BYTES: Final = 1024 * 1024

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]


def module_command(module: str) -> list[str]:
    """Return the command that runs one of this project's modules.

    ``-P`` keeps a directory named ``stack`` where the user happens to be from taking its place.
    """
    return [sys.executable, "-P", "-m", module]


def replica_command(desired: Desired, name: str, port: int) -> list[str]:
    """Return the command line of one replica."""
    replica = desired.spec.replica
    return [
        *(desired.replica_command or module_command("stack.replica")),
        *("--host", "127.0.0.1", "--port", str(port), "--name", name),
        *("--model", replica.model, "--device", replica.device),
        *("--compute-type", replica.compute_type, "--threads", str(replica.threads)),
        *("--max-sessions", str(replica.max_sessions)),
        *("--max-connection-time", f"{replica.max_connection_time:g}"),
    ]


def part_environment(directory: StackDirectory, part: str) -> dict[str, str]:
    """Return the environment of a part: the caller's, plus what finds it again."""
    environment = dict(os.environ)
    paths = [str(_PACKAGE_ROOT), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    environment["PYTHONUNBUFFERED"] = "1"
    environment[MARKER] = f"{directory.path}::{part}"
    return environment


def spawn(directory: StackDirectory, part: str, command: list[str]) -> subprocess.Popen[bytes]:
    """Start a part in a session of its own, its output appended to its log; raises OSError."""
    with directory.log(part).open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory.path,
            env=part_environment(directory, part),
            close_fds=True,
            start_new_session=True,
        )


def free_port(host: str) -> int:
    """Return a port that is free now; another process may still take it first."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def last_line(path: Path) -> str:
    """Return the last line of a log that says something, at most 300 characters; "" if none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 8192))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def bound_log(path: Path) -> None:
    """Cut a log that has grown too long to its end; writers append, so they go on unharmed."""
    try:
        if path.stat().st_size <= MAX_LOG_BYTES:
            return
        with path.open("r+b") as file:
            file.seek(-KEPT_LOG_BYTES, os.SEEK_END)
            kept = file.read()
            file.truncate(0)
        with path.open("ab") as file:
            file.write(b"(earlier lines were dropped)\n" + kept.partition(b"\n")[2])
    except OSError:
        return
