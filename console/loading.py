"""The load series that the console runs: follows its events and keeps what the screens show."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
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
from loadtest.outlook import Outlook, outlook
from loadtest.plan import LoadPlan
from loadtest.runfile import Run, TimelineRow
from loadtest.sessions import SessionBoard
from loadtest.shards import LoadError
from loadtest.verdict import Verdict, clients_text, outcome, plan_text, step_text
from loadtest.watching import WatchOrder
from stack.engine import StackError

if TYPE_CHECKING:
    from console.app import WhisperctlApp


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of the series: planned, running, or with its run."""

    clients: int
    run_id: str = ""
    """"" until it has begun."""
    run: Run | None = None


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
        self._watched = WatchOrder()
        self.row: TimelineRow | None = None
        """The last second of the running step."""
        self.last_wer: float | None = None
        """Of the sessions that have ended, in this step or the one before."""
        self.runs: list[Run] = []
        """The finished steps of this series, or of the last one."""
        self.plan: LoadPlan | None = None
        """Of this series, or of the last one."""
        self.steps: list[StepView] = []
        """Of this series, or of the last one; of a search those that have begun."""
        self.outlook = Outlook((), 0.0, 0.0)
        """What the plan was said to come to."""
        self.board = SessionBoard()
        """The sessions of this step, or of the last one."""
        self.verdict: Verdict | None = None
        """Once the series is over."""
        self.started = 0
        """Series begun so far."""

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

    def watch(self, order: WatchOrder) -> None:
        """Say what of the sessions is looked at: what nobody looks at costs nothing."""
        if order != self._watched:
            self._watched = order
            if self._controller is not None:
                self._controller.watch(order)

    @property
    def left(self) -> float | None:
        """Seconds until the series is over, about; None of a search: that depends on the steps."""
        load = self._app.live.load
        if load is None or self.plan is None or self.plan.find_capacity is not None:
            return None
        begun = sum(bool(step.run_id) for step in self.steps)
        coming = self.outlook.steps[begun:]
        last = self.outlook.steps[begun - 1] if begun else None
        rest = sum(step.seconds + self.plan.cool_down for step in coming)
        if last is None or load.stopping:
            return rest if last is None else max(0.0, last.seconds - load.elapsed)
        running = self.steps[begun - 1].run is None
        return rest + (max(0.0, last.seconds - load.elapsed) if running else 0.0)

    async def _run(self, plan: LoadPlan) -> None:
        app = self._app
        self._controller = controller = self._make_controller(plan)
        self.runs = []
        self.last_wer = None
        self.plan, self.outlook, self.verdict = plan, outlook(plan), None
        planned = plan.clients if plan.find_capacity is None else ()
        self.steps = [StepView(clients) for clients in planned]
        self.board = controller.board = SessionBoard()
        controller.watch(self._watched)
        self.started += 1
        app.live = replace(app.live, load=LoadView(audio=plan.duration or 0.0))
        try:
            async with aclosing(controller.run()) as events:
                async for event in events:
                    self._take(event)
            self.verdict = verdict = outcome(self.runs, controller.capacity)
            app.happened("load", verdict.sentence, "information" if verdict.passed else "warning")
        except (LoadError, ClipError, StackError) as error:
            self.verdict = Verdict(False, str(error))
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
                begun = StepView(event.clients, event.run_id)
                self.steps[event.step - 1 : event.step] = [begun]
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
                last = len(self.runs) - 1
                self.steps[last] = replace(self.steps[last], run=event.run)
                app.happened("load", " ".join(step_line(event.run).split()))
                app.live = replace(app.live)
            case SeriesFinished() if event.stopped:
                app.happened("load", "The series was stopped; what was measured is saved.")
            case _:
                pass
