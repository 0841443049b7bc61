"""Operations that go on: shown meanwhile, told afterwards, taken back where that is safe."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from console.rendering.stack_lines import seconds_text
from stack.engine import StackError

if TYPE_CHECKING:
    from console.app import WhisperctlApp

GROUP: Final = "operations"
"""The group of workers that change the stack."""
CHANGING: Final = (GROUP, "demo")
"""All groups whose workers do that."""
_WORTH_TELLING: Final = 1.0
"""Seconds from which on an event says how long an operation took."""


@dataclass(eq=False, slots=True)
class Operation:
    """One that goes on."""

    what: str
    """As the bar says it, such as ``bringing up``."""
    began: float
    """Seconds since the epoch."""
    back: Callable[[], Awaitable[str]] | None = None
    """Takes it back as far as that is safe, and says what is left."""
    hint: str = ""
    """What that does, such as ``esc goes back to 2``."""
    whole: bool = False
    """The console is not left before it is over."""
    task: asyncio.Task[object] | None = None
    taken_back: bool = False
    step: str = ""
    """What it is at, where the stack's own state doesn't tell."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    succeeded: bool = False


class Running:
    """The operations of one console."""

    def __init__(self, app: "WhisperctlApp") -> None:
        self._app = app
        self._running: list[Operation] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that may ask first."""
        self._app.run_worker(work, group=GROUP)

    def _begin(self, operation: Operation, doing: Awaitable[object]) -> None:
        self._running.append(operation)
        self._show()
        self._app.run_worker(self._operate(operation, doing), group=GROUP)

    async def _operate(self, operation: Operation, doing: Awaitable[object]) -> None:
        operation.task = asyncio.ensure_future(doing)
        try:
            await operation.task
        except StackError as error:
            if not operation.taken_back:
                self._app.failed("stack", error)
        except asyncio.CancelledError:
            if not operation.taken_back:
                raise
        else:
            operation.succeeded = True
            lasted = time.time() - operation.began
            if lasted >= _WORTH_TELLING and not operation.taken_back:
                self._app.happened(
                    "console", f"{capital(operation.what)} took {seconds_text(lasted)}."
                )
        finally:
            self._running.remove(operation)
            operation.over.set()
            self._show()

    def _show(self) -> None:
        newest = self._running[-1] if self._running else None
        self._app.live = replace(
            self._app.live,
            busy=newest.what if newest is not None else "",
            step=newest.step if newest is not None else "",
            busy_since=newest.began if newest is not None else 0.0,
            way_back=newest.hint if newest is not None else "",
        )

    def _change(
        self,
        operation: Operation,
        *,
        what: str | None = None,
        hint: str | None = None,
        step: str = "",
    ) -> None:
        operation.what = operation.what if what is None else what
        operation.hint = operation.hint if hint is None else hint
        operation.step = step
        self._show()

    @property
    def can_take_back(self) -> bool:
        """Whether something goes on that can be taken back."""
        return any(one.back is not None and not one.taken_back for one in self._running)

    async def take_back(self) -> None:
        """Take the newest operation back that can be, and say what is left."""
        for operation in reversed(self._running):
            if operation.back is None or operation.taken_back:
                continue
            operation.taken_back = True
            try:
                left = await operation.back()
            except StackError as error:
                self._app.failed("stack", error)
            else:
                self._app.say(left)
                self._app.happened("console", left)
            return
        self._app.say("Nothing goes on here that could be taken back.")

    async def settle(self) -> None:
        """Wait until what must not be cut off is over: bringing up would take the stack down."""
        whole = [one.task for one in self._running if one.whole and one.task is not None]
        demo = (worker.wait() for worker in self._app.workers if worker.group == "demo")
        await asyncio.gather(*whole, *demo, return_exceptions=True)


def capital(text: str) -> str:
    """Begin a sentence with what may be a phrase in the middle of one."""
    return text[:1].upper() + text[1:]
