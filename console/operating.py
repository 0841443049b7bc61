"""What the console does to the stack; how each operation went is told and kept in the events.

Sessions or data that would be lost are asked about first, with the count of that moment; where
nothing is lost there is no question. What else is asked for at the same time, here or from a shell,
adds up in the stack's own state: nothing here assumes to be alone.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from console import building
from console.operation import Operation, Running, capital
from console.pressing import Presses
from console.rendering.losing import Lost, lost, what_becomes
from console.rendering.stack_lines import seconds_text
from console.screens.dialogs import ask_cost, ask_down
from console.screens.operation_dialogs import ModelDialog, NumberDialog, StrategyDialog
from stack.engine import StackError
from stack.spec import MAX_REPLICAS, Strategy
from stack.status import StackState, StackStatus

if TYPE_CHECKING:
    from console.app import WhisperctlApp

PATIENCE: Final = 3600.0
"""Seconds that a replica may take to come: a model may have to be downloaded; Escape ends it."""
_LOOK: Final = 2.0
"""Seconds to ask how many sessions are open, before that is called unknown."""
_REPORT: Final = 0.3
"""Seconds between two lines of a builder that are shown."""


class Operating(Running):
    """Starts operations, asks before something is lost, and says how they went."""

    def __init__(self, app: "WhisperctlApp") -> None:
        super().__init__(app)
        self._presses = Presses(self._wanted_changed)
        self._scaling: Operation | None = None

    # --- up and down ----------------------------------------------------------------------------

    def up(self) -> None:
        """Bring the stack up."""
        if self._refused():
            return
        fresh = self._app.live.absent
        operation = Operation("bringing up", time.time(), whole=True)
        if fresh:
            operation.back = lambda: self._stop_bringing_up(operation)
            operation.hint = "esc takes it down again"
        self._begin(operation, self._bring_up())

    async def _bring_up(self) -> None:
        spec = self._app.spec
        try:
            await self._app.engine.up(spec, timeout=PATIENCE)
        except StackError as error:
            image = building.image_of(spec)
            if image is None or building.MISSING not in str(error):
                raise
            self.start(self._offer_image(str(error)))

    async def _offer_image(self, why: str) -> None:
        question = ask_cost(
            "Build the image now?", lambda: f"{why} It takes some minutes.", "Build"
        )
        if await self._app.push_screen_wait(question) == "yes" and await self.build_image():
            self.up()

    async def ask_to_build(self) -> None:
        """Build the image."""
        await self.build_image()

    async def build_image(self) -> bool:
        """Build the image of the stack's containers; returns whether it is there now."""
        image = building.image_of(self._app.spec)
        if image is None:
            return False
        stop = threading.Event()
        operation = Operation(f"building image {image}", time.time(), hint="esc stops it")

        async def back() -> str:
            stop.set()
            return f"Image {image} is not built; what was done is kept for next time."

        operation.back = back
        told = 0.0

        def report(line: str) -> None:
            nonlocal told
            if time.monotonic() - told >= _REPORT:
                told = time.monotonic()
                self._app.call_from_thread(self._change, operation, step=line[:100])

        work = asyncio.to_thread(
            building.build, image, cuda=bool(self._app.live.cards), report=report, stop=stop
        )
        self._begin(operation, work)
        await operation.over.wait()
        return operation.succeeded

    async def _stop_bringing_up(self, operation: Operation) -> str:
        self._change(operation, what="taking down again", hint="")
        if operation.task is not None:
            operation.task.cancel()
            with suppress(asyncio.CancelledError, StackError):
                await operation.task
        status = await self._app.engine.status()
        if status.state is StackState.ABSENT:
            return "Bringing up was stopped; nothing of the stack is left."
        return (
            f"Bringing up was stopped; {len(status.replicas)} replicas are left: press d to take "
            "them down."
        )

    async def ask_down(self) -> None:
        """Take the stack down; asks first where that cuts sessions or spoils a series."""
        cost = await self._cost(None)
        answer: str | None = "down"
        if cost or self._app.loading.running:
            answer = await self._app.push_screen_wait(
                ask_down(self._app.live.status.name, self._cost_of_down)
            )
        if answer in {"down", "drain"}:
            self.down(drain=answer == "drain")

    def _cost_of_down(self) -> str:
        found = lost(self._app.live.status, self._app.live.samples)
        text = f"{capital(found.phrase)} would be cut." if found else "No session is open."
        return f"{text} The load series fails." if self._app.loading.running else text

    def cost_of_leaving(self) -> str:
        """Say what taking the stack down would cut, where somebody else talks to it."""
        found = lost(self._app.live.status, self._app.live.samples)
        if not found or self._app.loading.running:
            return ""
        return f" Taking it down would cut {found.phrase}."

    def down(self, *, drain: bool) -> None:
        """Take the stack down; asked again without ``drain`` it waits no longer for sessions."""
        spec = self._app.live.status.spec
        drains = spec.drain_timeout if drain and spec is not None else 0.0
        for other in self._running:
            other.taken_back = True  # what it fails with now was asked for
        what = "draining, then taking down" if drain else "taking down"
        self._presses.forget()
        self._begin(
            Operation(what, time.time(), hint="d again ends it at once" if drain else ""),
            self._app.engine.down(drain=drain, timeout=drains + 60.0),
        )

    # --- how many -------------------------------------------------------------------------------

    def scale_by(self, difference: int) -> None:
        """Ask for so many replicas more; presses add up, and the wanted number shows at once."""
        spec = self._app.live.status.spec
        if self._refused() or spec is None:
            return
        ready = self._app.live.status.ready_replicas
        problem = self._presses.press(difference, spec.replicas, ready, MAX_REPLICAS)
        if problem:
            self._app.say(problem, severity="warning")
        if self._presses.pending and not self._presses.settling:
            self._presses.settling = True
            self.start(self._settle_presses())

    def _wanted_changed(self, wanted: int | None) -> None:
        self._app.live = replace(self._app.live, wanted=wanted)

    async def _settle_presses(self) -> None:
        try:
            while difference := await self._presses.settled():
                await self.scale_to_difference(difference)
                self._presses.passed_on(difference)
        finally:
            self._presses.settling = False
            self._presses.forget()

    async def ask_number(self) -> None:
        """Ask how many replicas, and scale."""
        if (wanted := await self._app.push_screen_wait(NumberDialog(self._app))) is not None:
            await self.scale_to(wanted)

    async def scale_to(self, wanted: int) -> None:
        """Ask for an exact number of replicas; what that costs has been said and agreed to."""
        spec = self._app.live.status.spec
        if spec is not None and not self._refused() and wanted != spec.replicas:
            await self._scale(spec.replicas, lambda: self._app.engine.scale(wanted, wait=False))

    async def scale_to_difference(self, difference: int) -> None:
        """Ask for so many more or fewer; asks first where sessions may be ended."""
        going = self._going(difference)
        if difference < 0 and await self._cost(going):
            plural = len(going) != 1
            question = f"{', '.join(going)} {'go' if plural else 'goes'}."
            if not await self._agreed(question, going, "Drain and end"):
                return
        spec = self._app.live.status.spec
        before = 0 if spec is None else spec.replicas
        engine = self._app.engine
        await self._scale(before, lambda: engine.scale_by(difference, wait=False))

    def _going(self, difference: int) -> list[str]:
        wanted = [one.name for one in self._app.live.status.replicas if one.wanted]
        return wanted[difference:] if difference < 0 else []

    async def _scale(self, before: int, order: Callable[[], Awaitable[StackStatus]]) -> None:
        engine = self._app.engine
        try:
            status = await order()
        except StackError as error:
            self._app.failed("stack", error)
            return
        count = status.spec.replicas if status.spec is not None else 0
        self._app.live = replace(self._app.live, status=status)
        if self._scaling in self._running:
            assert self._scaling is not None  # noqa: S101
            self._change(self._scaling, what=f"scaling to {count}")
            return
        operation = Operation(
            f"scaling to {count}",
            time.time(),
            back=lambda: self._scale_back(operation, before),
            hint=f"esc goes back to {before}",
        )
        self._scaling = operation
        # Asking for none more only waits, and starts a supervisor anew if one is killed meanwhile.
        self._begin(operation, engine.scale_by(0, wait=True, timeout=PATIENCE))

    async def _scale_back(self, operation: Operation, before: int) -> str:
        going = [one.name for one in self._app.live.status.replicas if one.wanted][before:]
        if await self._cost(going) and not await self._agreed(
            f"Going back to {before} replicas: {', '.join(going)} go.", going, "Go back"
        ):
            operation.taken_back = False
            return "Scaling goes on."
        await self._app.engine.scale(before, wait=False)
        self._change(operation, what=f"going back to {before}", hint="")
        return f"Scaling was taken back; the stack is to have {before} replicas again."

    # --- one replica ----------------------------------------------------------------------------

    async def restart(self, replica: str) -> None:
        """Replace one replica's process; asks first where it has sessions."""
        if self._refused(replica):
            return
        if await self._cost([replica]) and not await self._agreed(
            f"Restart {replica}?", [replica], "Restart"
        ):
            return
        self._begin(
            Operation(f"restarting {replica}", time.time()),
            self._app.engine.restart(replica, timeout=PATIENCE),
        )

    async def kill(self, replica: str) -> None:
        """End one replica at once; asks first where it has sessions."""
        if self._refused():
            return
        if await self._cost([replica]):
            question = ask_cost(f"Kill {replica}?", lambda: self._cut(replica), "Kill")
            if await self._app.push_screen_wait(question) != "yes":
                return
        self._begin(
            Operation(f"killing {replica}, and starting it again", time.time()),
            self._app.engine.kill(replica, timeout=PATIENCE),
        )

    def _cut(self, replica: str) -> str:
        found = lost(self._app.live.status, self._app.live.samples, [replica])
        if not found:
            return "No session is open there now."
        return f"{capital(found.phrase)} would be cut at once."

    async def drain(self, replica: str) -> None:
        """Let one replica go when its sessions have ended, or keep one that is going."""
        if self._refused():
            return
        now = next((one for one in self._app.live.status.replicas if one.name == replica), None)
        if now is not None and not now.wanted:
            await self._do(self._app.engine.undrain(replica))
            return
        if await self._cost([replica]) and not await self._agreed(
            f"Drain {replica}? It goes, and the stack has one less.", [replica], "Drain"
        ):
            return
        await self._do(self._app.engine.drain(replica))

    async def _do(self, operation: Awaitable[object]) -> None:
        try:
            await operation
        except StackError as error:
            self._app.failed("stack", error)

    # --- what it runs ---------------------------------------------------------------------------

    async def ask_strategy(self) -> None:
        """Ask how the balancer is to choose, and have it."""
        if (strategy := await self._app.push_screen_wait(StrategyDialog(self._app))) is not None:
            await self.change_strategy(strategy)

    async def ask_model(self) -> None:
        """Ask what the replicas are to run, and change it."""
        if (model := await self._app.push_screen_wait(ModelDialog(self._app))) is not None:
            await self.change_model(model)

    async def change_strategy(self, strategy: str) -> None:
        """Have the balancer choose another way for new sessions."""
        spec = self._app.live.status.spec
        if self._refused() or spec is None or spec.balancer.strategy == strategy:
            return
        self._begin(
            Operation(f"changing to {strategy.replace('_', ' ')}", time.time()),
            self._app.engine.change(strategy=Strategy(strategy), timeout=60.0),
        )

    async def change_model(self, model: str) -> None:
        """Have the replicas run another model, one after another."""
        spec = self._app.live.status.spec
        if self._refused() or spec is None or spec.replica.model == model:
            return
        before = spec.replica.model
        operation = Operation(
            f"changing to model '{model}'",
            time.time(),
            back=lambda: self._change_back(operation, before),
            hint="esc goes back",
        )
        self._begin(operation, self._app.engine.change(model=model, timeout=PATIENCE))

    async def _change_back(self, operation: Operation, before: str) -> str:
        await self._app.engine.change(model=before, wait=False)
        self._change(operation, what=f"going back to model '{before}'", hint="")
        return f"The change was taken back; the stack goes back to model '{before}'."

    # --- asking ---------------------------------------------------------------------------------

    async def _cost(self, names: Iterable[str] | None) -> Lost:
        """Count the open sessions of these replicas, or of all, as they are at this moment."""
        wanted = None if names is None else list(names)
        try:
            async with asyncio.timeout(_LOOK):
                samples = await self._app.engine.stats()
        except (StackError, TimeoutError):
            samples = {}
        self._app.live = replace(self._app.live, samples=samples)
        return lost(self._app.live.status, samples, wanted)

    async def _agreed(self, question: str, names: list[str], answer: str) -> bool:
        def becomes() -> str:
            live = self._app.live
            seconds = live.status.spec.drain_timeout if live.status.spec is not None else 0.0
            return what_becomes(lost(live.status, live.samples, names), seconds)

        return await self._app.push_screen_wait(ask_cost(question, becomes, answer)) == "yes"

    def _refused(self, replica: str = "") -> bool:
        """Say so if this can't be done now."""
        status = self._app.live.status
        why = ""
        if status.state is StackState.STOPPING or any(
            one.what.endswith("taking down") for one in self._running
        ):
            why = f"Stack '{status.name}' is going down; wait until it has."
        elif replica and any(one.what == f"restarting {replica}" for one in self._running):
            why = f"{replica} is being restarted already."
        if why:
            self._app.say(why, severity="warning")
        return bool(why)

    # --- losing sight of the stack --------------------------------------------------------------

    def lost_sight(self, error: Exception) -> None:
        """Say once why the stack can't be looked at; what was seen last stays."""
        sentence = str(error)
        if sentence == self._app.live.trouble:
            return
        since = self._app.live.trouble_since or time.time()
        self._app.live = replace(self._app.live, trouble=sentence, trouble_since=since)
        self._app.failed("stack", error)

    def in_sight(self) -> None:
        """Say that the stack can be looked at again."""
        live = self._app.live
        if live.trouble:
            lasted = seconds_text(time.time() - live.trouble_since)
            self._app.live = replace(live, trouble="", trouble_since=0.0)
            self._app.happened("stack", f"It answers again, after {lasted}.")
