"""What machine a run was made on. No name of host or user: run files are shared."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from pydantic import BaseModel

from stack.cores import usable_cores
from stack.telemetry.gpu import GpuReader


class GpuFacts(BaseModel):
    """One card."""

    name: str
    memory: int | None
    """Bytes."""
    driver: str | None
    mig: bool = False
    power_limit: float | None = None
    """Watts."""
    clock_limit: float | None = None
    """Hertz."""


class Environment(BaseModel):
    """A machine, as far as figures depend on it."""

    whisperctl: str
    python: str
    system: str
    machine: str
    cpu: str
    cores: int | None
    usable_cores: int | None = None
    """Cores that this program may use."""
    memory: int
    """Bytes."""
    gpus: list[GpuFacts] = []


def environment() -> Environment:
    """Look at this machine. Blocking: NVML and files."""
    try:
        own = version("whisperctl")
    except PackageNotFoundError:
        own = "unknown"
    return Environment(
        whisperctl=own,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        cpu=_cpu_model(),
        cores=psutil.cpu_count(),
        usable_cores=usable_cores(),
        memory=psutil.virtual_memory().total,
        gpus=[
            GpuFacts(
                name=gpu.name,
                memory=gpu.memory,
                driver=gpu.driver,
                mig=gpu.mig,
                power_limit=gpu.power_limit,
                clock_limit=gpu.clock_limit,
            )
            for gpu in GpuReader().devices()
        ],
    )


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
