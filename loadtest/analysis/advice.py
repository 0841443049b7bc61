"""What to change next, each with the figure that speaks for it. Pure."""

from typing import Final

from loadtest.analysis.bottleneck import percent
from loadtest.analysis.model import Bottleneck, Finding, StepFigures
from loadtest.runfile import Run

_NEARLY_BUSY: Final = 0.8
"""Fraction of the cores: another replica would have to share them."""
_SHORT_CHUNK: Final = 0.1
"""Seconds: with shorter messages everybody on the way has more to do."""


def advice_for(  # noqa: PLR0912 - one branch a bottleneck
    finding: Finding | None, step: StepFigures | None, run: Run | None
) -> list[str]:
    """Return what to try, the most promising first.

    ``step`` is the first that missed the SLO, None if none did; ``run`` the one looked at.
    """
    if run is None:
        return []
    if finding is None or step is None:
        return ["Go on with more clients, or let --find-capacity look for the limit."]
    replicas = len(step.replicas)
    chunk = run.test_configuration.chunk
    longer = (
        [f"Send longer messages (--chunk-ms, now {chunk * 1000:.0f}): there are fewer of them."]
        if chunk < _SHORT_CHUNK
        else []
    )
    match finding.bottleneck:
        case Bottleneck.GENERATOR:
            return [
                "Run the load from another machine, or free this one; 'whisperctl calibrate' says "
                "how many clients it drives.",
                *longer,
            ]
        case Bottleneck.UNREACHABLE:
            return ["See whether the server runs: 'whisperctl status', and its logs for why not."]
        case Bottleneck.SESSION_LIMIT:
            return [
                _scale_out(replicas, _room(step)),
                "Or let each replica take more sessions (--max-sessions), if latency has room.",
            ]
        case Bottleneck.REPLICA:
            return [
                f"Look at {finding.replica} ('whisperctl logs {finding.replica}'), restart it "
                f"('whisperctl restart {finding.replica}') and play the step again.",
            ]
        case Bottleneck.DISTRIBUTION:
            return [_strategy(run)]
        case Bottleneck.GPU_MEMORY:
            return [
                "Take a smaller model or compute type int8_float16, or fewer replicas a card.",
                "Or give the stack another card (--gpus spread).",
            ]
        case Bottleneck.GPU_UTILISATION:
            return [
                "Take a smaller or distilled model, or another card: the present one has no time "
                "left, and more replicas on it only share what there is.",
            ]
        case Bottleneck.GPU_CLOCKS:
            return [
                "Look at the cards' cooling and power supply, and at their limits ('nvidia-smi -q "
                "-d PERFORMANCE,POWER,TEMPERATURE'), and play the step again: a card that is held "
                "back is slower than others of its kind.",
            ]
        case Bottleneck.BALANCER:
            return [
                "Use the docker engine's nginx: the built-in balancer has one core.",
                *longer,
            ]
        case Bottleneck.MACHINE_CPU:
            return [
                "Take a smaller model or a GPU: more replicas would only share the same cores.",
                *_load_apart(step),
            ]
        case Bottleneck.REPLICA_CPU:
            return [_scale_out(replicas, _room(step))]
        case Bottleneck.INFERENCE:
            return [_scale_out(replicas, _room(step)), "Or take a smaller model."]
        case Bottleneck.UNKNOWN:
            return [
                "Watch one step in the console, and look at the replicas' /metrics for the time "
                "that each stage takes.",
            ]


def _scale_out(replicas: int, room: str = "") -> str:
    if not replicas:
        return f"Add a replica{room}."
    return f"Scale out to {replicas + 1} replicas ('whisperctl scale {replicas + 1}'){room}."


def _room(step: StepFigures) -> str:
    """Say whether the machine could hold another replica, as the end of a sentence."""
    if step.machine_cpu is None or step.cores is None:
        return ""
    if step.machine_cpu >= _NEARLY_BUSY:
        return (
            f", if this machine has room: {percent(step.machine_cpu)} of its {step.cores} cores "
            "were busy already"
        )
    idle = (1 - step.machine_cpu) * step.cores
    return f": {idle:.1f} of {step.cores} cores were idle"


def _load_apart(step: StepFigures) -> list[str]:
    if step.generator_cpu is None or step.cores is None or step.machine_cpu is None:
        return []
    share = step.generator_cpu / (step.machine_cpu * step.cores)
    if share < 0.1:
        return []
    return [
        f"Put the load on from another machine: the generator took {percent(share)} of what was "
        "used here."
    ]


def _strategy(run: Run) -> str:
    balancer = (run.test_configuration.stack or {}).get("balancer") or {}
    strategy = str(balancer.get("strategy", ""))
    if strategy and strategy != "least_connections":
        return (
            f"Balance by least connections ('whisperctl up --strategy least_connections'): "
            f"{strategy.replace('_', ' ')} gave some replicas more sessions than others."
        )
    return (
        "Start the load anew now that all replicas are up: sessions stay where they began, so a "
        "replica that came later gets only new ones."
    )
