"""Running the console in a test."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from console.app import WhisperctlApp


@asynccontextmanager
async def running(
    app: WhisperctlApp, size: tuple[int, int] = (140, 45)
) -> AsyncIterator[Pilot[None]]:
    """Run an app and wait for its first picture."""
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.live.tick > 0)
        yield pilot


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        await pilot.pause(0.02)
    await pilot.pause()


async def at_rest(pilot: Pilot[None], seconds: float = 15.0) -> None:
    """Wait until two pictures in a row, further apart than charts are redrawn, are the same."""
    before = None
    deadline = time.monotonic() + seconds
    while (now := pilot.app.export_screenshot()) != before:
        assert time.monotonic() < deadline, "the picture does not come to rest"
        before = now
        await pilot.pause(0.4)


def drawn(app: WhisperctlApp) -> str:
    """All that leaves for the terminal."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(part.text for part in strip) for strip in strips)
