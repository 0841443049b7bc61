"""The demonstration in the console: stack up, series, comparison, verdict, stack down."""

import asyncio
from typing import TYPE_CHECKING

from console.screens.compare import CompareScreen
from loadtest.verdict import Verdict, demo_verdict
from stack.engine import StackError

if TYPE_CHECKING:
    # The app imports this module: at run time only that direction.
    from console.app import WhisperctlApp
    from console.sampling import Severity


class Demonstration:
    """Plays once, and knows how it went."""

    def __init__(self, app: "WhisperctlApp") -> None:
        self._app = app
        self.exit_code = 1
        """One left before its verdict has not passed."""
        self.handed_over = False
        """Somebody else decides what becomes of the stack."""
        self.ending: asyncio.Event | None = None
        """There while the stack is taken down; set when that is over."""

    async def play(self) -> None:
        """Play it; says the verdict and takes the stack down however it goes."""
        verdict = Verdict(False, "The demonstration was cut off.")
        try:
            self._app.set_busy("bringing up …")
            await self._app.engine.up(self._app.spec)
            self._app.set_busy("")
            if self.handed_over:
                return
            runs = await self._app.play_series(self._app.plan)
            if self.handed_over:
                return
            verdict = demo_verdict(runs)
            if len(runs) > 1:
                await self._app.push_screen(CompareScreen(runs, verdict=verdict))
        except StackError as error:
            verdict = Verdict(False, str(error))
        finally:
            if not self.handed_over:
                self.exit_code = 0 if verdict.passed else 1
                self._say(verdict.sentence, passed=verdict.passed)
                await asyncio.shield(self._end())

    def _say(self, sentence: str, *, passed: bool) -> None:
        severity: Severity = "information" if passed else "error"
        self._app.happened("demo", sentence, severity)
        self._app.say(sentence, severity=severity)

    async def _end(self) -> None:
        self.ending = asyncio.Event()
        self._app.set_busy("taking down …")
        try:
            await self._app.engine.down()
        except StackError as error:
            # One that leaves its stack behind has not passed.
            self.exit_code = 1
            self._say(str(error), passed=False)
        finally:
            self._app.set_busy("")
            self.ending.set()
            self.ending = None
