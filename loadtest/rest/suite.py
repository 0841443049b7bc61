"""A REST measurement from the probe to the saved result, without a face.

``SingleSuite`` climbs the ladder of one server, ``ScalingSuite`` (``loadtest.rest.scaling``) counts
replicas; the command line iterates over ``run`` of either.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from loadtest.clips import usable_clips
from loadtest.rest.client import Answer, Body, RestClient, drawn, encode
from loadtest.rest.events import (
    RestEvent,
    RestFinished,
    RestNote,
    RestProgress,
    RestStarted,
    RestStepFinished,
    RestStepStarted,
)
from loadtest.rest.failures import HOPELESS, RestFailure
from loadtest.rest.measurement import ClosedLoop, order
from loadtest.rest.plan import RestPlan
from loadtest.rest.report import Ended, RestReport, RestStatus, RestStep
from loadtest.rest.store import RestStore
from loadtest.rest.summary import climbed_enough, conclude_single, summarise
from loadtest.shards import LoadError
from loadtest.target import TargetFacts

_PROGRESS_INTERVAL: Final = 1.0
_WARM_UP_ROUNDS: Final = 10
"""Warm-ups after which a replica that still answered nothing is measured as it is."""


class Suite(ABC):
    """What both measurements share: clips, probe, steps, and a file that is whole at any time."""

    def __init__(
        self,
        plan: RestPlan,
        *,
        results_directory: Path,
        api_key: str | None = None,
        facts: TargetFacts | None = None,
    ) -> None:
        self.plan = plan
        self._key = api_key
        self._store = RestStore(results_directory)
        self._facts = facts or TargetFacts()
        self._stopping = asyncio.Event()
        self._bodies: list[Body] = []
        self._report: RestReport | None = None

    def stop(self) -> None:
        """End in order: requests under way are cut off, what was measured is kept."""
        self._stopping.set()

    @property
    def stopped(self) -> bool:
        """Whether the user stopped it."""
        return self._stopping.is_set()

    @property
    def report(self) -> RestReport:
        """What is measured so far; only after the first step has begun."""
        assert self._report is not None  # noqa: S101
        return self._report

    async def run(self) -> AsyncGenerator[RestEvent, None]:
        """Measure and yield events; every finished step is saved before the next starts.

        Raises ClipError when the audio directory has no usable clip, StackError for what a stack
        can't do, and LoadError when the endpoint can't be measured or results can't be written.
        """
        clips, _ = await asyncio.to_thread(usable_clips, self.plan.audio_directory)
        self._bodies = await asyncio.to_thread(encode, drawn(clips, self.plan.seed), self.plan)
        await self._probe()
        await self._begin()
        yield RestStarted(self.plan, len(self._bodies))
        try:
            async with aclosing(self._measure()) as events:
                async for event in events:
                    yield event
        except Exception as error:
            self.report.status, self.report.problem = RestStatus.FAILED, str(error)
            await self._save()
            raise
        except BaseException:  # given up in a hurry: what is there is kept
            self.report.status = RestStatus.STOPPED
            await asyncio.shield(self._save())
            raise
        self.report.status = RestStatus.STOPPED if self.stopped else RestStatus.COMPLETED
        path = await self._save()
        yield RestFinished(self.report, path)

    @abstractmethod
    def _measure(self) -> AsyncGenerator[RestEvent, None]:
        """Measure all steps."""

    async def _probe(self) -> None:
        """Send one request; raises LoadError for an answer that every other would be like.

        A connection that broke off is tried once more: a replica may just have gone.
        """
        shortest = min(self._bodies, key=lambda body: body.clip.samples)
        async with RestClient(self.plan, concurrency=1, api_key=self._key) as client:

            async def probe() -> Answer:
                answer = await client.send(shortest)
                broke_off = answer.failure is RestFailure.DISCONNECTED
                return await client.send(shortest) if broke_off else answer

            sending = asyncio.create_task(probe())
            stop = asyncio.create_task(self._stopping.wait())
            try:
                await asyncio.wait({sending, stop}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done() and sending.result().failure in HOPELESS:
                    raise LoadError(client.explain(sending.result()))
            finally:
                sending.cancel()
                stop.cancel()
                await asyncio.gather(sending, stop, return_exceptions=True)

    async def _begin(self) -> None:
        created = datetime.now(UTC)
        self._report = RestReport(
            report_id=await asyncio.to_thread(self._store.free_id, self.plan.kind, created),
            created_at=created,
            status=RestStatus.UNFINISHED,
            configuration=self.plan,
            clips=len(self._bodies),
            environment=self._facts.environment,
            stack=self._facts.stack,
        )
        await self._save()  # before anything is measured that could then not be saved

    async def _save(self) -> Path:
        try:
            return await asyncio.to_thread(self._store.save, self.report)
        except OSError as error:
            raise LoadError(
                f"Results can't be written to {self._store.directory}: "
                f"{error.strerror or error}; choose another directory with --results-dir."
            ) from None

    async def _step(
        self, concurrency: int, *, replicas: int | None = None, expected: Sequence[str] = ()
    ) -> AsyncGenerator[RestEvent, None]:
        """Warm up, measure, save. ``expected`` names replicas that should answer beforehand."""
        plan = self.plan
        yield RestStepStarted(concurrency, replicas)
        created = datetime.now(UTC)
        async with RestClient(plan, concurrency=concurrency, api_key=self._key) as client:
            warmed, silent = await self._warm_up(client, concurrency, expected)
            notes = []
            if silent and not self.stopped:
                notes.append(
                    f"{', '.join(silent)} answered none of {warmed} warm-up requests, so not all "
                    "replicas may have taken part."
                )
                yield RestNote(notes[-1])
            loop = ClosedLoop(
                client.send,
                order(self._bodies, f"{plan.seed}"),
                concurrency=concurrency,
                requests=plan.requests_of(concurrency),
                duration=plan.duration,
            )
            running = asyncio.create_task(loop.run(self._stopping))
            try:
                while not running.done():
                    await asyncio.wait({running}, timeout=_PROGRESS_INTERVAL)
                    yield self._progress(loop, concurrency)
                running.result()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
        measured = loop.measured
        summary = await asyncio.to_thread(
            summarise, measured.samples, measured.client, cut_off=measured.cut_off
        )
        # Those that got nothing are shown, too.
        if summary.replicas:
            summary.replicas = dict.fromkeys(expected, 0) | summary.replicas
        step = RestStep(
            concurrency=concurrency,
            replicas=replicas,
            status=RestStatus.STOPPED if self.stopped else RestStatus.COMPLETED,
            started_at=created,
            warm_up=warmed,
            notes=notes,
            summary=summary,
            samples=measured.samples,
        )
        self.report.steps.append(step)
        self._conclude()
        path = await self._save()
        yield RestStepFinished(step, path)

    @abstractmethod
    def _conclude(self) -> None:
        """Bring the report's conclusion up to date."""

    async def _warm_up(
        self, client: RestClient, concurrency: int, expected: Sequence[str]
    ) -> tuple[int, list[str]]:
        """Send requests that don't count; return how many, and who answered none of them.

        Goes on until every expected replica has answered, but not for ever.
        """
        sent, silent = 0, list(expected)
        wanted = self.plan.warm_up_of(concurrency)
        if not wanted:
            return 0, []
        bodies = order(self._bodies, f"{self.plan.seed}/warm-up")
        for _ in range(_WARM_UP_ROUNDS):
            if self.stopped:
                break
            loop = ClosedLoop(client.send, bodies, concurrency=concurrency, requests=wanted)
            await loop.run(self._stopping)
            sent += len(loop.measured.samples)
            heard = {sample.replica for sample in loop.measured.samples}
            silent = [name for name in silent if name not in heard]
            if not silent or heard == {None}:  # nobody says who answers
                break
            wanted = max(concurrency, len(silent))
        return sent, silent

    def _progress(self, loop: ClosedLoop, concurrency: int) -> RestProgress:
        measured = loop.measured
        return RestProgress(
            done=len(measured.samples),
            failed=sum(sample.failure is not None for sample in measured.samples),
            of=self.plan.requests_of(concurrency),
            elapsed=time.monotonic() - measured.started_at,
            duration=self.plan.duration,
        )


class SingleSuite(Suite):
    """Climbs the ladder of concurrencies on one server."""

    _ended = Ended.TOP

    async def _measure(self) -> AsyncGenerator[RestEvent, None]:
        for concurrency in self.plan.concurrencies:
            if self.stopped:
                break
            async with aclosing(self._step(concurrency)) as events:
                async for event in events:
                    yield event
            if self._ended is not Ended.TOP:
                break

    def _conclude(self) -> None:
        enough = climbed_enough(self.report.steps, self.plan.min_success)
        self._ended = Ended.STOPPED if self.stopped else enough or Ended.TOP
        self.report.single = conclude_single(
            self.report.steps, self._ended, min_success=self.plan.min_success
        )
