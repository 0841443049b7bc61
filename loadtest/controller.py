"""Drives a load series: spawns generators, samples telemetry, keeps the journal, saves the runs.

A library without a face: the command line and the console both iterate over ``LoadController.run``.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from loadtest.assignment import assign, ramp_seconds, total_duration
from loadtest.capacity import Judged, Largest
from loadtest.clips import Clip, usable_clips
from loadtest.events import (
    LoadEvent,
    SeriesFinished,
    SeriesStarted,
    StepFinished,
    StepProgress,
    StepStarted,
)
from loadtest.journal import JournalWriter
from loadtest.plan import LoadPlan
from loadtest.recording import StepHeader, StepRecord
from loadtest.runfile import RunStatus, TestConfiguration
from loadtest.saturation import SaturationWatch
from loadtest.sessions import SessionBoard
from loadtest.shards import (
    GeneratorPlace,
    LoadError,
    ShardProcesses,
    on_this_machine,
    step_orders,
)
from loadtest.stepping import RECOVERY, chosen_steps, confirming
from loadtest.store import RunStore, free_id
from loadtest.target import LoadTarget, TargetFacts, TargetSampler
from loadtest.verdict import close_to_slo, meets_slo
from loadtest.watching import WatchOrder

_ROW_INTERVAL: Final = 1.0
_STATS_LEAD: Final = 0.8
"""Seconds before a row that its sample is begun. A replica that does not answer is waited for for
0.7 s: with less the others' figures would miss the row, too."""
_STOP_DEADLINE: Final = 10.0


