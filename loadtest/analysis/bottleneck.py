"""What kept a step from meeting its limits: each claim with the figures it rests on. Pure."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from loadtest.analysis.model import Bottleneck, Finding, ReplicaFigures, StepFigures
from loadtest.figures import Unit, format_figure
from loadtest.statistics import mean
from stack.spec import StackSpec
from stack.status import HELD_BACK

BUSY: Final = 0.9
"""Fraction of a processor's time from which on it is the limit: the rest goes to waiting turns."""
FULL: Final = 0.95
"""Fraction of a card's memory."""
APART: Final = 2.0
"""How many times slower than the others a replica is to be called slow."""
MORE: Final = 1.3
"""How many times the others' sessions are more than its share."""
WAITING: Final = 1.0
"""Sessions that wait for inference, mean."""
_NOT_LET_IN: Final = frozenset({"wait", "refused"})
MOSTLY: Final = 0.5
"""Fraction of the seconds from which on a card's clock counts as held back."""
_FAULTS: Final = HELD_BACK - {"power limit"}
"""What a card in order doesn't do. That a busy one reaches its power limit says little: it comes
last, as a cause where there is no other."""


def findings(step: StepFigures, stack: dict[str, Any] | None) -> list[Finding]:
    """Return what a step was limited by, the first cause first; ``stack`` is the stack's spec."""
    spec = _spec(stack)
    found = [
        *_generator(step),
        *_unreachable(step),
        *_session_limit(step, spec),
        *_one_replica(step),
        *_gpu(step),
        *_clocks(step, _FAULTS),
        *_balancer(step),
        *(_cpu(step, spec) if stack is not None else _load_machine(step)),
        *_inference(step),
        *_clocks(step, HELD_BACK - _FAULTS),
    ]
    crashes = sum(count for why, count in step.failures.items() if why not in _NOT_LET_IN)
    if crashes:
        # Sessions that break for want of memory say more than a card that is busy.
        found.sort(key=lambda one: one.bottleneck is not Bottleneck.GPU_MEMORY)
    return found


def _spec(stack: dict[str, Any] | None) -> StackSpec | None:
    if stack is None:
        return None
    try:
        return StackSpec.model_validate(stack)
    except ValidationError:
        return None  # of another version


def percent(value: float) -> str:
    """Write a fraction as a whole percentage."""
    return f"{value * 100:.0f} %"


def _generator(step: StepFigures) -> Iterator[Finding]:
    if not step.distorted:
        return
    cpu = "" if step.generator_cpu is None else f", with {step.generator_cpu:.2f} cores"
    yield Finding(
        Bottleneck.GENERATOR,
        f"The load generator itself was late{cpu}: slip p99 "
        f"{format_figure(step.slip_p99, Unit.SECONDS)}. The step says nothing of the server.",
    )


def _unreachable(step: StepFigures) -> Iterator[Finding]:
    gone = step.failures.get("refused", 0) + step.failures.get("wait", 0) - step.turned_away
    if gone > 0 and gone * 2 >= step.failed:
        yield Finding(
            Bottleneck.UNREACHABLE,
            f"{gone} of {step.clients} sessions found nobody listening: no TCP connection.",
        )


def _session_limit(step: StepFigures, spec: StackSpec | None) -> Iterator[Finding]:
    turned_away = step.turned_away
    if not turned_away or turned_away * 2 < step.failed:
        return
    limit = ""
    if spec is not None:
        limit = (
            f"; {spec.replicas} × {spec.replica.max_sessions} sessions are let in "
            "(replicas × max sessions), fewer while text waits"
        )
    yield Finding(
        Bottleneck.SESSION_LIMIT,
        f"{turned_away} of {step.clients} sessions were turned away (WAIT or 503){limit}.",
    )


def _one_replica(step: StepFigures) -> Iterator[Finding]:
    served = [one for one in step.replicas if one.sessions]
    if len(served) < 2:
        return
    for one in served:
        others = [other for other in served if other is not one]
        if one.failed >= 2 and one.failed * 5 >= step.failed * 4:
            yield Finding(
                Bottleneck.REPLICA,
                f"{one.name} had {one.failed} of the {step.failed} failed sessions.",
                one.name,
            )
        yield from _slower(one, others)


