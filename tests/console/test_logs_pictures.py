"""How the Logs screen looks: all parts, filtered, wide and narrow, dark and light."""

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from support.console import at_rest, until
from support.engine import FakeEngine
from textual.pilot import Pilot
from textual.widgets import Input

from console.app import WhisperctlApp
from console.screens.logs import LogsScreen
from console.widgets.log_view import LogView
from stack.spec import StackSpec
from stack.status import LogLine

Apps = Callable[..., WhisperctlApp]
Compare = Callable[..., bool]

pytestmark = pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="pictures were taken with Python 3.11"
)


class WritingEngine(FakeEngine):
    """Parts that have written something."""

    async def logs(
        self, replica: str | None = None, *, follow: bool = False, tail: int = 200
    ) -> AsyncIterator[LogLine]:
        sources = ("balancer", "replica-1", "replica-2", "replica-3", "supervisor")
        for number in range(100):
            source = sources[number * 7 % 5]
            stamp = f"2026-11-21 20:{30 + number // 60}:{number % 60:02},302"
            if number % 40 == 38:
                yield LogLine(source=source, text=f"{stamp} ERROR Session {number} failed.")
                yield LogLine(source=source, text="Traceback (most recent call last):")
                yield LogLine(source=source, text='  File "session.py", line 12, in play')
            elif number % 17 == 9:
                long = "the queue is longer than it was a minute ago, and grows; " * 3
                yield LogLine(source=source, text=f"{stamp} WARNING Session {number}: {long}")
            else:
                text = f"{stamp} INFO Session {number} [from] 127.0.0.1 took {number * 37} ms."
                yield LogLine(source=source, text=text)
        async for line in super().logs(replica, follow=follow, tail=0):
            yield line


@pytest.fixture
def app(make_app: Apps) -> WhisperctlApp:
    engine = WritingEngine(up=StackSpec(replicas=2))
    engine.lines = []
    return make_app(engine=engine)


async def opened(pilot: Pilot[Any]) -> WhisperctlApp:
    app = pilot.app
    assert isinstance(app, WhisperctlApp)
    await until(pilot, lambda: app.live.tick > 0)
    await pilot.press("4")
    await until(pilot, lambda: isinstance(app.screen, LogsScreen))
    await until(pilot, lambda: len(app.screen.query_one(LogView).entries) >= 100)
    app.screen.query_one(Input).cursor_blink = False
    return app


def test_all_parts_in_a_light_theme(app: WhisperctlApp, snap_compare: Compare) -> None:
    async def settle(pilot: Pilot[Any]) -> None:
        app.theme = "textual-light"
        await opened(pilot)
        await pilot.press("n")
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(140, 45), run_before=settle)


def test_all_parts_on_a_large_screen(app: WhisperctlApp, snap_compare: Compare) -> None:
    async def settle(pilot: Pilot[Any]) -> None:
        await opened(pilot)
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(250, 70), run_before=settle)


def test_one_part_filtered_on_a_small_screen(app: WhisperctlApp, snap_compare: Compare) -> None:
    async def settle(pilot: Pilot[Any]) -> None:
        app = await opened(pilot)
        app.open_log("replica-1")
        await pilot.press("slash", *r"~session \d+5", "enter")
        await until(pilot, lambda: len(app.screen.query_one(LogView).entries) < 10)
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)


def test_an_expression_that_is_none(app: WhisperctlApp, snap_compare: Compare) -> None:
    async def settle(pilot: Pilot[Any]) -> None:
        app = await opened(pilot)
        await pilot.press("slash", *"~(session")
        await until(pilot, lambda: app.screen.query_one("#filter").has_class("-bad"))
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)
