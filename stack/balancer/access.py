"""What became of each request that a balancer passed on, line by line and in figures. Pure.

nginx writes a line of JSON when a request ends, and so a session when it is over; the built-in
balancer counts at the same moments. A line holds no query: a query may hold a key.
"""

import json
import math
import re
import statistics
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stack.spec import MAX_REPLICAS

LOG_FIELDS: Final[Mapping[str, str]] = {
    "time": "$msec",
    "client": '"$remote_addr"',
    "method": '"$request_method"',
    "path": '"$uri"',
    "upgrade": "$upgrade_asked",
    "status": '"$status"',
    "replica": '"$replica_name"',
    "upstream": '"$upstream_addr"',
    "upstream_status": '"$upstream_status"',
    "upstream_connect_seconds": '"$upstream_connect_time"',
    "upstream_response_seconds": '"$upstream_response_time"',
    "session_seconds": "$request_time",
    "bytes_received": "$request_length",
    "bytes_sent": "$bytes_sent",
}
"""Keys of a line, and the variables that nginx fills in
(https://nginx.org/en/docs/http/ngx_http_log_module.html and …_upstream_module.html). Only what is
a number whatever happens stands without quotation marks: a status may be 000, a time ``-``."""
LONGEST_LINE: Final = 64 * 1024
"""Bytes; nginx takes request lines of 8 KB, and what it can't write as it is takes six each."""
CLASSES: Final = ("101", "2xx", "3xx", "4xx", "5xx")
"""101: a session; the others by the status' first digit."""
NOBODY: Final = "none"
"""Where no replica was asked."""
RECENT: Final = 10.0
"""Seconds that figures of requests look back on: sessions are rarer than samples."""
_MOST_RECENT: Final = 10_000
"""Requests of these seconds that are kept."""
_MOST_NAMES: Final = 4 * MAX_REPLICAS
"""Replicas that are told apart, those that have gone among them."""
_OTHERS: Final = "others"
_MIN_SAMPLES_P95: Final = 20
"""As everywhere: under 20 samples a p95 is just the largest one or two."""
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SWITCHING: Final = 101
ACCESS_FIGURES: Final = (
    *("sessions_ended", "session_p50", "session_max"),
    *("connect_p50", "connect_p95", "connect_max"),
)
"""Fields of an answer that are one number."""


@dataclass(frozen=True, slots=True)
class Access:
    """A request that has ended."""

    status: int
    """Of HTTP; 101: it was a session."""
    replica: str = ""
    """Who answered, or was asked last; empty: nobody."""
    connects: Sequence[float] = ()
    """Seconds that each connection to a replica took that came about."""
    seconds: float = 0.0
    """From its first byte to its end."""
    time: float = 0.0
    """Seconds since the epoch, of its end."""
    method: str = ""
    path: str = ""
    client: str = ""
    bytes_sent: int = 0


@dataclass(frozen=True, slots=True)
class AccessAnswer:
    """Counters since counting began, and figures of what ended in the last 10 s."""

    answers_total: Mapping[str, int] = field(default_factory=dict)
    """By ``CLASSES``."""
    served_total: Mapping[str, int] = field(default_factory=dict)
    """By replica."""
    sessions_ended: float | None = None
    """In the last second."""
    session_p50: float | None = None
    """Seconds that sessions lasted."""
    session_max: float | None = None
    connect_p50: float | None = None
    """Seconds until a replica took the connection."""
    connect_p95: float | None = None
    connect_max: float | None = None


def parse_access(line: str) -> Access | None:
    """Read a line of nginx's access log; None for any other line."""
    if not line.startswith("{") or len(line) > LONGEST_LINE:
        return None
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not {"status", "session_seconds"} <= set(said):
        return None
    status, seconds = _number(said["status"]), _number(said["session_seconds"])
    if status is None or seconds is None or status >= 1000:
        return None
    return Access(
        status=int(status),
        replica=_text(said.get("replica")),
        connects=_times(said.get("upstream_connect_seconds")),
        seconds=seconds,
        time=_number(said.get("time")) or 0.0,
        method=_text(said.get("method")),
        path=_text(said.get("path")),
        client=_text(said.get("client")),
        bytes_sent=int(_number(said.get("bytes_sent")) or 0),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number < 2**53 else None


def _times(value: Any) -> tuple[float, ...]:
    """Read nginx's times of all that were tried; ``-`` stands for a connection that never was."""
    known = (_number(part.strip()) for part in re.split(r"[,:]", _text(value))[:_MOST_NAMES])
    return tuple(seconds for seconds in known if seconds is not None)


def is_served_name(name: str) -> bool:
    """Tell whether requests may be counted under this name: a replica's, or what stands for it."""
    return _NAME.fullmatch(name) is not None


def class_of(status: int) -> str:
    """Return the one of ``CLASSES`` that a status counts as."""
    if status == _SWITCHING:
        return "101"
    # An end before any answer is written as 000: the client's doing, as 499 is.
    return f"{status // 100}xx" if 200 <= status < 600 else "4xx"


class AccessCounts:
    """Counts requests as they end."""

    def __init__(self) -> None:
        self._answers: Counter[str] = Counter(dict.fromkeys(CLASSES, 0))
        self._served: Counter[str] = Counter()
        self._recent: deque[tuple[float, Access]] = deque(maxlen=_MOST_RECENT)

    def add(self, now: float, access: Access) -> None:
        """Take in a request; ``now`` is the monotonic second in which it ended."""
        self._answers[class_of(access.status)] += 1
        name = access.replica if is_served_name(access.replica) else NOBODY
        if name not in self._served and len(self._served) >= _MOST_NAMES:
            name = _OTHERS
        self._served[name] += 1
        self._recent.append((now, access))

    def answer(self, now: float) -> AccessAnswer:
        """Return the figures of now."""
        while self._recent and self._recent[0][0] <= now - RECENT:
            self._recent.popleft()
        connects = [seconds for _, one in self._recent for seconds in one.connects]
        sessions = [(at, one.seconds) for at, one in self._recent if one.status == _SWITCHING]
        lengths = [seconds for _, seconds in sessions]
        return AccessAnswer(
            answers_total=dict(self._answers),
            served_total=dict(self._served),
            sessions_ended=float(sum(at > now - 1.0 for at, _ in sessions)),
            session_p50=statistics.median(lengths) if lengths else None,
            session_max=max(lengths, default=None),
            connect_p50=statistics.median(connects) if connects else None,
            connect_p95=_p95(connects),
            connect_max=max(connects, default=None),
        )


def _p95(samples: Sequence[float]) -> float | None:
    """Interpolate linearly between order statistics, as the figures of runs do."""
    if len(samples) < _MIN_SAMPLES_P95:
        return None
    return statistics.quantiles(samples, n=20, method="inclusive")[-1]


def for_people(line: str) -> str:
    """Write a line of the access log as a person reads it; any other line stays as it is."""
    access = parse_access(line)
    if access is None:
        return line
    asked = f"{access.method or '–'} {access.path or '–'}"
    parts = [f"{access.client or '–'} {asked} {access.status}", access.replica or "no replica"]
    lasted = f"{access.seconds:.1f} s" if access.seconds >= 1 else f"{access.seconds * 1000:.0f} ms"
    parts.append(f"{'session of ' if access.status == _SWITCHING else ''}{lasted}")
    if access.connects:
        parts.append(f"connected in {max(access.connects) * 1000:.0f} ms")
    parts.append(f"{access.bytes_sent:,} bytes sent")
    return ", ".join(parts)
