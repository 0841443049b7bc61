"""What Locust's users and the plain script share: their order, and what they note of a session.

Nothing but the standard library: Locust runs it in an environment of its own.
"""

import json
import math
import uuid
from pathlib import Path
from typing import Any, Final

END_OF_AUDIO: Final = b"END_OF_AUDIO"
LEAD: Final = 0.5
"""Seconds of rest before the first client connects, so that starting up is no part of sending."""


class Order:
    """What is to be sent; read from the file that ``benchmarks.streams.audio`` writes."""

    def __init__(self, path: Path) -> None:
        said = json.loads(path.read_text(encoding="utf-8"))
        self.url: str = said["url"]
        self.chunk: float = said["chunk"]
        self.ramp: float = said["ramp"]
        self.timeout: float = said["timeout"]
        self.report = Path(said["report"])
        self._options: dict[str, Any] = said["options"]
        audio, size = Path(said["audio"]).read_bytes(), said["message_bytes"]
        messages = [audio[start : start + size] for start in range(0, len(audio), size)]
        self.streams = [[messages[index] for index in stream] for stream in said["streams"]]

    def start_of(self, client: int) -> float:
        """Return the seconds after the first client's start at which this one connects."""
        return client * self.ramp / len(self.streams)

    def options(self) -> str:
        """Return a session's first message, with a uid of its own."""
        return json.dumps(self._options | {"uid": str(uuid.uuid4())})


class Record:
    """What all sessions of a process came to."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.slip: list[float] = []
        self.latency: list[float] = []
        self.succeeded = 0
        self.reasons: dict[str, int] = {}

    def failed(self, reason: str) -> None:
        """Count a session that failed."""
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def write(self) -> None:
        """Write all of it where the order wants it; a session that never ended is a failed one."""
        missing = len(self.order.streams) - self.succeeded - sum(self.reasons.values())
        if missing:
            self.reasons["not ended"] = missing
        report = {
            "succeeded": self.succeeded,
            "failures": self.reasons,
            "slip": self.slip,
            "latency": self.latency,
        }
        self.order.report.write_text(json.dumps(report), encoding="utf-8")


class Session:
    """One session's answers; ``first_send`` is the scheduled moment of its first message."""

    def __init__(self, record: Record, first_send: float) -> None:
        self._record = record
        self._first_send = first_send
        self._reached = 0.0

    def heard(self, message: str | bytes, received: float) -> float | None:
        """Take in a message; return the new sample of latency, as docs/measurements.md has it."""
        segments = json.loads(message).get("segments")
        if not segments:
            return None
        end = float(segments[-1]["end"])
        if end <= self._reached:
            return None
        self._reached = end
        chunk = self._record.order.chunk
        holds = math.ceil(end / chunk - 1e-9) - 1
        sample = received - (self._first_send + holds * chunk)
        self._record.latency.append(sample)
        return sample

    @property
    def has_text(self) -> bool:
        """Whether any text came."""
        return self._reached > 0
