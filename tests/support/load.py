"""A load controller that plays a script, and waits where a test wants to look."""

import asyncio
import math
from collections.abc import AsyncGenerator
from pathlib import Path

from loadtest.events import (
    LiveWords,
    LoadEvent,
    SeriesFinished,
    SeriesStarted,
    StepFinished,
    StepProgress,
    StepStarted,
)
from loadtest.plan import LoadPlan
from loadtest.runfile import Run, RunStatus, TimelineRow
from loadtest.sessions import SessionBoard
from loadtest.shards import LoadError
from loadtest.watching import WatchOrder
from support.runs import client_result, example_run


class FakeController:
    """Plays a series as fast as it is read; ``hold`` stops it in the middle of the first step."""

    hold: asyncio.Event | None = None
    fail: str | None = None

    def __init__(self, plan: LoadPlan) -> None:
        self.plan = plan
        self.stopped: list[bool] = []
        """``after_step`` of every call of stop."""
        self.capacity = None
        self.board: SessionBoard | None = None
        self.watched: list[WatchOrder] = []
        self._stop = asyncio.Event()

    def stop(self, *, after_step: bool = False) -> None:
        self.stopped.append(after_step)
        self._stop.set()

    def watch(self, order: WatchOrder) -> None:
        self.watched.append(order)

    @staticmethod
    def rows(*, seconds: int, clients: int, factor: float = 1.0) -> list[TimelineRow]:
        rows = []
        for second in range(1, seconds + 1):
            p50 = factor * (0.3 + 0.1 * math.sin(second / 3))
            rows.append(
                TimelineRow(
                    time=float(second),
                    sessions=clients,
                    latency_p50=p50,
                    latency_p95=1.6 * p50,
                    latency_p99=2.0 * p50,
                )
            )
        return rows

    async def run(self) -> AsyncGenerator[LoadEvent, None]:
        if self.fail is not None:
            raise LoadError(self.fail)
        yield SeriesStarted(series_id="series_x", plan=self.plan)
        paths = []
        for step, clients in enumerate(self.plan.clients, start=1):
            run_id = f"run_{clients}_clients_20260102_00000{step}"
            yield StepStarted(
                run_id=run_id,
                step=step,
                steps=len(self.plan.clients),
                clients=clients,
                expected_duration=20.0,
            )
            for row in self.rows(seconds=12, clients=clients):
                yield StepProgress(
                    row=row,
                    elapsed=row.time,
                    finished=clients // 2,
                    failed=0,
                    words=LiveWords(wer=0.0125, reference_words=80),
                )
                await asyncio.sleep(0)
            if self.hold is not None and step == 1:
                held = asyncio.create_task(self.hold.wait())
                stopped = asyncio.create_task(self._stop.wait())
                await asyncio.wait({held, stopped}, return_when=asyncio.FIRST_COMPLETED)
            run = self._run(run_id, clients)
            paths.append(Path(f"{run_id}.json"))
            yield StepFinished(run=run, path=paths[-1])
            if self._stop.is_set():
                break
        stopped_early = self._stop.is_set()
        yield SeriesFinished(series_id="series_x", paths=tuple(paths), stopped=stopped_early)

    def _run(self, run_id: str, clients: int) -> Run:
        status = RunStatus.STOPPED if self._stop.is_set() else RunStatus.COMPLETED
        results = [client_result(index) for index in range(clients)]
        return example_run(run_id, clients=clients, results=results, status=status)
