"""Measures the load generator against a sink of known delay, one step at a time."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.plan import LoadPlan
from loadtest.runfile import Distribution, Run
from loadtest.shards import LoadError
from loadtest.statistics import distribution

_LINE_LIMIT: Final = 256 * 1024 * 1024
_START_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """What the sink injects; seconds."""

    delay: float = 0.2
    jitter: float = 0.0
    step: float = 1.0
    change: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """One step: what was reported, and what was the truth."""

    run: Run
    injected: Distribution
    """Seconds that the sink really took to answer."""
    sink_late: Distribution
    """What of them it had not been asked to take."""

    @property
    def clients(self) -> int:
        """Clients of the step."""
        return self.run.test_configuration.num_clients

    def error(self, percentile: str) -> float | None:
        """Return reported minus injected seconds at ``median``, ``p95`` or ``p99``."""
        reported = getattr(self.run.summary.latency, percentile)
        injected = getattr(self.injected, percentile)
        return None if reported is None or injected is None else reported - injected


class SinkProcess:
    """A sink that serves; ``finish`` ends it and says what it injected."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.port = port

    async def finish(self) -> tuple[list[float], list[float]]:
        """Return the delays injected and the sink's own lateness, seconds."""
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.close()
        line = await self._process.stdout.readline()
        if not line:
            raise LoadError("The calibration's server ended before it was asked to.")
        said = json.loads(line)
        return said["injected"], said["late"]


@asynccontextmanager
async def sink_process(settings: SinkSettings) -> AsyncIterator[SinkProcess]:
    """Run a sink in a process of its own; raises LoadError if it doesn't start."""
    arguments = [f"--delay={settings.delay}", f"--jitter={settings.jitter}"]
    arguments.append(f"--step={settings.step}")
    if settings.change is not None:
        arguments += ["--change", *(str(value) for value in settings.change)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.calibration", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_LIMIT,
    )
    try:
        assert process.stdout is not None  # noqa: S101
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _START_TIMEOUT)
            port = json.loads(line)["port"]
        except (TimeoutError, ValueError):
            raise LoadError("The calibration's server didn't start.") from None
        yield SinkProcess(process, port)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measure(
    clients: int,
    settings: SinkSettings,
    *,
    audio: Path,
    seconds: float,
    chunk: float,
) -> Measured:
    """Put ``clients`` on a sink for ``seconds`` of audio each, in messages of ``chunk`` seconds."""
    with tempfile.TemporaryDirectory(prefix="whisperctl-calibration-") as results:
        async with sink_process(settings) as sink:
            plan = LoadPlan(
                clients=(clients,),
                port=sink.port,
                audio_directory=audio,
                results_directory=Path(results),
                duration=seconds,
                chunk=chunk,
            )
            run = None
            async with aclosing(LoadController(plan).run()) as events:
                async for event in events:
                    if isinstance(event, StepFinished):
                        run = event.run
            injected, late = await sink.finish()
    assert run is not None  # noqa: S101
    return Measured(run, distribution(injected), distribution(late))
