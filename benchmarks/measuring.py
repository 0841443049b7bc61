"""Measures one server after the other: single runs, the search, the baseline of word errors."""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.capacity import LIMITS, REFINEMENTS, RESOLUTION, judge
from benchmarks.figures import Figures, ServerResult, figures_of, verdict
from benchmarks.servers import BASELINE, Running, Server, ServerError, running
from loadtest.capacity import rungs, search
from loadtest.controller import LoadController
from loadtest.events import StepFinished, StepStarted
from loadtest.plan import LoadPlan, Slo
from loadtest.runfile import Run, WordErrors
from loadtest.shards import LoadError
from loadtest.store import RunStore
from loadtest.target import TargetFacts
from stack.status import ReplicaSample
from stack.telemetry.environment import environment
from test_audio import CLIPS_DIRECTORY

REPORTED: Final = (1, 2, 4, 8)
"""Client counts whose figures are reported for every server."""
_WARM_UP_SECONDS: Final = 6.0
_IDLE: Final = 0.05
"""Fraction of one core under which a server is idle."""
_IDLE_LOOK: Final = 0.5
_IDLE_DEADLINE: Final = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured, the same for all servers."""

    results: Path
    """Directory of the run files and of the servers' logs."""
    ladder: Sequence[int]
    max_clients: int
    seconds: float = 15.0
    """Audio a session, at most: a stream ends between two words."""
    ramp: float = 1.0
    """Seconds over which the sessions of a run start."""
    seed: int = 1
    baseline_sessions: int = 4
    """Single sessions with upstream's default mode, one after another, that the baseline of word
    errors is taken from; one of 15 s alone has 40 words."""
    limits: Slo = LIMITS


@dataclass(slots=True)
class Comparison:
    """What all servers together came to; grows while it is measured."""

    settings: Settings
    say: Say
    """Is told what happens, one line a call."""
    baseline_wer: float | None = None
    baseline_words: int = 0
    results: dict[str, ServerResult] = field(default_factory=dict)

    async def measure(self, server: Server) -> None:
        """Measure one server; what goes wrong with it is in its result's ``problem``."""
        result = self.results[server.key] = ServerResult(server.name)
        log = self.settings.results / f"{server.key}.log"
        self.say(f"{server.name}: starting")
        try:
            async with running(server, log) as started:
                bench = _Bench(self, started, result)
                await bench.warm_up()
                if server.key == BASELINE and self.baseline_wer is None:
                    await bench.take_baseline()
                for clients in rungs(REPORTED, self.settings.max_clients):
                    await bench.nth_run(clients, 1)
                await bench.find_largest()
        except (ServerError, LoadError) as error:
            result.problem = str(error)
            self.say(str(error))


