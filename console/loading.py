"""The load series that the console runs: follows its events and keeps what the screens show."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from console.live import LoadView
from console.render import step_line
from loadtest.clips import ClipError
from loadtest.controller import LoadController
from loadtest.events import (
    LoadEvent,
    SeriesFinished,
    SeriesStarted,
    StepFinished,
    StepProgress,
    StepStarted,
)
from loadtest.plan import LoadPlan
from loadtest.runfile import Run, TimelineRow
from loadtest.shards import LoadError
from loadtest.verdict import clients_text, outcome, plan_text, step_text
from stack.engine import StackError

if TYPE_CHECKING:
    from console.app import WhisperctlApp


class Loading:
    """One series at a time."""

    def __init__(
        self, app: "WhisperctlApp", make_controller: Callable[[LoadPlan], LoadController]
    ) -> None:
        self._app = app
        self._make_controller = make_controller
        self._controller: LoadController | None = None
        self._over = asyncio.Event()
        self._over.set()
        self.row: TimelineRow | None = None
        """The last second of the running step."""
        self.last_wer: float | None = None
        """Of the sessions that have ended, in this step or the one before."""
        self.runs: list[Run] = []
        """The finished steps of this series, or of the last one."""

    @property
    def running(self) -> bool:
        """Whether a series runs."""
        return self._controller is not None

    def start(self, plan: LoadPlan) -> None:
        """Begin a series; what becomes of it is in the app's snapshots and events."""
        self._over.clear()
        self._app.run_worker(self._run(plan), exclusive=True, group="load")

    async def over(self) -> None:
        """Wait until the series is over and saved."""
        await self._over.wait()

    def stop(self, *, after_step: bool) -> None:
        """End the series now or after this step; what was measured is saved."""
        load = self._app.live.load
        if self._controller is not None and load is not None:
            self._controller.stop(after_step=after_step)
            self._app.live = replace(self._app.live, load=replace(load, stopping=True))

    async def end(self) -> None:
        """End the series now and wait until it is saved."""
        if self._controller is not None:
            self.stop(after_step=False)
            await self.over()

    async def _run(self, plan: LoadPlan) -> None:
        app = self._app
        self._controller = controller = self._make_controller(plan)
        self.runs = []
        self.last_wer = None
        app.live = replace(app.live, load=LoadView(audio=plan.duration or 0.0))
        try:
            async with aclosing(controller.run()) as events:
                async for event in events:
                    self._take(event)
            verdict = outcome(self.runs, controller.capacity)
            app.happened("load", verdict.sentence, "information" if verdict.passed else "warning")
        except (LoadError, ClipError, StackError) as error:
            app.failed("load", error)
        finally:
            self._controller = self.row = None
            app.live = replace(app.live, load=None)
            self._over.set()

    def _take(self, event: LoadEvent) -> None:
        app = self._app
        load = app.live.load or LoadView()
        match event:
            case SeriesStarted():
                app.happened("load", f"{plan_text(event.plan)} begins.")
            case StepStarted():
                self.row = None
                app.live = replace(app.live, load=load.started(event))
                number = step_text(event.step, event.steps).capitalize()
                app.happened("load", f"{number}: {clients_text(event.clients)}.")
            case StepProgress():
                self.row = event.row
                if event.words is not None:
                    self.last_wer = event.words.wer
                app.live = replace(app.live, load=load.advanced(event))
            case StepFinished():
                self.runs.append(event.run)
                app.happened("load", " ".join(step_line(event.run).split()))
            case SeriesFinished() if event.stopped:
                app.happened("load", "The series was stopped; what was measured is saved.")
            case _:
                pass
