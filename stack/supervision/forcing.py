"""Ending a stack whose state can't be read any more. Blocking."""

import contextlib

import psutil

from stack.engine import StackError
from stack.supervision.ending import end_all
from stack.supervision.processes import PART_MARK
from stack.supervision.runtime import Runtime
from stack.supervision.state import StackDirectory, State

_PATIENCE = 5.0
"""Seconds between the polite signal and the last one."""


def force_down(directory: StackDirectory, runtime: Runtime) -> None:
    """End the supervisor and all parts, recorded or marked as the stack's, and clear its state.

    A recorded process is ended only if it began when the record says: a stranger that was given
    its id is left alone. Containers are known by their labels.
    """
    with directory.lock():
        _end_supervisors(directory)
        state = State()
        with contextlib.suppress(StackError):
            state = directory.read_state()
        recorded = [state.balancer.part, *(record.part for record in state.replicas)]
        end_all(runtime, [part for part in recorded if part is not None], _PATIENCE)
        runtime.sweep()
        directory.remove()


def _end_supervisors(directory: StackDirectory) -> None:
    # First of all: it would start again what is ended.
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "stack.supervision" not in command or command[-1] != str(directory.path):
            continue
        with contextlib.suppress(psutil.Error):
            if process.environ().get(PART_MARK) == str(directory.logs):
                process.kill()
                found.append(process)
    psutil.wait_procs(found, timeout=_PATIENCE)
