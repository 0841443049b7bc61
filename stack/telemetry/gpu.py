"""GPU figures with nvidia-ml-py. No GPU is a normal state and looks like one: nothing.

Never raises, never waits longer than a second or so, whatever the driver does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from stack.status import GpuSample
from stack.telemetry.gpu_figures import card_sample
from stack.telemetry.gpu_processes import GpuUse, hidden_processes, hidden_shares, replicas_use
from stack.telemetry.gpu_session import Session
from stack.telemetry.nvml import THREAD

__all__ = ["Gpu", "GpuReader", "GpuUse", "gpu_fields"]

_INVENTORY: Final = 10.0
"""Seconds: drivers without persistence wake each card up first."""
_NO_FIGURES: Final = dict.fromkeys(
    ("memory_used", "utilisation", "encoder", "temperature", "power", "clock")
)
_SESSION: Final = Session()
"""One for all readers: NVML is initialised for the process, so it must be shut down by one hand."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card."""

    index: int
    name: str
    memory: int | None
    """Bytes."""
    driver: str | None
    mig: bool = False
    power_limit: float | None = None
    """Watts."""
    clock_limit: float | None = None
    """Hertz."""
    problem: str = ""
    """Why it gives no figures."""
    hidden_processes: str = ""
    """Why it can't be told which process uses what memory of it; empty: it can."""
    hidden_shares: str = ""
    """Why it can't be told which process uses what time of it; empty: it can."""


@dataclass(frozen=True, slots=True)
class GpuInventory:
    """The cards, and what keeps the driver from telling of them."""

    cards: tuple[Gpu, ...] = ()
    problem: str = ""
    """``nvml.NO_LIBRARY`` on a machine without NVIDIA's driver."""


class GpuReader:
    """Reads NVML; survives a driver that is missing, hangs, goes, or comes back."""

    def __init__(self) -> None:
        self._last: tuple[GpuSample, ...] = ()

    def inventory(self) -> GpuInventory:
        """Return the cards and the driver's state. Blocking, for seconds at worst."""
        found = THREAD.run(_inventory, _INVENTORY)
        return GpuInventory(problem="no answer") if found is None else found

    def devices(self) -> list[Gpu]:
        """Return the cards of this machine that answer."""
        return [card for card in self.inventory().cards if not card.problem]

    def cards(self) -> tuple[GpuSample, ...]:
        """Return each card's figures now; a card that was there once stays, with its problem."""
        found = THREAD.run(_samples)
        if found is None:
            lost = _NO_FIGURES | {"throttle": (), "problem": "no answer"}
            return tuple(sample.model_copy(update=lost) for sample in self._last)
        self._last = found
        return found

    def use(self, replicas: Mapping[str, Sequence[int]]) -> dict[str, GpuUse] | None:
        """Return what replicas use, given their processes; those that use no card are left out.

        None: the driver does not answer.
        """
        return THREAD.run(lambda: replicas_use(_SESSION.cards(), replicas))


def gpu_fields(use: GpuUse | None) -> dict[str, Any]:
    """Return the fields of a ReplicaSample that say what it uses of the cards."""
    if use is None:
        return {}
    return {
        "gpus": use.cards,
        "gpu_memory": use.memory,
        "gpu_memory_total": use.memory_total,
        "gpu_utilisation": use.utilisation,
        "gpu_encoder": use.encoder,
        "gpu_memory_shared": use.memory_shared,
        "gpu_utilisation_shared": use.utilisation_shared,
        "gpu_shared": use.memory_shared or use.utilisation_shared,
    }


def _samples() -> tuple[GpuSample, ...]:
    return tuple(card_sample(card) for card in _SESSION.cards())


def _inventory() -> GpuInventory:
    cards = _SESSION.cards()
    for card in cards:
        if not card.problem:
            card.renew()
    return GpuInventory(
        cards=tuple(
            Gpu(
                index=card.index,
                name=card.name,
                memory=card.memory,
                driver=_SESSION.driver,
                mig=card.mig,
                power_limit=card.power_limit,
                clock_limit=card.clock_limit,
                problem=card.problem,
                hidden_processes=hidden_processes(card),
                hidden_shares=hidden_shares(card),
            )
            for card in cards
        ),
        problem=_SESSION.problem,
    )
