"""What each replica uses of the cards: NVML's processes, joined to replicas by process ids.

Blocking, and for NVML's thread alone.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import pynvml

from stack.telemetry.gpu_devices import DeviceFiles
from stack.telemetry.gpu_figures import percentage
from stack.telemetry.gpu_session import Card
from stack.telemetry.nvml import Refusal, ask, ask_newest, figure

_LOOK_BACK: Final = 1.2
"""Seconds; the driver takes a sample about every sixth of a second. Fixed, not since the last
reading: two who watch one stack must not spoil each other's figures."""
_LISTS: Final = (
    ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"),
    ("nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"),
)
_FIRST_NAMESPACE: Final = 0xEFFFFFFC
"""Inode of the machine's own namespace of process ids, fixed in the kernel."""
_DEVICES: Final = DeviceFiles()


@dataclass(frozen=True, slots=True)
class GpuUse:
    """What one replica uses of the cards; None is unknown."""

    cards: tuple[int, ...]
    """Those it uses; where that can't be told, those it could use."""
    memory: int | None
    """Bytes."""
    memory_total: int | None
    """Bytes that there are: of the cards, or of the MIG instances that it is in."""
    utilisation: float | None
    """Fraction of the time; of several cards the busiest's."""
    encoder: float | None = None
    memory_shared: bool = False
    """The memory is all that is used of the cards, by whomever."""
    utilisation_shared: bool = False
    """The same of utilisation and encoder."""


@dataclass(slots=True)
class _Place:
    """A card, or a MIG instance of it."""

    card: Card
    memory: Any
    """NVML's account of it; None: unknown."""
    processes: dict[int, int | None] | None
    """Bytes by process id; None: the driver won't say who is there."""
    shares: dict[int, tuple[float | None, float | None]] | None = None
    """Utilisation and encoder by process id."""

    def use(self, pids: Sequence[int]) -> GpuUse:
        """Return what these processes use here; without any, all that is used here."""
        memory = self.memory
        own = [(self.processes or {}).get(pid) for pid in pids]
        hidden = not own or None in own
        total = memory.total if memory else self.card.memory
        used = memory.used if memory else None
        if not pids or self.shares is None:
            rates = figure(pynvml.nvmlDeviceGetUtilizationRates, self.card.handle)
            encoder = figure(pynvml.nvmlDeviceGetEncoderUtilization, self.card.handle)
            busy = percentage(rates.gpu if rates else None)
            coding = percentage(encoder[0] if encoder else None)
        else:
            shares = [self.shares.get(pid, (0.0, 0.0)) for pid in pids]
            busy = _sum([share[0] for share in shares])
            coding = _sum([share[1] for share in shares])
        return GpuUse(
            cards=(self.card.index,),
            memory=used if hidden else sum(bytes_ for bytes_ in own if bytes_ is not None),
            memory_total=total,
            utilisation=busy,
            encoder=coding,
            memory_shared=hidden and used is not None,
            utilisation_shared=(not pids or self.shares is None) and busy is not None,
        )


def replicas_use(cards: Sequence[Card], replicas: Mapping[str, Sequence[int]]) -> dict[str, GpuUse]:
    """Return what replicas, each with its processes and their children, use.

    Those that use no card are left out.
    """
    owners = _Owners(replicas)
    places = [place for card in cards for place in _places(card)]
    if any(place.processes and _is_foreign(place.processes) for place in places):
        for place in places:
            place.processes = None
    found: dict[str, GpuUse] = {}
    for place in places:
        ours: dict[str, list[int]] = {}
        for pid in place.processes or ():
            if (owner := owners.of(pid)) is not None:
                ours.setdefault(owner, []).append(pid)
        if ours:
            place.shares = _shares(place.card)
        for name, pids in ours.items():
            found[name] = _add(found.get(name), place.use(pids))
    hidden = [place for place in places if place.processes is None]
    if hidden:
        for name in replicas.keys() - found.keys():
            for place in hidden:
                if _DEVICES.could_use(replicas[name], place.card.minor):
                    found[name] = _add(found.get(name), place.use(()))
    return found


OTHER_NAMESPACE: Final = "process ids of another namespace"
"""Why processes can't be told apart where whisperctl runs in a container."""


def hidden_processes(card: Card) -> str:
    """Return why the driver can't tell whose memory is whose; empty where it can."""
    if card.problem or card.handle is None:
        return ""
    answers = [ask_newest(names, card.handle) for names in _LISTS]
    listed = _listed(answers)
    if listed is None:
        return next(one.word for one in answers if isinstance(one, Refusal))
    if _is_foreign(listed):
        return OTHER_NAMESPACE
    return "not available" if None in listed.values() else ""


