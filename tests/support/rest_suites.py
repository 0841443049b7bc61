"""Running REST measurements in tests."""

from collections.abc import Callable

from loadtest.rest.events import RestEvent, RestFinished
from loadtest.rest.report import RestReport
from loadtest.rest.store import read_report
from loadtest.rest.suite import Suite


async def finish(suite: Suite) -> tuple[RestReport, list[RestEvent]]:
    """Run to the end."""
    events = [event async for event in suite.run()]
    last = events[-1]
    assert isinstance(last, RestFinished)
    assert read_report(last.path) == last.report
    return last.report, events


async def follow(suite: Suite, at: Callable[[RestEvent], None]) -> None:
    """Run to the end, and do something at each event."""
    async for event in suite.run():
        at(event)
