"""Live figures of whole cards. Blocking, and for NVML's thread alone."""

from typing import Any, Final

import pynvml

from stack.status import GpuSample
from stack.telemetry.gpu_session import Card
from stack.telemetry.nvml import Refusal, ask, ask_newest, figure

_REASONS: Final = (
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
)
_WORDS: Final = (
    (pynvml.nvmlClocksEventReasonSwPowerCap, "power limit"),
    (pynvml.nvmlClocksEventReasonSwThermalSlowdown, "heat"),
    (pynvml.nvmlClocksEventReasonHwThermalSlowdown, "heat"),
    (pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown, "power brake"),
    (pynvml.nvmlClocksEventReasonHwSlowdown, "hardware slowdown"),
    (pynvml.nvmlClocksEventReasonApplicationsClocksSetting, "clocks as set"),
    (pynvml.nvmlClocksEventReasonSyncBoost, "in step with others"),
    (pynvml.nvmlClocksEventReasonDisplayClockSetting, "display"),
)
"""Idleness is left out: a card with nothing to do is not held down."""


def card_sample(card: Card) -> GpuSample:
    """Read a card's figures; notes at the card when it does not answer any more."""
    if card.problem or card.handle is None:
        return without_figures(card, card.problem or "lost")
    memory = ask(pynvml.nvmlDeviceGetMemoryInfo, card.handle)
    if isinstance(memory, Refusal) and memory.of_card:
        card.problem = memory.word
        return without_figures(card, card.problem)
    card.renew()
    rates = figure(pynvml.nvmlDeviceGetUtilizationRates, card.handle)
    encoder = figure(pynvml.nvmlDeviceGetEncoderUtilization, card.handle)
    clock = figure(pynvml.nvmlDeviceGetClockInfo, card.handle, pynvml.NVML_CLOCK_SM)
    power = figure(pynvml.nvmlDeviceGetPowerUsage, card.handle)
    return GpuSample(
        index=card.index,
        name=card.name,
        memory=card.memory,
        memory_used=None if isinstance(memory, Refusal) else memory.used,
        utilisation=percentage(rates.gpu if rates else None),
        encoder=percentage(encoder[0] if encoder else None),
        temperature=figure(
            pynvml.nvmlDeviceGetTemperature, card.handle, pynvml.NVML_TEMPERATURE_GPU
        ),
        power=None if power is None else power / 1000,
        power_limit=card.power_limit,
        clock=None if clock is None else clock * 1e6,
        clock_limit=card.clock_limit,
        throttle=_throttle(ask_newest(_REASONS, card.handle)),
        mig=card.mig,
    )


def without_figures(card: Card, problem: str) -> GpuSample:
    """Return a card that gives none, and why."""
    return GpuSample(
        index=card.index, name=card.name, memory=card.memory, mig=card.mig, problem=problem
    )


def percentage(value: Any) -> float | None:
    """Return a fraction of whole per cent; None for what can't be: drivers give such at times."""
    return value / 100 if isinstance(value, int) and 0 <= value <= 100 else None


def _throttle(reasons: Any) -> tuple[str, ...]:
    if not isinstance(reasons, int):
        return ()
    return tuple(dict.fromkeys(word for bit, word in _WORDS if reasons & bit))
