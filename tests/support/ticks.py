"""A clock that takes a sample a second, as a console and a load run do."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

LONGEST: Final = 2.0
"""Seconds that a sample may take in a test. Its longest deadline is 0.7 s, and a sample has to be
there before the next second; the rest is for a machine on which others take the cores."""


async def ticked(
    sample: Callable[[], Awaitable[T]], ticks: int = 10
) -> tuple[list[T], list[float]]:
    """Take so many samples, a second apart; returns them, and the seconds that each took."""
    rows, seconds = [], []
    for _ in range(ticks):
        began = time.monotonic()
        rows.append(await sample())
        seconds.append(time.monotonic() - began)
        await asyncio.sleep(max(0.0, 1.0 - seconds[-1]))
    return rows, seconds