def hidden_shares(card: Card) -> str:
    """Return why the driver can't tell whose time is whose; empty where it can."""
    if card.problem or card.handle is None:
        return ""
    answer = ask(pynvml.nvmlDeviceGetProcessUtilization, card.handle, 0)
    none_yet = isinstance(answer, Refusal) and answer.code == pynvml.NVML_ERROR_NOT_FOUND
    return answer.word if isinstance(answer, Refusal) and not none_yet else ""


@dataclass(slots=True)
class _Owners:
    """Finds the replica that a process belongs to, by its parents."""

    replicas: Mapping[str, Sequence[int]]
    _known: dict[int, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._known = {pid: name for name, pids in self.replicas.items() for pid in pids}
        self._known |= {0: None, 1: self._known.get(1)}

    def of(self, pid: int) -> str | None:
        """Return the replica's name; None for what is not ours, or not of this machine."""
        line = []
        while pid not in self._known and pid not in line:
            line.append(pid)
            try:
                pid = psutil.Process(pid).ppid()
            except psutil.Error:
                pid = 0
        owner = self._known.get(pid)
        self._known |= dict.fromkeys(line, owner)
        return owner


def _places(card: Card) -> Iterator[_Place]:
    """Yield a card that answers, or its MIG instances where the driver shows them."""
    if card.problem or card.handle is None:
        return
    card.renew()
    instances = _instances(card.handle) if card.mig else []
    for handle in instances or [card.handle]:
        memory = ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
        answers = [memory, *(ask_newest(names, handle) for names in _LISTS)]
        away = [one for one in answers if isinstance(one, Refusal) and one.lost]
        if away:
            card.problem = away[0].word
            return
        yield _Place(card, None if isinstance(memory, Refusal) else memory, _listed(answers[1:]))


def _instances(handle: Any) -> list[Any]:
    most = figure(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0
    found = (figure(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, n) for n in range(most))
    return [instance for instance in found if instance is not None]


def _listed(answers: Sequence[Any]) -> dict[int, int | None] | None:
    """Return the bytes of each process; None when NVML gives no list.

    One that both computes and draws stands in both lists, with the same memory.
    """
    found: dict[int, int | None] = {}
    if all(isinstance(answer, Refusal) for answer in answers):
        return None
    for answer in answers:
        if isinstance(answer, Refusal):
            continue
        for process in answer:
            memory = process.usedGpuMemory
            known = found.get(process.pid)
            found[process.pid] = memory if known is None else max(known, memory or 0)
    return found


def _shares(card: Card) -> dict[int, tuple[float | None, float | None]] | None:
    """Return each process's mean share of the card over the last second; None: unknown."""
    since = int((time.time() - _LOOK_BACK) * 1e6)
    samples = ask(pynvml.nvmlDeviceGetProcessUtilization, card.handle, since)
    if isinstance(samples, Refusal):
        # Not found: nobody has used the card since.
        return {} if samples.code == pynvml.NVML_ERROR_NOT_FOUND else None
    seen: dict[int, list[tuple[float | None, float | None]]] = {}
    for sample in samples:
        # Some drivers fill the list up with samples of long ago, and with shares of millions.
        if sample.timeStamp > since:
            share = percentage(sample.smUtil), percentage(sample.encUtil)
            seen.setdefault(sample.pid, []).append(share)
    return {
        pid: (_mean([one[0] for one in found]), _mean([one[1] for one in found]))
        for pid, found in seen.items()
    }


def _is_foreign(pids: Mapping[int, object]) -> bool:
    """Tell whether these ids are another namespace's: the machine's, seen from a container.

    Then any that is one of ours is so by chance. It shows by processes that aren't there.
    """
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return False
    return namespace != _FIRST_NAMESPACE and not all(psutil.pid_exists(pid) for pid in pids)


def _add(one: GpuUse | None, other: GpuUse) -> GpuUse:
    """Put the use of two cards together: memory adds up, utilisation is the busier's."""
    if one is None:
        return other
    return GpuUse(
        cards=tuple(sorted({*one.cards, *other.cards})),
        memory=_both(one.memory, other.memory),
        memory_total=_both(one.memory_total, other.memory_total),
        utilisation=_larger(one.utilisation, other.utilisation),
        encoder=_larger(one.encoder, other.encoder),
        memory_shared=one.memory_shared or other.memory_shared,
        utilisation_shared=one.utilisation_shared or other.utilisation_shared,
    )


def _both(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _larger(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _sum(shares: Sequence[float | None]) -> float | None:
    """Add shares of one card; None where one is unknown: without it the sum would flatter."""
    known = [share for share in shares if share is not None]
    return min(1.0, sum(known)) if len(known) == len(shares) else None


def _mean(shares: Sequence[float | None]) -> float | None:
    known = [share for share in shares if share is not None]
    return sum(known) / len(known) if known else None
