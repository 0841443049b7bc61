"""Finds how many clients this machine's generator drives before it distorts."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from loadtest.calibration.measuring import Measured, SinkSettings, measure
from loadtest.calibration.record import Accuracy, Calibration
from loadtest.capacity import doubling, search
from loadtest.plan import check_messages

MAX_SLIP: Final = 0.02
"""Seconds: the 99th percentile of slip may not be more."""
MAX_ERROR: Final = 0.005
"""Seconds: reported median and p95 may not lie further from what was injected."""
DELAYS: Final = (0.05, 0.2, 1.0)
"""Seconds; each is tried at one count, the middle one in the search."""
ACCURACY_CLIENTS: Final = 200
_FIRST: Final = 50
_RESOLUTION: Final = 1 / 8
_REFINEMENTS: Final = 2


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """What to try; raises ValueError for a chunk that is no whole number of samples."""

    audio: Path
    """Directory of clips."""
    max_clients: int
    seconds: float
    """Seconds of audio each client sends."""
    chunk: float

    def __post_init__(self) -> None:
        check_messages(self.chunk, self.seconds)


def judge(measured: Measured, delay: float) -> Accuracy:
    """Hold one step against what was injected."""
    summary = measured.run.summary
    problems = []
    if summary.successful_clients < measured.clients:
        problems.append(f"{measured.clients - summary.successful_clients} sessions failed")
    slip = summary.slip.p99_or_max
    if slip is None or slip > MAX_SLIP:
        text = "unknown" if slip is None else f"{slip * 1000:.0f} ms"
        problems.append(f"slip p99 {text}, at most {MAX_SLIP * 1000:.0f} ms")
    errors = {name: measured.error(name) for name in ("median", "p95", "p99")}
    for name in ("median", "p95"):
        error = errors[name]
        if error is not None and abs(error) > MAX_ERROR:
            problems.append(
                f"reported {name} is {error * 1000:+.1f} ms off, at most {MAX_ERROR * 1000:.0f} ms"
            )
    return Accuracy(
        clients=measured.clients,
        delay=delay,
        median_error=errors["median"],
        p95_error=errors["p95"],
        p99_error=errors["p99"],
        slip_p99=slip,
        sink_late_p99=measured.sink_late.p99,
        generator_cpu=summary.generator_cpu,
        problems=tuple(problems),
    )


async def calibrate(
    plan: CalibrationPlan, environment: dict[str, Any]
) -> AsyncIterator[Accuracy | Calibration]:
    """Try client counts; yield each step as it ends, and at last what they come to.

    Raises LoadError and ClipError, as a load run does.
    """
    steps: list[Accuracy] = []

    async def step(clients: int, delay: float) -> Accuracy:
        measured = await measure(
            clients,
            SinkSettings(delay=delay),
            audio=plan.audio,
            seconds=plan.seconds,
            chunk=plan.chunk,
        )
        steps.append(judge(measured, delay))
        return steps[-1]

    middle = DELAYS[1]
    counts = search(
        doubling(min(_FIRST, plan.max_clients), plan.max_clients),
        resolution=_RESOLUTION,
        refinements=_REFINEMENTS,
    )
    clients = next(counts)
    while True:
        accuracy = await step(clients, middle)
        yield accuracy
        try:
            clients = counts.send(not accuracy.problems)
        except StopIteration as end:
            largest = end.value
            break
    for delay in DELAYS:
        if largest.clients is not None and delay != middle:
            yield await step(min(ACCURACY_CLIENTS, largest.clients), delay)
    yield Calibration(
        created_at=datetime.now(UTC),
        environment=environment,
        chunk=plan.chunk,
        clients=largest.clients or 0,
        capped=largest.capped,
        steps=tuple(steps),
    )
