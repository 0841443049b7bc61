"""A replica under steady load for a long time: does its memory grow, does a session fail?

    python -m benchmarks.soak --clients 100 --minutes 30

One part of the clients stays for five minutes at a time, the others come and go every minute, as
people do. Memory after the first five minutes is compared with that at the end, both with all
clients there; it may grow by 5 %.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.servers import end_in_order, make, running
from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.plan import LoadPlan, Slo
from loadtest.runfile import Run
from test_audio import CLIPS_DIRECTORY

SETTLING = 300.0
"""Seconds in which memory may grow: pools and caches fill."""

ALLOWED_GROWTH = 0.05
SPAN = 300.0
"""Seconds at either end of what is compared."""

LONG, SHORT = 300.0, 60.0
LONG_SHARE = 0.2
LOOK = 5.0


@dataclass
class Soak:
    """What was seen."""

    clients: int
    memory: list[tuple[float, int, int]] = field(default_factory=list)
    """Seconds since the start, resident bytes of the replica, its sessions."""
    idle: tuple[int, int] | None = None
    """Resident bytes before the first session and after the last one."""
    runs: list[Run] = field(default_factory=list)

    @property
    def growth(self) -> float | None:
        """Share by which the memory of the end exceeds that after SETTLING; None if too short.

        Medians of five minutes each, of the looks at a full house only: sessions keep their audio
        until it is heard, so that a moment of few sessions says nothing of a moment of many.
        """
        full = [(at, size) for at, size, sessions in self.memory if sessions >= self.clients]
        end = self.memory[-1][0] if self.memory else 0.0
        early = sorted(size for at, size in full if SETTLING <= at < SETTLING + SPAN)
        late = sorted(size for at, size in full if at > end - SPAN)
        if end < SETTLING + 2 * SPAN or not early or not late:
            return None
        return late[len(late) // 2] / early[len(early) // 2] - 1

    @property
    def sessions(self) -> int:
        """How many sessions there were."""
        return sum(len(run.clients) for run in self.runs)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(run.summary.failed_clients for run in self.runs)


@dataclass(frozen=True)
class Crowd:
    """Clients that come together, talk for some seconds, and go, again and again."""

    clients: int
    seconds: float
    steps: int
    seed: int

    async def stream(self, soak: Soak, port: int) -> None:
        """Run its steps one after another."""
        with tempfile.TemporaryDirectory() as results:
            plan = LoadPlan(
                clients=(self.clients,) * self.steps,
                port=port,
                audio_directory=CLIPS_DIRECTORY,
                results_directory=Path(results),
                duration=self.seconds,
                ramp=min(10.0, self.seconds / 6),
                seed=self.seed,
                slo=Slo(p95_latency=None, wer_over_baseline=None),
            )
            async with aclosing(LoadController(plan).run()) as events:
                async for event in events:
                    if isinstance(event, StepFinished):
                        soak.runs.append(event.run)


def crowds(clients: int, seconds: float) -> list[Crowd]:
    """Part the clients into those who stay and those who come and go."""
    long = max(1, round(clients * LONG_SHARE))
    # Between two steps the generator ends and starts anew: some seconds each.
    return [
        Crowd(long, LONG, max(1, round(seconds / LONG)), 1),
        Crowd(max(1, clients - long), SHORT, max(1, round(seconds / (SHORT + 14))), 2),
    ]


async def watch(soak: Soak, pid: int, port: int) -> None:
    """Look at the replica's memory until cancelled."""
    begun = time.monotonic()
    process = psutil.Process(pid)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        while True:
            elapsed = time.monotonic() - begun
            status = (await client.get("/status")).json()
            size = process.memory_info().rss
            soak.memory.append((elapsed, size, int(status["sessions"])))
            if len(soak.memory) % 12 == 1:
                sys.stderr.write(
                    f"{elapsed / 60:5.1f} min  {size / 2**20:6.0f} MiB  "
                    f"{status['sessions']} sessions, {status['queue_depth']} wait, "
                    f"{soak.failed} of {soak.sessions} failed\n"
                )
            await asyncio.sleep(LOOK)


async def run(clients: int, minutes: float, options: list[str]) -> Soak:
    """Soak a replica of our own; SIGTERM ends it in order, like Ctrl-C."""
    end_in_order()
    soak = Soak(clients)
    with tempfile.TemporaryDirectory() as logs:
        server = make("ours-fitted", replica_options=options, upstream_options={})
        async with running(server, Path(logs) / "replica.log") as started:
            process = psutil.Process(started.process.pid)
            before = process.memory_info().rss
            watching = asyncio.create_task(watch(soak, started.process.pid, started.port))
            parts = crowds(clients, minutes * 60)
            await asyncio.gather(*(part.stream(soak, started.port) for part in parts))
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            # Longer than the replica takes between two times of giving free memory back.
            await asyncio.sleep(30)
            soak.idle = before, process.memory_info().rss
    return soak


def report(soak: Soak) -> Table:
    """Make the table of what was seen."""
    errors = [run.summary.wer for run in soak.runs if run.summary.wer is not None]
    words = sum(one.reference_words for one in errors)
    edits = sum(one.substitutions + one.deletions + one.insertions for one in errors)
    p95 = [run.summary.latency.p95 for run in soak.runs if run.summary.latency.p95 is not None]
    table = Table("figure", "value")
    table.add_row("sessions", f"{soak.sessions}, {soak.failed} failed")
    table.add_row("memory, peak", f"{max(size for _, size, _ in soak.memory) / 2**20:.0f} MiB")
    if soak.idle is not None:
        idle = " and ".join(f"{size / 2**20:.0f}" for size in soak.idle)
        table.add_row("memory without sessions, before and after", f"{idle} MiB")
    growth = soak.growth
    table.add_row("growth after 5 minutes", "–" if growth is None else f"{growth:+.1%}")
    if p95:
        table.add_row("p95 latency, worst step", f"{max(p95):.2f} s")
    if words:
        table.add_row("WER", f"{edits / words:.2%}")
    return table


def main() -> int:
    """Soak, print, and give 1 when memory grew or a session failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--replica-option", action="append", default=[])
    arguments = parser.parse_args()
    try:
        soak = asyncio.run(run(arguments.clients, arguments.minutes, arguments.replica_option))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("Stopped before its end; nothing can be said.\n")
        return 130
    Console().print(report(soak))
    growth = soak.growth
    return int(soak.failed > 0 or (growth is not None and growth > ALLOWED_GROWTH))


if __name__ == "__main__":
    sys.exit(main())
