"""Progress of a REST measurement: one moving line on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType
from typing import Final, Self

from rich.console import Console

from console.rest_render import amount_text, rest_details, rest_step_line
from loadtest.rest.events import (
    RestEvent,
    RestFinished,
    RestNote,
    RestProgress,
    RestStarted,
    RestStepFinished,
    RestStepStarted,
)
from loadtest.verdict import clients_text, replicas_text

_PLAIN_INTERVAL: Final = 10.0
"""Seconds between two plain lines: a log should stay readable."""


class RestView:
    """Shows events as they come; with ``as_json`` on standard error, so that output is JSON alone.

    Nothing moves between events: this process measures, too.
    """

    def __init__(self, *, as_json: bool = False, console: Console | None = None) -> None:
        stream = sys.stderr if as_json else sys.stdout
        self._console = console or Console(file=stream, highlight=False)
        self._live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._step = ""
        self._next = _PLAIN_INTERVAL
        self._moving = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clear()

    def note(self, text: str) -> None:
        """Print a sentence."""
        self._clear()
        self._console.print(text, markup=False, soft_wrap=not self._live)

    def show(self, event: RestEvent) -> None:
        """Print what is worth a line, or change the moving one."""
        match event:
            case RestStarted():
                self.note(f"POST {event.plan.url}")
                self.note(f"{amount_text(event.plan)}, each after a warm-up that doesn't count")
            case RestNote():
                self.note(event.text)
            case RestStepStarted():
                self._step = clients_text(event.concurrency)
                if event.replicas is not None:
                    self._step = replicas_text(event.replicas)
                self._next = _PLAIN_INTERVAL
                self._move(f"{self._step:>11}  warming up")
            case RestProgress() if self._live:
                self._move(f"{self._step:>11}  {_progress(event)}")
            case RestProgress() if event.elapsed >= self._next:
                self._next += _PLAIN_INTERVAL
                self.note(f"{self._step:>11}  {_progress(event)}")
            case RestStepFinished():
                self.note(rest_step_line(event.step))
            case _:
                pass

    def finish(self, event: RestFinished) -> None:
        """Print the whole result and where it is saved."""
        self._clear()
        self._console.print()
        self._console.print(rest_details(event.report))
        self._console.print(f"saved {event.path}", markup=False, soft_wrap=True)

    def _move(self, text: str) -> None:
        """Write over the moving line; nothing where lines can't be written over."""
        if self._live:
            self._clear()
            self._console.file.write(text[: self._console.width - 1])
            self._console.file.flush()
            self._moving = True

    def _clear(self) -> None:
        if self._moving:
            self._console.file.write("\r\x1b[2K")
            self._moving = False


def _progress(event: RestProgress) -> str:
    failed = f"  {event.failed} failed" if event.failed else ""
    if event.of is not None:
        return f"{event.done} of {event.of} requests  {event.elapsed:.0f} s{failed}"
    return f"{event.elapsed:.0f} of {event.duration:g} s  {event.done} requests{failed}"
