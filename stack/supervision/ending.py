"""Ending all parts of a stack: politely, then not. Blocking."""

import time
from collections.abc import Sequence

from stack.supervision.runtime import Runtime
from stack.supervision.state import Part


def end_all(runtime: Runtime, running: Sequence[Part], patience: float) -> None:
    """Ask every part to end, end at once what has not after ``patience`` seconds, clean up."""
    for at_once in (False, True):
        alive = [part for part in running if runtime.end(part, at_once=at_once)]
        deadline = time.monotonic() + patience
        while alive and time.monotonic() < deadline:
            time.sleep(0.05)
            runtime.refresh()
            alive = [part for part in alive if runtime.runs(part)]
    for part in running:
        runtime.discard(part)
