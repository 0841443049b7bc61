"""Progress of a load series: a bar on a terminal, plain lines elsewhere."""

import sys
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from console.render import failure_lines, slo_line, step_line
from loadtest.events import (
    LoadEvent,
    SeriesFinished,
    SeriesStarted,
    StepFinished,
    StepProgress,
    StepStarted,
)
from loadtest.figures import Unit, format_figure
from loadtest.verdict import clients_text, run_notes, step_text

_PLAIN_INTERVAL: Final = 5.0
"""Seconds between two plain lines: a log should stay readable."""


class ProgressView(Protocol):
    """Shows the events of a series as they come."""

    def show(self, event: LoadEvent) -> None:
        """Show one event."""
        ...

    def note(self, text: str) -> None:
        """Show a sentence of our own."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End, whatever happened."""
        ...


def progress_view() -> ProgressView:
    """Return the view that fits standard output."""
    if sys.stdout.isatty():
        return TerminalView()
    return PlainView()


def _figures(event: StepProgress) -> str:
    words = format_figure(event.words.wer if event.words else None, Unit.FRACTION)
    failed = f"  {event.failed} failed" if event.failed else ""
    sessions = f"{event.row.sessions} session{'' if event.row.sessions == 1 else 's'}"
    p50 = format_figure(event.row.latency_p50, Unit.SECONDS)
    p95 = format_figure(event.row.latency_p95, Unit.SECONDS)
    return f"{sessions}  p50 {p50}  p95 {p95}  WER {words}{failed}"


def _print_finished(console: Console, event: StepFinished) -> None:
    """Print what a finished step measured, why sessions failed, the verdict and the file."""
    for line in (step_line(event.run), *failure_lines(event.run)):
        console.print(line, markup=False)
    for note in run_notes(event.run):
        console.print(note, style="red", markup=False)
    console.print(slo_line(event.run))
    if event.path is not None:
        console.print(f"saved {event.path}", markup=False)


class PlainView:
    """Lines for logs and pipes."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._next = 0.0
        self._expected = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def note(self, text: str) -> None:
        """Print a sentence."""
        self._console.print(text, markup=False)

    def show(self, event: LoadEvent) -> None:
        """Print what is worth a line."""
        match event:
            case SeriesStarted():
                self.note(f"Load on {event.plan.host}:{event.plan.port}")
            case StepStarted():
                self._next, self._expected = _PLAIN_INTERVAL, event.expected_duration
                self.note(
                    f"{step_text(event.step, event.steps)}: {clients_text(event.clients)}, "
                    f"about {event.expected_duration:.0f} s"
                )
            case StepProgress() if event.elapsed >= self._next:
                self._next += _PLAIN_INTERVAL
                self.note(f"  {event.elapsed:4.0f} of {self._expected:.0f} s  {_figures(event)}")
            case StepFinished():
                _print_finished(self._console, event)
            case SeriesFinished() if event.stopped:
                self.note("The series was stopped before its end.")
            case _:
                pass


class TerminalView:
    """A progress bar for the running step and a line for each finished one."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TimeElapsedColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self.console,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Print a sentence above the bar."""
        self._progress.console.print(text, markup=False)

    def show(self, event: LoadEvent) -> None:
        """Move the bar, or print a finished step above it."""
        match event:
            case StepStarted():
                self._task = self._progress.add_task(
                    f"{step_text(event.step, event.steps)}  {clients_text(event.clients)}",
                    total=event.expected_duration,
                    figures="starting",
                )
            case StepProgress() if self._task is not None:
                self._progress.update(self._task, completed=event.elapsed, figures=_figures(event))
            case StepFinished():
                if self._task is not None:
                    self._progress.remove_task(self._task)
                    self._task = None
                _print_finished(self._progress.console, event)
            case _:
                pass