class LoadController:
    """Runs one plan, once. Without a target the run says nothing of replicas and machine."""

    def __init__(
        self,
        plan: LoadPlan,
        *,
        target: LoadTarget | None = None,
        place: GeneratorPlace | None = None,
    ) -> None:
        self.plan = plan
        self._place = place or on_this_machine(plan)
        self.store = RunStore(plan.results_directory)
        self._target = target
        self._facts = TargetFacts()
        self._stop_now = asyncio.Event()
        self._stop_after_step = False
        self._baseline_wer: float | None = None
        self._elapsed = 0.0
        self._because: str | None = None
        """Why the running step was certain to miss its SLO."""
        self._step_plan = plan
        self.capacity: Largest | None = None
        """What a search came to, once it has."""
        self.board: SessionBoard | None = None
        """Follows every session, where a viewer has put one here before the series."""
        self._watched = WatchOrder()
        self._shards: ShardProcesses | None = None

    def stop(self, *, after_step: bool = False) -> None:
        """End the series in order, at once or after the running step; what was measured is kept."""
        self._stop_after_step = True
        if not after_step:
            self._stop_now.set()

    def watch(self, order: WatchOrder) -> None:
        """Say what the generators are to show on the board, from now on."""
        self._watched = order
        if self._shards is not None:
            self._shards.watch(order)

    async def run(self) -> AsyncGenerator[LoadEvent, None]:
        """Drive the series and yield its events.

        Raises ClipError when the audio directory has no usable clip and LoadError when nobody
        listens at the target, the results directory can't be written or a generator process
        can't be started.
        """
        clips, _ = await asyncio.to_thread(usable_clips, self.plan.audio_directory)
        await self._reach()
        if self._target is not None:
            self._facts = await self._target.describe()
            if self._facts.api_key and self.plan.api_key is None:
                key = {"api_key": SecretStr(self._facts.api_key)}
                self.plan = self._step_plan = self.plan.model_copy(update=key)
        series_id = f"series_{_stamp(datetime.now(UTC))}_{uuid.uuid4().hex[:6]}"
        yield SeriesStarted(series_id=series_id, plan=self.plan)
        paths: list[Path] = []
        steps = chosen_steps(self.plan)
        trial, step = next(steps), 0
        whole, judged = False, Judged(met=True)
        while not whole:
            step += 1
            # A server that was asked too much turns people away for a while after.
            rest = self.plan.cool_down * (1 if judged.met else RECOVERY)
            if step > 1 and await self._stopped_within(rest):
                break
            # The last run of a search is to be surer of its answer than those on the way to it.
            self._step_plan = confirming(self.plan) if trial.confirms else self.plan
            judged = Judged(met=False)
            try:
                async with aclosing(self._step(series_id, step, trial.clients, clips)) as events:
                    async for event in events:
                        if isinstance(event, StepFinished):
                            paths += [event.path] if event.path else []
                            judged = Judged(meets_slo(event.run), close_to_slo(event.run))
                        yield event
            except OSError as error:
                # A full disk, most likely.
                raise LoadError(
                    f"The run can't be saved in {self.store.directory}: {error.strerror or error}; "
                    "make room, and what its journal there holds is recovered at the next start."
                ) from None
            try:
                trial = steps.send(judged)
            except StopIteration as end:
                self.capacity, whole = end.value, True
            if self._stop_after_step:
                break
        yield SeriesFinished(
            series_id=series_id, paths=tuple(paths), stopped=not whole or self.stopped
        )

    async def _reach(self) -> None:
        """Raise LoadError when nobody listens: a series of refused sessions helps nobody."""
        plan = self.plan
        try:
            async with asyncio.timeout(plan.connect_timeout):
                _, writer = await asyncio.open_connection(plan.host, plan.port)
        except (OSError, TimeoutError, UnicodeError) as error:
            # A name such as 'a..b' can't even be written as one of the DNS.
            why = "no answer" if isinstance(error, TimeoutError) else "no such host"
            if isinstance(error, OSError) and error.strerror:
                why = error.strerror
            raise LoadError(
                f"Nobody listens on {plan.host}:{plan.port} ({why}); bring a stack up with "
                "'whisperctl up', or name the server with --host and --port."
            ) from None
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    @property
    def stopped(self) -> bool:
        """Whether the running step was, or is being, cut off."""
        return self._stop_now.is_set()

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop_now.wait(), seconds)
        return self._stop_after_step

    @property
    def _steps(self) -> int | None:
        return len(self.plan.clients) if self.plan.find_capacity is None else None

    def _header(self, series_id: str, step: int, clients: int, clips: Sequence[Clip]) -> StepHeader:
        plan = self._step_plan
        created = datetime.now(UTC)
        return StepHeader(
            run_id=self._free_run_id(clients, created),
            series_id=series_id,
            label=plan.label,
            note=plan.note,
            created_at=created,
            test_configuration=TestConfiguration(
                num_clients=clients,
                host=self._place.host,
                port=self._place.port,
                generator=self._place.name,
                audio_directory=str(plan.audio_directory),
                clips=len(clips),
                chunk=plan.chunk,
                ramp=ramp_seconds(plan, clients),
                duration=plan.duration,
                gap=plan.gap,
                reconnect=plan.reconnect,
                tls=plan.tls,
                seed=plan.seed,
                language=plan.language,
                use_vad=plan.use_vad,
                audio_format=plan.audio_format.value,
                connect_timeout=plan.connect_timeout,
                finish_timeout=plan.finish_timeout,
                quiet=plan.quiet,
                slo=plan.slo,
                step=step,
                steps=self._steps,
                stack=self._facts.stack,
            ),
            clients=assign(plan, clients, clips),
            baseline_wer=self._baseline_wer,
            calibrated_clients=self._facts.calibrated_clients,
            environment=self._facts.environment,
        )

    def _free_run_id(self, clients: int, created: datetime) -> str:
        """Return an id that no run or journal has."""
        return free_id(f"run_{clients}_clients_{_stamp(created)}", self._taken)

    def _taken(self, run_id: str) -> bool:
        return self.store.path_for(run_id).exists() or self.store.journal_for(run_id).exists()

    async def _step(
        self, series_id: str, step: int, clients: int, clips: Sequence[Clip]
    ) -> AsyncGenerator[LoadEvent, None]:
        header = self._header(series_id, step, clients, clips)
        record = StepRecord(header)
        try:
            journal = JournalWriter(self.store.journal_for(header.run_id), header)
        except OSError as error:
            raise LoadError(
                f"Results can't be written to {self.store.directory}: {error.strerror}; "
                "choose another directory with --results-dir."
            ) from None
        with journal:
            yield StepStarted(
                run_id=header.run_id,
                step=step,
                steps=self._steps,
                clients=clients,
                expected_duration=expected_duration(header),
            )
            async with aclosing(self._drive(record, journal)) as events:
                async for event in events:
                    yield event
            cut = self.stopped or self._because is not None
            status = RunStatus.STOPPED if cut else RunStatus.COMPLETED
            because = None if self.stopped else self._because
            run = record.run(status, self._elapsed, because=because)
            try:
                path = await asyncio.to_thread(self.store.save, run)
            except OSError:
                # Whoever watched is to see what it came to, at least.
                yield StepFinished(run=run, path=None)
                raise
            journal.remove()
        if step == 1 and run.summary.wer is not None:
            self._baseline_wer = run.summary.wer.wer
        yield StepFinished(run=run, path=path)

    async def _drive(
        self, record: StepRecord, journal: JournalWriter
    ) -> AsyncGenerator[StepProgress, None]:
        """Play one step; yields one progress a second and returns when its last session ended."""
        async with AsyncExitStack() as stack:
            orders = step_orders(self.plan, record.header.clients, self._place)
            board = self.board
            if board is not None:
                board.begin(record.header.clients, self.plan.chunk)
            shards = await stack.enter_async_context(
                ShardProcesses(orders, self._place.command, look=board.take if board else None)
            )
            start_at = await shards.start()
            self._shards = shards
            stack.callback(self._let_go)
            if board is not None:
                self.watch(self._watched)

            def take_in() -> None:
                for shard, event, received in shards.received():
                    elapsed = max(0.0, received - start_at)
                    journal.event(event, shard=shard, elapsed=elapsed)
                    record.apply(event, shard=shard, elapsed=elapsed)

            watch = self._watch(record)
            looked = 0.0
            sampler = TargetSampler(self._target)
            stack.push_async_callback(sampler.close)
            shown: dict[int, str] = {}
            tick, finished = 1, False
            while not finished:
                moment = start_at + tick * _ROW_INTERVAL
                finished = await self._until(moment - _STATS_LEAD, shards)
                if not finished:
                    sampler.begin()
                    finished = await self._until(moment, shards)
                self._elapsed = time.monotonic() - start_at
                replicas, machine = await sampler.last(_STATS_LEAD) if finished else sampler.take()
                take_in()
                known = machine is not None or replicas
                soon = record.timeline and self._elapsed < record.timeline[-1].time + 0.5
                if finished and soon and not known:
                    break
                row = record.row(self._elapsed, replicas, machine)
                journal.row(row)
                if watch is not None and not finished and self._because is None:
                    watch.add(row.time, record.latencies(looked))
                    looked = row.time
                    self._because = watch.verdict(
                        row.time, backlog=row.backlog, failed=record.failed
                    )
                    if self._because is not None:
                        shards.stop(deadline=_STOP_DEADLINE)
                texts = record.transcripts.items()
                shown |= (
                    new := {client: text for client, text in texts if shown.get(client) != text}
                )
                yield StepProgress(
                    row=row,
                    elapsed=self._elapsed,
                    finished=len(record.results),
                    failed=record.failed,
                    words=record.live_words,
                    transcripts=new,
                )
                # A tick that took too long is skipped, not caught up with.
                tick = max(tick + 1, int(self._elapsed / _ROW_INTERVAL) + 1)
            take_in()
            self._elapsed = shards.ended_at - start_at if shards.ended_at else self._elapsed
            shards.check()

    def _let_go(self) -> None:
        self._shards = None

    def _watch(self, record: StepRecord) -> SaturationWatch | None:
        """Return who says when the step is certain to miss its SLO; None where nobody asks."""
        self._because = None
        if not self.plan.stop_early and self.plan.find_capacity is None:
            return None
        clients = record.header.clients
        return SaturationWatch(
            self.plan.slo,
            clients=len(clients),
            ramp=ramp_seconds(self.plan, len(clients)),
            expected=expected_duration(record.header),
        )

    async def _until(self, moment: float, shards: ShardProcesses) -> bool:
        """Wait for the monotonic ``moment``; return True as soon as every shard has ended."""
        stop = asyncio.create_task(self._stop_now.wait())
        ended = asyncio.create_task(shards.wait())
        try:
            while True:
                remaining = moment - time.monotonic()
                if ended.done() or remaining <= 0:
                    return ended.done()
                waiting = {ended} if stop.done() else {ended, stop}
                await asyncio.wait(waiting, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
                if stop.done():
                    shards.stop(deadline=_STOP_DEADLINE)
        finally:
            stop.cancel()
            ended.cancel()


def expected_duration(header: StepHeader) -> float:
    """Return the seconds that a step's audio lasts, ramp included."""
    chunk = header.test_configuration.chunk
    return max(client.start_after + total_duration(client, chunk) for client in header.clients)


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%d_%H%M%S")
