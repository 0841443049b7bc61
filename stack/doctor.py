"""What a machine has and lacks for running a stack, found out beforehand. Blocking."""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import psutil

from stack.engine import StackError
from stack.spec import (
    DEFAULT_BALANCER_IMAGE,
    DEFAULT_HOST,
    DEFAULT_IMAGE,
    DEFAULT_PORT,
    EngineName,
)
from stack.supervision.preflight import check_port, replica_memory
from stack.supervision.state import state_root
from stack.telemetry.gpu import Gpu, GpuReader
from stack.telemetry.gpu_processes import OTHER_NAMESPACE
from stack.telemetry.nvml import NO_LIBRARY

_GIB: Final = 2**30
_DISK_WANTED: Final = 10 * _GIB
"""Bytes: an image with CUDA, a large model, and room for results."""


class Health(StrEnum):
    """How a finding is meant."""

    GOOD = "ok"
    NOTE = "note"
    """Nothing is wrong; something is not there that one may want."""
    BAD = "missing"
    """The engine named beside it can't be used until this is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    health: Health
    text: str
    """What was found, and what to do where something is missing."""
    engine: EngineName | None = None
    """The engine that needs it; None: both."""


def examine(
    *,
    results: Path,
    image: str = DEFAULT_IMAGE,
    balancer_image: str = DEFAULT_BALANCER_IMAGE,
    port: int = DEFAULT_PORT,
) -> Iterator[Finding]:
    """Look at one thing after another and yield what was found."""
    yield Finding("Python", Health.GOOD, platform.python_version())
    yield Finding("processor", Health.GOOD, f"{os.cpu_count()} cores")
    yield _memory()
    yield _disk(results)
    yield _writable("state directory", state_root(), "WHISPERCTL_STATE_DIR")
    yield _writable("results", results, "--results-dir")
    yield _port(port)
    yield from _gpus()
    yield from _docker(image, balancer_image)


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    text = f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free"
    each = replica_memory("small") or 0
    if memory.available < each:
        return Finding("memory", Health.NOTE, f"{text}: not enough for a replica of Whisper small")
    return Finding("memory", Health.GOOD, text)


def _disk(results: Path) -> Finding:
    free = shutil.disk_usage(_existing(results)).free
    text = f"{free / _GIB:.1f} GiB free where results are kept"
    if free < _DISK_WANTED:
        return Finding("disk", Health.NOTE, f"{text}: an image with CUDA and a large model fill it")
    return Finding("disk", Health.GOOD, text)


def _existing(path: Path) -> Path:
    path = path.expanduser().resolve()
    while not path.exists():
        path = path.parent
    return path


def _writable(what: str, directory: Path, setting: str) -> Finding:
    if os.access(_existing(directory), os.W_OK | os.X_OK):
        return Finding(what, Health.GOOD, str(directory))
    text = f"{directory} can't be written; name another one with {setting}"
    return Finding(what, Health.BAD, text)


def _port(port: int) -> Finding:
    try:
        check_port(DEFAULT_HOST, port)
    except StackError as error:
        # A stack that runs holds it, as it should.
        return Finding(f"port {port}", Health.NOTE, str(error))
    return Finding(f"port {port}", Health.GOOD, "free")


_DRIVER: Final = {
    "driver not loaded": "load it with 'modprobe nvidia', and look for its reasons with 'dmesg'",
    "driver and library differ in version": (
        "the driver was updated under way; reload its kernel modules, or restart the machine"
    ),
    "no answer": "look for 'Xid' in 'dmesg'; the machine may need a restart",
}
"""What to do, by what keeps the driver from telling of its cards."""


def _gpus() -> Iterator[Finding]:
    found = GpuReader().inventory()
    if found.problem in {"", NO_LIBRARY} and not found.cards:
        text = "none with NVIDIA's driver: models run on the processor, and figures of GPUs are –"
        yield Finding("GPUs", Health.NOTE, text)
    elif found.problem:
        todo = _DRIVER.get(found.problem, "see 'nvidia-smi' and 'dmesg'")
        yield Finding("GPUs", Health.NOTE, f"{found.problem}: {todo}")
    for card in found.cards:
        if not (found.problem and card.problem):
            yield _gpu(card)


def _gpu(card: Gpu) -> Finding:
    facts = [card.name]
    if card.memory:
        facts.append(f"{card.memory / _GIB:.0f} GiB")
    if card.power_limit:
        facts.append(f"{card.power_limit:.0f} W")
    text = f"{', '.join(facts)}, driver {card.driver or 'unknown'}"
    notes = []
    if card.problem:
        notes.append(f"it gives no figures ({card.problem}): see 'nvidia-smi' and 'dmesg'")
    if card.mig:
        notes.append(
            "it is split into MIG instances, of which the driver gives no utilisation; switch that "
            "off with 'nvidia-smi -mig 0' if you need it"
        )
    if card.hidden_processes == OTHER_NAMESPACE:
        notes.append(
            "its processes are known by ids of the host: run whisperctl there, or its container "
            "with '--pid=host'"
        )
    elif card.hidden_processes:
        notes.append(
            f"replicas show the whole card's memory, marked 'card' ({card.hidden_processes})"
            f"{_rights(card.hidden_processes)}"
        )
    if card.hidden_shares and not card.mig:
        notes.append(
            f"replicas show the whole card's utilisation, marked 'card' ({card.hidden_shares})"
            f"{_rights(card.hidden_shares)}"
        )
    health = Health.NOTE if notes else Health.GOOD
    return Finding(f"GPU {card.index}", health, "; ".join([text, *notes]))


def _rights(reason: str) -> str:
    if reason == "no permission":
        return ": run whisperctl as root, or as the user that the replicas run as"
    return ": this driver can't tell processes apart, as under WSL"


def _docker(image: str, balancer_image: str) -> Iterator[Finding]:
    # Docker's SDK takes a while to load.
    from stack.docker.client import connect  # noqa: PLC0415
    from stack.docker.preflight import NO_RUNTIME, has_nvidia, image_labels  # noqa: PLC0415

    def finding(what: str, look: Callable[[], str]) -> Finding:
        try:
            return Finding(what, Health.GOOD, look(), EngineName.DOCKER)
        except StackError as error:
            return Finding(what, Health.BAD, str(error), EngineName.DOCKER)

    try:
        client = connect()
    except StackError as error:
        yield Finding("Docker", Health.BAD, str(error), EngineName.DOCKER)
        return
    facts = client.info()
    text = f"Engine {facts.get('ServerVersion', 'unknown')}"
    rootless = any("rootless" in option for option in facts.get("SecurityOptions") or [])
    if rootless or facts.get("OperatingSystem") == "Docker Desktop":
        text += (
            ": its containers' addresses can't be reached from here, which whisperctl needs to ask "
            "them how they are; use an engine that runs as root on Linux"
        )
        yield Finding("Docker", Health.BAD, text, EngineName.DOCKER)
    else:
        yield Finding("Docker", Health.GOOD, text, EngineName.DOCKER)
    for what, name in (("replica image", image), ("balancer image", balancer_image)):

        def look(name: str = name) -> str:
            image_labels(client, name)
            return name

        yield finding(what, look)
    there = has_nvidia(client)
    cards = GpuReader().devices()
    if there or not cards:
        text = "containers can be given NVIDIA cards" if there else "no NVIDIA runtime, none needed"
        health = Health.GOOD if there else Health.NOTE
        yield Finding("GPUs in containers", health, text, EngineName.DOCKER)
    else:
        yield Finding("GPUs in containers", Health.BAD, NO_RUNTIME, EngineName.DOCKER)
    yield _docker_disk(str(facts.get("DockerRootDir", "")))


def _docker_disk(root: str) -> Finding:
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return Finding("Docker's disk", Health.NOTE, "can't be looked at", EngineName.DOCKER)
    text = f"{free / _GIB:.1f} GiB free in {root}"
    if free < _DISK_WANTED:
        text += "; make room, for example with 'docker system prune'"
        return Finding("Docker's disk", Health.NOTE, text, EngineName.DOCKER)
    return Finding("Docker's disk", Health.GOOD, text, EngineName.DOCKER)
