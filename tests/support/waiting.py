"""Waiting for a condition, with a deadline: a test never sleeps to hope."""

import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], what: str = "the condition", deadline: float = 60.0) -> Any:
    """Wait until the condition holds and return what it gave; fail with its name otherwise."""
    end = time.monotonic() + deadline
    while not (result := condition()):
        assert time.monotonic() < end, f"not within {deadline:g} s: {what}"
        time.sleep(0.02)
    return result
