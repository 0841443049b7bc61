"""The load: its plan, then its steps, its sessions and what they say."""

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.widgets import Button, ContentSwitcher, Footer, Static

from console.live import Live
from console.rendering.steps import elsewhere_text, left_text, running_text, verdict_text
from console.screens.analysis import AnalysisScreen
from console.screens.base import ConsoleScreen
from console.screens.compare import CompareScreen
from console.screens.plans import NameDialog, PlansDialog
from console.widgets.plan_form import PlanForm
from console.widgets.screen_bar import ScreenBar
from console.widgets.sessions import SessionChosen, Sessions
from console.widgets.step_table import StepTable
from console.widgets.transcript import Transcript
from loadtest.analysis.series import analyse
from loadtest.elsewhere import running_steps
from loadtest.runfile import Run
from loadtest.store import RunFileError, RunStore
from loadtest.watching import WatchOrder

_LOOK_INTERVAL = 0.5
_ELSEWHERE_INTERVAL = 2.0


class LoadScreen(ConsoleScreen):
    """Put load on the stack and follow it."""

    HELP = """
## Load

Fill in what load, and `enter` starts it; what is wrong with a field stands under it. `ctrl+s` keeps
the plan under a name, `ctrl+o` shows those that were kept. While it runs: each step, each session,
and the text of the session under the cursor beside what it said. `g` turns between rows and glyphs.
Afterwards `a` says what the series found, and `c` holds it against the run before.
"""
    DEFAULT_CSS = """
    LoadScreen #load-state { height: auto; max-height: 4; padding: 0 2; }
    LoadScreen #elsewhere { height: auto; max-height: 4; padding: 0 2; color: $text-warning;
        display: none; }
    LoadScreen ContentSwitcher#load-views { height: 1fr; }
    LoadScreen #series { height: 1fr; }
    LoadScreen #load-panes { layout: vertical; height: 1fr; margin: 0 1; overflow: hidden; }
    LoadScreen.-wide #load-panes { layout: horizontal; }
    LoadScreen.-wide #sessions { width: 70; }
    LoadScreen.-wide #plan-steps { display: block; }
    LoadScreen.-short StepTable { max-height: 4; min-height: 2; border: none; margin: 0 1; }
    LoadScreen.-short #load-state { max-height: 3; }
    LoadScreen.-short #sessions { height: 7; }
    LoadScreen.-short.-wide #sessions { height: 1fr; }
    """
    # Not into a field: there a digit would be typed instead of opening a screen.
    AUTO_FOCUS = "#start"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "app.load", "Load", id="load.start", tooltip="Start a load series"),
        Binding("s", "app.stop_load", "Stop", id="load.stop", tooltip="Stop the load series"),
        Binding(
            "a",
            "analyse",
            "Analysis",
            id="load.analyse",
            tooltip="Analyse the series; what it found",
        ),
        Binding(
            "c",
            "compare",
            "Compare",
            id="load.compare",
            tooltip="Compare with the run before; the last step",
        ),
        Binding(
            "g",
            "turn",
            "Rows/glyphs",
            id="load.turn",
            tooltip="Sessions as rows or glyphs; the other of the two",
        ),
        Binding(
            "ctrl+s",
            "save_plan",
            "Save plan",
            id="load.save",
            tooltip="Save the load plan; under a name",
        ),
        Binding(
            "ctrl+o",
            "open_plan",
            "Plans",
            id="load.open",
            tooltip="Open a saved plan; fill in one, or delete one",
        ),
        Binding("escape", "back", "Back", id="load.back"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._series = 0
        """The series that is shown."""
        self._came_from = "dashboard"
        self._plan_name = ""

    def compose(self) -> ComposeResult:
        """Lay out the form, and the series in its place."""
        app = self.console_app
        yield ScreenBar("load")
        yield Static("", id="elsewhere", markup=False)
        with ContentSwitcher(initial="form", id="load-views"):
            yield PlanForm(app.own_plan, app.plan, id="form")
            with Vertical(id="series"):
                yield Static("", id="load-state")
                yield StepTable(id="step-table")
                with Container(id="load-panes"):
                    yield Sessions(id="sessions")
                    yield Transcript(id="transcript")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Follow the app's snapshots and the sessions."""
        self.watch(self.console_app, "live", self._show)
        self.set_interval(_LOOK_INTERVAL, self._look)
        self.set_interval(_ELSEWHERE_INTERVAL, self._look_elsewhere)

    # --- what is seen ---------------------------------------------------------------------------

    @property
    def _form_shown(self) -> bool:
        return self.query_one("#load-views", ContentSwitcher).current == "form"

    def open_form(self, came_from: str) -> None:
        """Show the form; escape leads back to where it was opened."""
        self._came_from = came_from
        self._switch("form")
        self.query_one(PlanForm).begin()

    def _switch(self, view: str) -> None:
        self.query_one("#load-views", ContentSwitcher).current = view
        self.refresh_bindings()

    def _show(self, live: Live) -> None:
        loading = self.console_app.loading
        self.query_one(PlanForm).hinder(_hindrance(live))
        if loading.started != self._series and loading.running:
            self._series = loading.started
            self._switch("series")
            self.query_one(Sessions).take_focus()
            self._watch()
        if self._series:
            self.query_one(StepTable).show(loading, live.load)
            self._say_state(live)
        self.refresh_bindings()

    def _say_state(self, live: Live) -> None:
        loading = self.console_app.loading
        if loading.verdict is not None:
            text = verdict_text(loading.verdict, runs=bool(loading.runs))
        else:
            search = loading.plan is not None and loading.plan.find_capacity is not None
            left = left_text(loading.steps, live.load, loading.left, search=search)
            text = running_text(live.load, left)
        self.query_one("#load-state", Static).update(text)

    def _look(self) -> None:
        """Show the sessions, a few times a second."""
        if self.app.screen is not self or self._form_shown:
            return
        loading = self.console_app.loading
        sessions = self.query_one(Sessions)
        sessions.show(loading.board)
        self.query_one(Transcript).show(loading.board, sessions.client)

    @work(exclusive=True, group="elsewhere")
    async def _look_elsewhere(self) -> None:
        """Say what is known of load that this console did not start."""
        app = self.console_app
        if app.screen is not self:
            return
        own = frozenset(step.run_id for step in app.loading.steps)
        steps = await asyncio.to_thread(running_steps, app.store.directory, own=own)
        sessions = 0 if app.loading.running else app.live.open_sessions
        text = elsewhere_text(steps, sessions)
        # The screen may have been left for good meanwhile.
        for notice in self.query("#elsewhere").results(Static):
            notice.display = bool(text)
            notice.update(f"◂ {text}")

    @on(SessionChosen)
    def _session_chosen(self) -> None:
        self._watch()
        self._look()

    def _watch(self) -> None:
        looked_at = self.app.screen is self and not self._form_shown
        client = self.query_one(Sessions).client
        order = WatchOrder(sessions=True, client=client) if looked_at else WatchOrder()
        self.console_app.loading.watch(order)

    def on_screen_resume(self) -> None:
        """Look at the sessions again."""
        super().on_screen_resume()
        self._watch()
        self._look()
        self._look_elsewhere()

    def on_screen_suspend(self) -> None:
        """Sessions that nobody sees are not asked for."""
        self.console_app.loading.watch(WatchOrder())

    # --- the plan -------------------------------------------------------------------------------

    @on(PlanForm.Start)
    def _start(self, event: PlanForm.Start) -> None:
        self.console_app.start_load(event.plan, elsewhere=event.elsewhere)

    @on(PlanForm.Save)
    @work(exclusive=True, group="plan")
    async def action_save_plan(self) -> None:
        """Keep the plan in the form under a name."""
        draft = self.query_one(PlanForm).draft
        if draft.plan is None:
            self.console_app.say("Mend what is wrong in the form first.", severity="warning")
            return
        name = await self.app.push_screen_wait(
            NameDialog(
                self.console_app.plans,
                draft.plan,
                elsewhere=draft.elsewhere,
                name=self._plan_name,
            )
        )
        if name is not None:
            self._plan_name = name
            self.console_app.say(f"The plan is kept as '{name}'.")

    @on(PlanForm.Open)
    @work(exclusive=True, group="plan")
    async def action_open_plan(self) -> None:
        """Choose a saved plan, and fill it in."""
        entry = await self.app.push_screen_wait(PlansDialog(self.console_app.plans))
        if entry is not None and entry.plan is not None:
            self._plan_name = entry.name
            self.query_one(PlanForm).fill(entry.plan, elsewhere=entry.elsewhere)
            self.query_one("#start", Button).focus()

    # --- after the series -----------------------------------------------------------------------

    def action_turn(self) -> None:
        """Turn between rows and glyphs."""
        self.query_one(Sessions).turn(self.console_app.loading.board)

    def action_analyse(self) -> None:
        """Say what the series found."""
        self._analyse(list(self.console_app.loading.runs))

    @work(thread=True, exclusive=True, group="analyse")
    def _analyse(self, runs: list[Run]) -> None:
        screen = AnalysisScreen(analyse(runs), runs[0].test_configuration.slo.p95_latency)
        self.console_app.call_from_thread(self.console_app.push_screen, screen)

    def action_compare(self) -> None:
        """Hold the last run of the series against the one before it."""
        self._compare(list(self.console_app.loading.runs))

    @work(thread=True, exclusive=True, group="compare")
    def _compare(self, runs: list[Run]) -> None:
        app = self.console_app
        try:
            before = run_before(app.store, runs)
        except RunFileError as error:
            app.call_from_thread(app.say, str(error), severity="error")
            return
        if before is None:
            text = "There is no earlier run to compare with."
            app.call_from_thread(app.say, text, severity="warning")
            return
        app.call_from_thread(app.push_screen, CompareScreen([before, runs[-1]]))

    def action_back(self) -> None:
        """Leave the form for the series that is shown, or the screen."""
        if self._form_shown and self._came_from == "load" and self._series:
            self._switch("series")
            self.query_one(Sessions).take_focus()
            return
        came_from, self._came_from = self._came_from, "dashboard"
        if self._series:
            self._switch("series")
        self.console_app.action_show("dashboard" if came_from == "load" else came_from)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Offer what belongs to what is seen."""
        if not self.is_mounted:
            return True
        loading = self.console_app.loading
        match action:
            case "save_plan" | "open_plan":
                return self._form_shown
            case "turn":
                return not self._form_shown
            case "analyse" | "compare":
                over = bool(loading.runs) and not loading.running
                return over and not self._form_shown
            case _:
                return True


def run_before(store: RunStore, runs: list[Run]) -> Run | None:
    """Return the run to hold the last of ``runs`` against; None where there is none.

    The newest of another series with as many clients, else the step before, else the newest of
    another series. Raises RunFileError; blocking.
    """
    last = runs[-1]
    others = [
        entry
        for entry in store.entries()
        if entry.problem is None and entry.series_id != last.series_id
    ]
    alike = [one for one in others if one.clients == last.test_configuration.num_clients]
    if alike:
        return store.load(str(alike[0].path))
    if len(runs) > 1:
        return runs[-2]
    return store.load(str(others[0].path)) if others else None


def _hindrance(live: Live) -> str:
    if live.load is not None:
        return "A load series runs: stop it first, or wait for its end."
    server = "or name another server under Server"
    if live.absent:
        return f"This stack is not up: esc, then u brings it up; {server}."
    if not live.status.ready_replicas:
        return f"No replica of this stack is ready yet: wait, {server}."
    return ""
