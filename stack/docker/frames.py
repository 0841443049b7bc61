"""What a frame of Docker's statistics says. Pure.

Fields as Docker Engine's API documents them (ContainerStats of version 1.41), which hands on what
the kernel's control groups count; docs/telemetry.md has the formulas and their sources.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

_NANO: Final = 1e9
_DEFAULT_PERIOD: Final = 100_000
"""Microseconds; the kernel's when only a quota is set."""
_FRACTION_DIGITS: Final = 6
"""As many as datetime reads."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use; None without a limit."""

    cpu: float | None = None
    """Cores."""
    memory: int | None = None
    """Bytes."""


def limits_of(host: Mapping[str, Any]) -> Limits:
    """Read a container's HostConfig: ``--cpus``, a quota of time, a set of cores, memory."""
    cores = []
    if host.get("NanoCpus"):
        cores.append(host["NanoCpus"] / _NANO)
    if (host.get("CpuQuota") or 0) > 0:
        cores.append(host["CpuQuota"] / (host.get("CpuPeriod") or _DEFAULT_PERIOD))
    if host.get("CpusetCpus"):
        cores.append(float(cores_in(host["CpusetCpus"])))
    return Limits(cpu=min(cores, default=None), memory=host.get("Memory") or None)


def cores_in(cpuset: str) -> int:
    """Count the cores of a list such as ``0-3,8``."""
    total = 0
    for piece in cpuset.split(","):
        first, _, last = piece.strip().partition("-")
        total += int(last or first) - int(first) + 1
    return total


def read_at(frame: Mapping[str, Any]) -> float | None:
    """Return when the figures were read, in seconds; None of a container that does not run."""
    said = frame.get("read")
    if not isinstance(said, str) or said.startswith("0001-"):
        return None
    text, _, fraction = said.removesuffix("Z").partition(".")
    try:
        whole = datetime.fromisoformat(f"{text}+00:00").timestamp()
        return whole + float(f"0.{fraction[:_FRACTION_DIGITS] or 0}")
    except ValueError:
        return None


def counters_of(frame: Mapping[str, Any]) -> dict[str, float]:
    """Return the counters that only grow, in seconds and bytes; unknown ones are left out."""
    cpu = _mapping(frame.get("cpu_stats"))
    used = _number(_mapping(cpu.get("cpu_usage")).get("total_usage"))
    throttled = _number(_mapping(cpu.get("throttling_data")).get("throttled_time"))
    # What has run has used some time: zero is what Docker writes when it can't read the counter.
    found = {"cpu": used / _NANO} if used else {}
    if throttled is not None and used:
        found["throttled"] = throttled / _NANO
    networks = frame.get("networks")
    if isinstance(networks, dict) and networks:
        for name, key in (("received", "rx_bytes"), ("sent", "tx_bytes")):
            found[name] = sum(_number(_mapping(one).get(key)) or 0.0 for one in networks.values())
    return found | _disk(frame)


def _disk(frame: Mapping[str, Any]) -> dict[str, float]:
    """Sum bytes over the devices; without any entry nothing is known, as nothing may be counted."""
    entries = _mapping(frame.get("blkio_stats")).get("io_service_bytes_recursive")
    found: dict[str, float] = {}
    for entry in entries if isinstance(entries, list) else []:
        # 'Read' with version 1 of control groups, 'read' with version 2.
        operation = str(_mapping(entry).get("op", "")).lower()
        name = {"read": "read", "write": "written"}.get(operation)
        value = _number(_mapping(entry).get("value"))
        if name is not None and value is not None:
            found[name] = found.get(name, 0.0) + value
    return found


def memory_of(frame: Mapping[str, Any]) -> int | None:
    """Return the working set in bytes: usage without the page cache that the kernel would drop.

    usage - total_inactive_file with version 1 of control groups, usage - inactive_file with
    version 2: the formula of ``docker stats`` (calculateMemUsageUnixNoCache in docker/cli,
    cli/command/container/stats_helpers.go) and of Kubernetes' working set.
    """
    memory = _mapping(frame.get("memory_stats"))
    usage = _number(memory.get("usage"))
    if usage is None:
        return None
    stats = _mapping(memory.get("stats"))
    inactive = _number(stats.get("total_inactive_file", stats.get("inactive_file")))
    return int(usage - inactive) if inactive is not None and inactive < usage else int(usage)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