@dataclass(slots=True)
class _Bench:
    """One server while it is measured."""

    comparison: Comparison
    started: Running
    result: ServerResult

    async def warm_up(self) -> None:
        """Let one session talk, unmeasured: upstream loads its model for the first one.

        Raises ServerError when not even that session succeeds.
        """
        with tempfile.TemporaryDirectory() as directory:
            run, _ = await self._play(1, seconds=_WARM_UP_SECONDS, directory=Path(directory))
        if run.summary.successful_clients:
            return
        why = "; ".join(error for client in run.clients for error in client.errors)
        raise ServerError(f"{self.result.name} failed its warm-up session: {why}")

    async def take_baseline(self) -> None:
        """Pool the word errors of single sessions, each with other audio."""
        settings = self.comparison.settings
        found: list[WordErrors] = []
        for seed in range(settings.seed, settings.seed + settings.baseline_sessions):
            run, _ = await self._play(1, seed=seed, note="baseline")
            if run.summary.wer is not None:
                found.append(run.summary.wer)
        words = sum(errors.reference_words for errors in found)
        if not words:
            return
        wrong = sum(errors.substitutions + errors.deletions + errors.insertions for errors in found)
        self.comparison.baseline_wer = wrong / words
        self.comparison.baseline_words = words
        self.comparison.say(f"baseline: WER {wrong / words:.1%}, {wrong} of {words} words")

    async def find_largest(self) -> None:
        """Look for the largest client count whose two runs are within the limits."""
        settings = self.comparison.settings
        # What is reported was measured already: it costs nothing to climb over it.
        hunt = search(
            rungs((*REPORTED, *settings.ladder), settings.max_clients),
            resolution=RESOLUTION,
            refinements=REFINEMENTS,
        )
        asked: dict[int, int] = {}
        answer: bool | None = None
        try:
            while True:
                clients = next(hunt) if answer is None else hunt.send(answer)
                asked[clients] = asked.get(clients, 0) + 1
                answer = (await self.nth_run(clients, asked[clients])).met
        except StopIteration as end:
            self.result.largest, self.result.capped = end.value.clients, end.value.capped
            self.result.searched = True

    async def nth_run(self, clients: int, number: int) -> Figures:
        """Return the figures of the ``number``-th run of a client count, made now if need be.

        A run that the load generator distorted is made anew, once.
        """
        runs = self.result.runs.setdefault(clients, [])
        while len(runs) < number:
            figures = await self._figures(clients)
            if figures.distorted:
                figures = await self._figures(clients)
            runs.append(figures)
        return runs[number - 1]

    async def _figures(self, clients: int) -> Figures:
        run, cpu_seconds = await self._play(clients)
        misses = judge(
            run,
            limits=self.comparison.settings.limits,
            baseline_wer=self.comparison.baseline_wer,
        )
        figures = figures_of(run, cpu_seconds=cpu_seconds, misses=misses)
        self.comparison.say(f"{self.result.name}, N = {clients}: within limits: {verdict(figures)}")
        return figures

    async def _play(
        self,
        clients: int,
        *,
        seconds: float | None = None,
        seed: int | None = None,
        directory: Path | None = None,
        note: str = "",
    ) -> tuple[Run, float | None]:
        """Play one run; returns it, and the CPU seconds that the server used meanwhile.

        Raises ServerError when the server has ended.
        """
        await self._idle()
        settings, server = self.comparison.settings, self.started.server
        plan = LoadPlan(
            clients=(clients,),
            port=self.started.port,
            audio_directory=CLIPS_DIRECTORY,
            results_directory=directory or settings.results,
            duration=seconds or settings.seconds,
            ramp=settings.ramp,
            seed=settings.seed if seed is None else seed,
            label=f"{server.key} {note}".strip(),
            # A model that is loaded for the first session takes longer on a busy machine.
            connect_timeout=60.0,
            slo=settings.limits,
        )
        before = used = None
        try:
            async with aclosing(LoadController(plan, target=_Facts(server)).run()) as events:
                async for event in events:
                    if isinstance(event, StepStarted):
                        before = self.started.cpu_seconds()
                    elif isinstance(event, StepFinished):
                        after = self.started.cpu_seconds()
                        run = event.run
        finally:
            # That the server has gone explains whatever else is wrong.
            self.started.check()
        if before is not None and after is not None:
            used = after - before
        facts = {"server": server.key, "cpu_seconds": used}
        run = run.model_copy(update={"environment": run.environment | {"benchmark": facts}})
        await asyncio.to_thread(RunStore(plan.results_directory).save, run)
        return run, used

    async def _idle(self) -> None:
        """Wait until the server has done with what the last run left it."""
        deadline = time.monotonic() + _IDLE_DEADLINE
        before = self.started.cpu_seconds()
        while time.monotonic() < deadline:
            await asyncio.sleep(_IDLE_LOOK)
            now = self.started.cpu_seconds()
            self.started.check()
            if before is not None and now is not None and now - before < _IDLE * _IDLE_LOOK:
                return
            before = now
        self.comparison.say(
            f"{self.result.name} is still busy {_IDLE_DEADLINE:.0f} s after its last session."
        )


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of a server before a run; implements ``loadtest.target.LoadTarget``."""

    server: Server

    async def describe(self) -> TargetFacts:
        """Say on what machine the run was made."""
        facts = await asyncio.to_thread(environment)
        return TargetFacts(environment=facts.model_dump(mode="json"))

    async def stats(self) -> Mapping[str, ReplicaSample]:
        """Sample nothing: what the server uses is read before and after the run."""
        return {}

    async def machine(self) -> None:
        """Sample nothing either."""
        return
