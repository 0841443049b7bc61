"""The cards of this machine through losses, hot unplugging and driver reloads.

NVML counts cards once, when it is initialised, and gives no figure again of a card that it lost:
only shutting it down and initialising it anew helps. Blocking, and for NVML's thread alone.
"""

import time
from dataclasses import dataclass, field
from typing import Any, Final

import pynvml

from stack.telemetry.nvml import Refusal, ask, figure

RETRY: Final = 5.0
"""Seconds before NVML is initialised anew; each time in vain doubles them. It isn't free: where the
driver is not loaded, NVML may start a program that loads it."""
_LONGEST_RETRY: Final = 60.0
_LASTING: Final = 10.0
"""Seconds for which settings are remembered."""


@dataclass(slots=True)
class Card:
    """One card, and what of it doesn't change from second to second."""

    index: int
    name: str
    uuid: str
    handle: Any = None
    minor: int = 0
    """Number of its device file."""
    memory: int | None = None
    """Bytes."""
    mig: bool = False
    power_limit: float | None = None
    """Watts."""
    clock_limit: float | None = None
    """Hertz."""
    problem: str = ""
    """Why it gives no figures."""
    looked_at: float = field(default=-_LASTING)

    def renew(self) -> None:
        """Read the settings, if that was long ago."""
        now = time.monotonic()
        if now - self.looked_at < _LASTING:
            return
        self.looked_at = now
        mode = figure(pynvml.nvmlDeviceGetMigMode, self.handle)
        self.mig = bool(mode and mode[0])
        limit = figure(pynvml.nvmlDeviceGetEnforcedPowerLimit, self.handle)
        self.power_limit = None if limit is None else limit / 1000
        clock = figure(pynvml.nvmlDeviceGetMaxClockInfo, self.handle, pynvml.NVML_CLOCK_SM)
        self.clock_limit = None if clock is None else clock * 1e6


class Session:
    """NVML while it is initialised, and what is remembered from one time to the next."""

    def __init__(self) -> None:
        self.problem = ""
        """Why there is no driver to ask."""
        self.driver: str | None = None
        self._ready = False
        self._complete = False
        """All cards that NVML counts could be asked who they are."""
        self._retry_at = 0.0
        self._retry_after = RETRY
        self._known: dict[str, Card] = {}

    def cards(self) -> list[Card]:
        """Return all cards that are or were there, those that can't be asked with a problem."""
        if self._ready and isinstance(ask(pynvml.nvmlDeviceGetCount), Refusal):
            # A driver that was reloaded: what was initialised with the old one is of no use.
            self.close()
            self._retry_at = 0.0
        if not self._whole and time.monotonic() >= self._retry_at:
            self._begin_anew()
        return sorted(self._known.values(), key=lambda card: card.index)

    @property
    def _whole(self) -> bool:
        """Whether there is nothing to be won by beginning anew."""
        return self._complete and not any(card.problem for card in self._known.values())

    def _begin_anew(self) -> None:
        self.close()
        answer = ask(pynvml.nvmlInit)
        if not isinstance(answer, Refusal):
            self._ready = True
            answer = self._enumerate()
        self.problem = answer.word if isinstance(answer, Refusal) else ""
        for card in self._known.values():
            card.problem = "" if card.handle is not None else self.problem or "lost"
        if self._whole:
            self._retry_after = RETRY
            return
        self._retry_at = time.monotonic() + self._retry_after
        self._retry_after = min(2 * self._retry_after, _LONGEST_RETRY)

    def close(self) -> None:
        """Shut NVML down; the next question begins anew."""
        if self._ready:
            ask(pynvml.nvmlShutdown)
        self._ready = self._complete = False
        for card in self._known.values():
            card.handle = None

    def _enumerate(self) -> Refusal | None:
        """Find the cards; returns what is wrong where none can be found."""
        count = ask(pynvml.nvmlDeviceGetCount)
        if isinstance(count, Refusal):
            return count
        self._complete = True
        self.driver = figure(pynvml.nvmlSystemGetDriverVersion)
        for index in range(count):
            handle = ask(pynvml.nvmlDeviceGetHandleByIndex, index)
            uuid = handle if isinstance(handle, Refusal) else ask(pynvml.nvmlDeviceGetUUID, handle)
            if isinstance(handle, Refusal) or (isinstance(uuid, Refusal) and uuid.of_card):
                self._complete = False  # which one that is can't be told: it may be known already
                continue
            self._take(index, handle, f"card {index}" if isinstance(uuid, Refusal) else uuid)
        return None

    def _take(self, index: int, handle: Any, uuid: str) -> None:
        card = self._known.get(uuid)
        if card is None:
            name = figure(pynvml.nvmlDeviceGetName, handle) or "unknown"
            card = self._known[uuid] = Card(self._free(index), name, uuid)
        minor = figure(pynvml.nvmlDeviceGetMinorNumber, handle)
        memory = figure(pynvml.nvmlDeviceGetMemoryInfo, handle)
        card.handle = handle
        card.minor = index if minor is None else minor
        card.memory = memory.total if memory else card.memory
        card.looked_at = -_LASTING

    def _free(self, index: int) -> int:
        """Return the card's number; another where a card that is gone had it."""
        taken = {card.index for card in self._known.values()}
        return index if index not in taken else max(taken) + 1
