"""The console: a Textual app over an engine, a store of runs and a load controller.

Workers on the app watch the stack, sample it and follow the load; they put what they see into one
frozen snapshot, ``live``, which the screens draw. Nothing here blocks the event loop.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import ClassVar, Final

from textual import work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import HelpPanel

from console.commands import SCREENS, possible
from console.demonstration import Demonstration
from console.glyphs import AsciiFilter, key_in_words
from console.history import History, Moment, live_latency
from console.keymap import check as check_keys
from console.keymap import no_such_theme
from console.live import Happening, Live
from console.loading import Loading
from console.operating import Operating
from console.operation import CHANGING
from console.orderly import OrderlyApp
from console.palette import in_palette
from console.preferences import Preferences
from console.sampling import Sampling, Severity
from console.saved_plans import PlanStore, plans_directory
from console.screens.dashboard import DashboardScreen
from console.screens.dialogs import ask_leave, ask_stop
from console.screens.doctor import DoctorScreen
from console.screens.load import LoadScreen
from console.screens.logs import LogsScreen
from console.screens.runs import RunsScreen
from console.target import at_balancer
from console.widgets.help_sheet import HelpSheet
from loadtest.controller import LoadController
from loadtest.plan import LoadPlan
from loadtest.runfile import Run
from loadtest.store import RunStore
from stack.engine import Engine, StackError
from stack.spec import StackSpec
from stack.status import GpuSample, StackState, StackStatus

_STATUS_INTERVAL: Final = 0.5
_SAMPLE_INTERVAL: Final = 1.0
_HAPPENINGS_KEPT: Final = 200
_SETTLED: Final = 5.0
"""Seconds after which all that a console needs has been made."""


class WhisperctlApp(OrderlyApp):
    """Watch and operate one stack, put load on it, compare runs."""

    TITLE = "whisperctl"
    CSS_PATH = "styles.tcss"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[None]]]] = {
        "dashboard": DashboardScreen,
        "load": LoadScreen,
        "runs": RunsScreen,
        "logs": LogsScreen,
        "doctor": DoctorScreen,
    }
    DEFAULT_MODE = "dashboard"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(
                str(number),
                f"show('{name}')",
                title,
                id=f"app.{name}",
                tooltip=tooltip,
                show=False,
            )
            for number, (name, title, tooltip) in enumerate(SCREENS, start=1)
        ),
        Binding(
            "question_mark", "help", "Help", key_display="?", id="app.help", tooltip="All keys"
        ),
        Binding(
            "f1", "help", "Help", priority=True, show=False, id="app.help_key", tooltip="All keys"
        ),
        Binding("escape", "close_help", "Close help", priority=True, show=False),
        Binding("q", "leave", "Quit", id="app.quit", tooltip="Leave the console"),
    ]

    live: reactive[Live] = reactive(
        Live(StackStatus(name="–", state=StackState.ABSENT)),
        init=False,
        always_update=True,
        repaint=False,  # the screens show what changed; otherwise all of it is drawn each time
    )

    def __init__(
        self,
        *,
        engine: Engine,
        spec: StackSpec,
        plan: LoadPlan,
        store: RunStore,
        make_controller: Callable[[LoadPlan], LoadController],
        cards: Callable[[], tuple[GpuSample, ...]] = tuple,
        demo: bool = False,
        preferences: Preferences | None = None,
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self._preferences = preferences or Preferences()
        self._ascii = AsciiFilter(enabled=ascii_only)
        self.ascii_only = ascii_only
        """Whether nothing but ASCII may be drawn."""
        self.engine = engine
        self.spec = spec
        self.own_plan = self.plan = plan
        self.plans = PlanStore(plans_directory(), plan)
        self.store = store
        self.history = History()
        self.loading = Loading(self, make_controller)
        self.operating = Operating(self)
        self._demonstration = Demonstration(self) if demo else None
        self._happenings: deque[Happening] = deque(maxlen=_HAPPENINGS_KEPT)
        self._seen_event = 0
        self._sampling = Sampling(engine, cards, self.happened)
        self.set_reactive(
            WhisperctlApp.live, Live(StackStatus(name=spec.name, state=StackState.ABSENT))
        )

    @property
    def slo_latency(self) -> float | None:
        """Seconds: the SLO's limit of p95 latency."""
        return self.plan.slo.p95_latency

    def on_mount(self) -> None:
        """Begin watching."""
        self._prefer()
        self._follow_status()
        self._sample()
        if not self.is_headless:
            # What there is by then stays: collecting it again and again would take frames.
            self.set_timer(_SETTLED, gc.freeze)
        if self._demonstration is not None:
            self.run_worker(self._demonstration.play(), group="demo")

    def _prefer(self) -> None:
        """Do as the person wishes, and say what can't be done."""
        wishes = self._preferences
        keymap, problems = check_keys(wishes.keys)
        self.set_keymap(keymap)
        if wishes.console.theme in self.available_themes:
            self.theme = wishes.console.theme
        elif wishes.console.theme is not None:
            problems.append(no_such_theme(wishes.console.theme))
        for problem in (*wishes.problems, *problems):
            self.say(problem, severity="warning")
            self.happened("preferences", problem, "warning")

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Return what is done to all that is drawn; ASCII comes last."""
        filters = super().get_line_filters()
        return [*filters, self._ascii] if self._ascii.enabled else filters

    def get_key_display(self, binding: Binding) -> str:
        """Write a key as it stands in footer and help."""
        display = super().get_key_display(binding)
        return key_in_words(display) if self._ascii.enabled else display

    # --- watching -------------------------------------------------------------------------------

    @work(exclusive=True, group="status")
    async def _follow_status(self) -> None:
        while True:
            try:
                async for status in self.engine.watch(interval=_STATUS_INTERVAL):
                    self._take_events(status)
                    self.live = replace(self.live, status=status)
                    self.operating.in_sight()
                    self._publish()
            except StackError as error:
                self.operating.lost_sight(error)
            await asyncio.sleep(_SAMPLE_INTERVAL)

    def _take_events(self, status: StackStatus) -> None:
        if status.state is StackState.ABSENT:
            self._seen_event = 0
        for event in status.events:
            if event.sequence > self._seen_event:
                self._seen_event = event.sequence
                self._happenings.append(
                    Happening(event.time, event.subject, event.text, event.severity)
                )

    @work(exclusive=True, group="samples")
    async def _sample(self) -> None:
        moment = time.monotonic()
        while True:
            samples, cards = await self._sampling.read(stack=not self.live.absent)
            load, row = self.live.load, self.loading.row
            self.history.add(
                Moment(
                    time=time.monotonic(),
                    samples=samples,
                    latency=live_latency(row) if row else (None, None, None),
                    wer=self.loading.last_wer if load else None,
                    step=load.step if load else 0,
                )
            )
            self.live = self.live.with_samples(samples, cards)
            moment = max(moment + _SAMPLE_INTERVAL, time.monotonic())
            await asyncio.sleep(moment - time.monotonic() or _SAMPLE_INTERVAL)

    def _publish(self) -> None:
        self.live = replace(self.live, happenings=tuple(self._happenings))

    def set_busy(self, what: str) -> None:
        """Show what is being done to the stack; nothing with ``""``."""
        self.live = replace(self.live, busy=what, busy_since=time.time() if what else 0.0)

    def happened(self, subject: str, text: str, severity: Severity = "information") -> None:
        """Add a line to the events."""
        self._happenings.append(Happening(time.time(), subject, text, severity))
        self._publish()

    def failed(self, subject: str, error: Exception) -> None:
        """Show a sentence for a while, and keep it in the events."""
        self.say(str(error), severity="error")
        self.happened(subject, str(error), "error")

    def say(self, text: str, *, severity: Severity = "information") -> None:
        """Show a sentence for a while."""
        self.notify(text, severity=severity, markup=False, timeout=8)

    # --- operating the stack and loading it -------------------------------------------------------

    def action_up(self) -> None:
        """Bring the stack up."""
        self.operating.up()

    def action_scale_by(self, difference: int) -> None:
        """Ask for so many replicas more."""
        self.operating.scale_by(difference)

    def action_down(self) -> None:
        """Take the stack down, asking first where that would cut sessions."""
        self.operating.start(self.operating.ask_down())

    def open_log(self, replica: str) -> None:
        """Open a replica's log."""
        self.switch_mode("logs")
        self.call_after_refresh(self._choose_log, replica)

    def _choose_log(self, replica: str) -> None:
        if isinstance(self.screen, LogsScreen):
            self.screen.choose(replica)

    async def action_load(self) -> None:
        """Ask what load."""
        came_from = self.current_mode
        # Waited for: what is typed next is meant for the form.
        await self.switch_mode("load")
        if isinstance(self.screen, LoadScreen):
            self.screen.open_form(came_from)

    def start_load(self, plan: LoadPlan, *, elsewhere: bool) -> None:
        """Put load on the console's stack, or on the plan's own server."""
        self.plan = plan
        self.loading.start(plan if elsewhere else at_balancer(plan, self.live.status))

    async def play_series(self, plan: LoadPlan) -> list[Run]:
        """Put load on the running stack and return the saved runs."""
        self.loading.start(at_balancer(plan, await self.engine.status()))
        await self.loading.over()
        return self.loading.runs

    @work
    async def action_stop_load(self) -> None:
        """Ask how to stop the series, and do it."""
        answer = await self.push_screen_wait(ask_stop())
        if answer in {"now", "step"}:
            self.loading.stop(after_step=answer == "step")

    # --- going around ---------------------------------------------------------------------------

    def action_show(self, mode: str) -> None:
        """Show one of the console's screens."""
        self.switch_mode(mode)

    def action_help(self) -> None:
        """Show or hide the keys of what has the focus."""
        if self.screen.query(HelpPanel):
            self.action_hide_help_panel()
        else:
            self.action_show_help_panel()

    def action_show_help_panel(self) -> None:
        """Show the keys of what has the focus."""
        if not self.screen.query(HelpSheet):
            self.screen.mount(HelpSheet())

    def action_close_help(self) -> None:
        """Hide the keys."""
        self.action_hide_help_panel()

    async def action_quit(self) -> None:
        """Leave by way of the question, however quitting was asked for."""
        self.action_leave()

    @work(exclusive=True, group="leave")
    async def action_leave(self) -> None:
        """Leave; asks whether the stack stays up, and ends a load in order."""
        demo = self._demonstration
        if demo is not None and demo.ending is not None:
            # It is taking its stack down: nothing to ask, and no leaving it half.
            await demo.ending.wait()
            self._leave()
            return
        answer: str | None = "keep"
        if not self.live.absent or self.live.busy:
            question = ask_leave(
                self.live.status.name,
                self.operating.cost_of_leaving,
                loading=self.loading.running,
                coming=not self.live.status.ready_replicas,
            )
            answer = await self.push_screen_wait(question)
            if answer not in {"keep", "down"}:
                return
        if demo is not None:
            demo.handed_over = True
        await self.loading.end()
        if answer == "keep":
            await self.operating.settle()
        elif not await self._take_down_to_leave():
            return
        self._leave()

    async def on_unmount(self) -> None:
        """Let go of what samples came through."""
        await self.engine.close()

    async def end_in_order(self) -> None:
        """Save what a load has measured; the stack stays as it is, but for a demonstration's."""
        await self.loading.end()
        await self.operating.settle()

    @property
    def ending_code(self) -> int:
        """A demonstration's verdict."""
        return self._demonstration.exit_code if self._demonstration else 0

    def _leave(self) -> None:
        self.exit(return_code=self.ending_code)

    async def _take_down_to_leave(self) -> bool:
        for group in CHANGING:
            self.workers.cancel_group(self, group)
        self.set_busy("taking down …")
        try:
            await self.engine.down()
        except StackError as error:
            self.set_busy("")
            self.failed("stack", error)
            return False
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Grey out what can't be done now."""
        if action == "close_help":
            return bool(self.screen_stack and self.screen.query(HelpSheet))
        if action == "show":
            return self.current_mode not in parameters
        return True if possible(self.live).get(action, True) else None

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer everything in the command palette, too."""
        yield from in_palette(self, screen, super().get_system_commands(screen))
