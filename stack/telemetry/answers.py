"""What replicas and balancers say of themselves; a broken part of it is unknown. Pure.

The bodies come from the network: they are bounded before they get here, and nothing in them is
taken that is not a number of the right kind.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from stack.balancer.access import ACCESS_FIGURES, CLASSES, AccessAnswer, is_served_name
from stack.replica.metrics import STAGES
from stack.telemetry.rates import Counters

_LARGEST: Final = 2**53
"""Beyond this a figure is no count of ours."""
_LONGEST_LINE: Final = 4096
"""Bytes of a line of metrics; the parser's time grows with its length."""
_MOST_SAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """What a server says: figures of now, and counters that only grow."""

    sessions: int | None = None
    queue_depth: int | None = None
    rejected_total: int | None = None
    real_time_factor: float | None = None
    totals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BalancerAnswer:
    """What a balancer says of its connections."""

    active_connections: int | None = None
    accepted_total: int | None = None
    handled_total: int | None = None
    requests_total: int | None = None
    access: AccessAnswer | None = None
    """What became of its requests; None where this is not the source that says so."""


def count(value: Any) -> int | None:
    """Return what is a count; None for anything else."""
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None


def _number(value: Any) -> float | None:
    # True is an int to Python.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Neither infinity nor what is not a number lies between.
    return float(value) if 0 <= value <= _LARGEST else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def replica_answer(status: Mapping[str, Any]) -> ServiceAnswer:
    """Read the ``/status`` of a replica of ours."""
    totals: dict[str, float] = {}
    timed = _mapping(status.get("stages"))
    wanted = {f"stage {stage}": _mapping(timed.get(stage)) for stage in STAGES}
    wanted["batch"] = _mapping(status.get("batches"))
    for name, counted in wanted.items():
        total, number = _number(counted.get("total")), _number(counted.get("count"))
        if total is not None and number is not None:
            totals |= {f"{name} total": total, f"{name} count": number}
    return ServiceAnswer(
        sessions=count(status.get("sessions")),
        queue_depth=count(status.get("queue_depth")),
        rejected_total=count(status.get("rejected_total")),
        real_time_factor=_number(status.get("real_time_factor")),
        totals=totals,
    )


def upstream_answer(text: str) -> ServiceAnswer:
    """Read the Prometheus text of upstream's server, with the names of whisper-live 0.10.0."""
    found: dict[str, float] = {}
    for name, value in _samples(text):
        number = _number(value)
        if number is not None:
            found[name] = found.get(name, 0.0) + number
    prefix, totals = "whisperlive_transcription_latency_seconds", {}
    total, number = found.get(f"{prefix}_sum"), found.get(f"{prefix}_count")
    if total is not None and number is not None:
        totals = {"stage transcription total": total, "stage transcription count": number}
    return ServiceAnswer(
        sessions=count(found.get("whisperlive_connections_active")),
        # A counter with labels has no sample before its first refusal.
        rejected_total=count(
            found.get(
                "whisperlive_connections_rejected_total",
                0.0 if "whisperlive_connections_active" in found else None,
            )
        ),
        totals=totals,
    )


def _samples(text: str) -> Iterator[tuple[str, float]]:
    """Yield the samples of the metrics that count here; those of a broken line are left out."""
    left = _MOST_SAMPLES
    for line in text.splitlines():
        if not line.startswith("whisperlive_") or len(line) > _LONGEST_LINE or "_bucket" in line:
            continue
        try:
            families = list(text_string_to_metric_families(line + "\n"))
        except (ValueError, KeyError, IndexError, TypeError, OverflowError):
            continue  # one broken line costs itself
        for family in families:
            for sample in family.samples:
                if left == 0:
                    return
                left -= 1
                yield sample.name, sample.value


def stage_seconds(counters: Counters) -> Mapping[str, float] | None:
    """Return the mean seconds of each stage that was timed in the window; None: unknown."""
    means, known = {}, False
    for stage in (*STAGES, "transcription"):
        number = counters.growth(f"stage {stage} count")
        total = counters.growth(f"stage {stage} total")
        if number is None or total is None:
            continue
        known = True
        if number > 0:
            means[stage] = total / number
    return means if known else None


def batch_size(counters: Counters) -> float | None:
    """Return the mean number of passes in one call of the model in the window."""
    calls, passes = counters.growth("batch count"), counters.growth("batch total")
    return passes / calls if calls and passes is not None else None


def built_in_answer(status: Mapping[str, Any]) -> BalancerAnswer:
    """Read the status of the built-in balancer."""
    said = _mapping(status.get("connections"))
    return BalancerAnswer(
        active_connections=count(said.get("active")),
        accepted_total=count(said.get("accepted")),
        handled_total=count(said.get("handled")),
        requests_total=count(said.get("requests")),
        access=_access(_mapping(status.get("access"))),
    )


def _access(said: Mapping[str, Any]) -> AccessAnswer | None:
    """Read what the built-in balancer says of the requests that have ended."""
    if not said:
        return None
    served = _mapping(said.get("served_total"))
    return AccessAnswer(
        answers_total=_counts(_mapping(said.get("answers_total")), CLASSES),
        served_total=_counts(served, [name for name in served if is_served_name(name)]),
        **{name: _number(said.get(name)) for name in ACCESS_FIGURES},
    )


def _counts(said: Mapping[str, Any], names: Iterable[str]) -> dict[str, int]:
    known = {name: count(said.get(name)) for name in names}
    return {name: number for name, number in known.items() if number is not None}


_STUB_STATUS: Final = re.compile(
    r"Active connections: (?P<active>\d{1,15}) \n"
    r"server accepts handled requests\n"
    r" (?P<accepted>\d{1,15}) (?P<handled>\d{1,15}) (?P<requests>\d{1,15}) \n"
    r"Reading: (?P<reading>\d{1,15}) Writing: (?P<writing>\d{1,15}) Waiting: (?P<waiting>\d{1,15})"
)
"""https://nginx.org/en/docs/http/ngx_http_stub_status_module.html"""


def nginx_answer(text: str) -> BalancerAnswer | None:
    """Read nginx's stub_status; None when it is none."""
    match = _STUB_STATUS.match(text)
    if match is None:
        return None
    said = {name: int(value) for name, value in match.groupdict().items()}
    return BalancerAnswer(
        # Its 'active' counts idle connections as well. This question is one in 'writing'.
        active_connections=max(0, said["reading"] + said["writing"] - 1),
        accepted_total=said["accepted"],
        handled_total=said["handled"],
        requests_total=said["requests"],
    )
