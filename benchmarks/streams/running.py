"""Runs one generator at one client count, on a core of its own, against a sink on another."""

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.streams.audio import Written, write_order
from benchmarks.streams.figures import OURS, Measured, shares
from benchmarks.streams.peer import LEAD
from benchmarks.streams.sink import Heard, Started
from benchmarks.streams.usage import Sampler, on_core
from loadtest.assignment import ramp_seconds
from loadtest.clips import usable_clips
from loadtest.plan import LoadPlan
from loadtest.runfile import Run
from loadtest.statistics import distribution
from stack.supervision.processes import MODULE, last_line
from test_audio import CLIPS_DIRECTORY

ROOT: Final = Path(__file__).parents[2].resolve()
LOCUST_VARIABLE: Final = "WHISPERCTL_LOCUST_ENVIRONMENT"
_SAMPLE_INTERVAL: Final = 0.05
_START_DEADLINE: Final = 30.0
_STOP_DEADLINE: Final = 10.0
_OVERTIME: Final = 90.0
"""Seconds after the last message was due; whatever hasn't ended then has failed."""


class GeneratorError(Exception):
    """A generator or the sink can't be run; one sentence."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all."""

    seconds: float = 20.0
    """Seconds of audio a client."""
    generator_core: int = 0
    sink_core: int = 1


def locust_command() -> Path:
    """Return the command of the environment that ``make bench-load`` makes for Locust.

    Raises GeneratorError where it is not there.
    """
    named = os.environ.get(LOCUST_VARIABLE)
    directory = Path(named) if named else ROOT / ".locust-venv"
    command = directory.absolute() / "bin" / "locust"
    if not command.exists():
        raise GeneratorError(
            f"Locust is not in {directory}; 'make bench-load' puts it there, or name another "
            f"environment in {LOCUST_VARIABLE}."
        )
    return command


def measure(generator: str, clients: int, settings: Settings) -> Measured:
    """Run one of the ``GENERATORS`` once; raises GeneratorError where that can't be done."""
    load_average = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="whisperctl-streams-") as name:
        directory = Path(name)
        log = directory / "generator.log"
        with _sink(settings.sink_core) as sink:
            plan = LoadPlan(
                clients=(clients,),
                port=sink.port,
                audio_directory=CLIPS_DIRECTORY,
                results_directory=directory / "results",
                duration=settings.seconds,
            )
            # Ours sends the same, from its own hand: the sink's bytes show it.
            order = write_order(plan, clients, usable_clips(CLIPS_DIRECTORY)[0], directory)
            deadline = LEAD + ramp_seconds(plan, clients) + settings.seconds + _OVERTIME
            command, environment = _command(generator, plan, order, deadline)
            with _started(command, environment, log, settings.generator_core) as process:
                sampler = Sampler(
                    process.pid,
                    sink.process.pid,
                    generator_core=settings.generator_core,
                    sink_core=settings.sink_core,
                )
                ends = time.monotonic() + _START_DEADLINE + deadline
                while process.poll() is None and time.monotonic() < ends:
                    sampler.take()
                    time.sleep(_SAMPLE_INTERVAL)
            heard = sink.finish()
        report = _own_report(plan) if generator == OURS else _report(order)
        if report is None:
            raise GeneratorError(
                f"{generator} with {clients} streams left no report (exit code "
                f"{process.returncode}); its last words: {last_line(log)}"
            )
    sending, steady = shares(
        heard, sampler.samples, clients=clients, message_bytes=order.message_bytes
    )
    return Measured(
        generator=generator,
        clients=clients,
        **report,
        injected=distribution(heard.injected),
        sink_late=distribution(heard.late),
        messages=order.messages,
        received=(heard.moments[-1].audio if heard.moments else 0) / order.message_bytes,
        sending=sending,
        steady=steady,
        whole_cpu=sampler.samples[-1].generator if sampler.samples else None,
        load_average=load_average,
    )


def _command(
    generator: str, plan: LoadPlan, order: Written, deadline: float
) -> tuple[list[str], dict[str, str]]:
    """Return a generator's command line, and what its environment has beside ours."""
    clients, path = plan.clients[0], {"PYTHONPATH": str(ROOT)}
    match generator:
        case "whisperctl":
            arguments = [
                "load",
                f"--host={plan.host}",
                f"--port={plan.port}",
                f"--num-clients={clients}",
                f"--duration={plan.duration}",
                f"--results-dir={plan.results_directory}",
                "--engine=process",
            ]
            state = {"WHISPERCTL_STATE_DIR": str(order.order.parent / "state")}
            return [*MODULE, "console", *arguments], path | state
        case "locust":
            arguments = [
                f"--locustfile={Path(__file__).with_name('locustfile.py')}",
                "--headless",
                f"--users={clients}",
                f"--spawn-rate={min(clients, round(clients / ramp_seconds(plan, clients)))}",
                f"--run-time={deadline:.0f}s",
                "--only-summary",
            ]
            return [str(locust_command()), *arguments], path | {"STREAMS_ORDER": str(order.order)}
        case "script":
            return [*MODULE, "benchmarks.streams.plain_script", str(order.order)], path
    raise ValueError(f"no generator '{generator}'")


def _report(order: Written) -> dict[str, Any] | None:
    """Read what Locust's users or the script noted."""
    try:
        said: dict[str, Any] = json.loads(order.report.read_bytes())
    except OSError:
        return None
    return said | {name: distribution(said[name]) for name in ("slip", "latency")}


def _own_report(plan: LoadPlan) -> dict[str, Any] | None:
    """Read our run file."""
    for path in plan.results_directory.glob("run_*.json"):
        summary = Run.model_validate_json(path.read_bytes()).summary
        return {
            "succeeded": summary.successful_clients,
            "failures": summary.failures,
            "slip": summary.slip,
            "latency": summary.latency,
        }
    return None


@contextmanager
def _started(
    command: list[str], environment: dict[str, str], log: Path, core: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process group on one core; it is ended in any case."""
    with log.open("wb") as output, on_core(core):
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=os.environ | environment,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_DEADLINE)


@dataclass(slots=True)
class _Sink:
    process: subprocess.Popen[bytes]
    port: int

    def finish(self) -> Heard:
        """End it and return what it heard."""
        said, _ = self.process.communicate(timeout=_START_DEADLINE)
        if self.process.returncode:
            raise GeneratorError(f"The sink ended with exit code {self.process.returncode}.")
        return Heard.model_validate_json(said)


@contextmanager
def _sink(core: int) -> Iterator[_Sink]:
    with on_core(core):
        process = subprocess.Popen(
            [*MODULE, "benchmarks.streams.sink"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
    try:
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        assert process.stdout is not None  # noqa: S101
        reader = process.stdout.readline
        threading.Thread(target=lambda: lines.put(reader()), daemon=True).start()
        try:
            port = Started.model_validate_json(lines.get(timeout=_START_DEADLINE)).port
        except (queue.Empty, ValueError):
            raise GeneratorError("The sink didn't start.") from None
        yield _Sink(process, port)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