def _slower(one: ReplicaFigures, others: list[ReplicaFigures]) -> Iterator[Finding]:
    """Compare a replica with the slowest of the others: then it stands apart from all."""
    worst = [other.worst for other in others if other.worst is not None]
    median = [other.median for other in others if other.median is not None]
    if one.worst is None or one.median is None or not worst:
        return
    if one.worst < APART * max(worst) or one.median < (1 + APART) / 2 * max(median):
        return
    usual = mean([float(other.sessions) for other in others]) or 0.0
    figures = (
        f"{one.name}: p95 latency {format_figure(one.worst, Unit.SECONDS)} with "
        f"{_sessions(one.sessions)}, the others at most {format_figure(max(worst), Unit.SECONDS)} "
        f"with {usual:.1f} on average"
    )
    if one.sessions >= MORE * usual and one.sessions - usual >= 1:
        yield Finding(Bottleneck.DISTRIBUTION, f"{figures}. It gets more than its share.", one.name)
        return
    cpu = "" if one.cpu is None else f"; it used {one.cpu:.2f} cores"
    spread = [other.cpu for other in others if other.cpu is not None]
    if cpu and spread:
        cpu += f", the others {min(spread):.2f} to {max(spread):.2f}"
    yield Finding(Bottleneck.REPLICA, f"{figures}{cpu}. It is slower with no more to do.", one.name)


def _gpu(step: StepFigures) -> Iterator[Finding]:
    if step.gpu_utilisation is not None and step.gpu_utilisation >= BUSY:
        yield Finding(
            Bottleneck.GPU_UTILISATION,
            f"GPU utilisation was {percent(step.gpu_utilisation)} on average.",
        )
    if step.gpu_memory is not None and step.gpu_memory >= FULL:
        yield Finding(
            Bottleneck.GPU_MEMORY, f"{percent(step.gpu_memory)} of the GPU memory was in use."
        )


def _clocks(step: StepFigures, reasons: frozenset[str]) -> Iterator[Finding]:
    """Say which cards ran below the clock they were set to, most of the time, and why."""
    held = []
    for card in step.cards:
        words = [
            f"{word} {percent(part)}"
            for word, part in card.held_back.items()
            if word in reasons and part >= MOSTLY
        ]
        if words:
            held.append(f"GPU {card.index} ({card.name}): {', '.join(words)} of the time")
    if held:
        yield Finding(Bottleneck.GPU_CLOCKS, f"GPU clocks were held back: {'; '.join(held)}.")


def _balancer(step: StepFigures) -> Iterator[Finding]:
    if step.balancer_cpu is not None and step.balancer_cpu >= BUSY:
        yield Finding(
            Bottleneck.BALANCER,
            f"The balancer used {step.balancer_cpu:.2f} of the one core that it can use.",
        )


def _cpu(step: StepFigures, spec: StackSpec | None) -> Iterator[Finding]:
    shares = [one.cpu for one in step.replicas if one.cpu is not None]
    if step.machine_cpu is not None and step.machine_cpu >= BUSY:
        parts = []
        if shares:
            parts.append(f"replicas {sum(shares):.2f}")
        if step.balancer_cpu is not None:
            parts.append(f"balancer {step.balancer_cpu:.2f}")
        if step.generator_cpu is not None:
            parts.append(f"load generator {step.generator_cpu:.2f}")
        of = "" if not parts else f" (in cores: {', '.join(parts)})"
        yield Finding(
            Bottleneck.MACHINE_CPU,
            f"{percent(step.machine_cpu)} of the machine's {step.cores or '?'} cores were busy"
            f"{of}.",
        )
    if spec is None or not shares or step.cores is None or spec.replica.device == "cuda":
        return
    allowed = spec.replica.threads_of(spec.replicas, step.cores)
    if min(shares) >= BUSY * allowed:
        yield Finding(
            Bottleneck.REPLICA_CPU,
            f"Every replica used {min(shares):.2f} cores or more of the {allowed} that its "
            "inference may use.",
        )


def _load_machine(step: StepFigures) -> Iterator[Finding]:
    """Speak of the machine that the load came from: of the server's nothing is known."""
    if step.machine_cpu is not None and step.machine_cpu >= BUSY:
        yield Finding(
            Bottleneck.GENERATOR,
            f"{percent(step.machine_cpu)} of the {step.cores or '?'} cores of the machine that the "
            "load came from were busy, which may hold up the load generator. What the server used "
            "is not known.",
        )


def _inference(step: StepFigures) -> Iterator[Finding]:
    depths = [(one.queue_depth, one.name) for one in step.replicas if one.queue_depth is not None]
    if depths and max(depths)[0] >= WAITING:
        depth, name = max(depths)
        yield Finding(
            Bottleneck.INFERENCE,
            f"{depth:.1f} sessions waited for inference on average at {name}, the most of all.",
        )


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"
