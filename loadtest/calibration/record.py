"""What a calibration found, kept for the runs that come after it."""

import math
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stack.files import write_atomically

_MACHINE: Final = ("whisperctl", "machine", "cpu", "cores", "usable_cores")
"""What of the environment a calibration holds for."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Accuracy(_Part):
    """One step against a server of known delay; seconds."""

    clients: int
    delay: float
    """Injected."""
    median_error: float | None
    """Reported minus injected."""
    p95_error: float | None
    p99_error: float | None
    slip_p99: float | None
    sink_late_p99: float | None
    """How late the server of known delay was with its own answers; no error of the generator."""
    generator_cpu: float | None
    """Mean fraction of one core."""
    problems: tuple[str, ...]
    """Why the generator distorts at this count; none where it doesn't."""


class Calibration(_Part):
    """How many clients this machine's generator drives before it distorts what it measures."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    created_at: datetime
    environment: dict[str, Any]
    chunk: float
    """Seconds of audio a message, float32."""
    clients: int
    """The most that were driven without distortion, twice."""
    capped: bool
    """Nothing larger was tried."""
    steps: tuple[Accuracy, ...]
    model_config = ConfigDict(populate_by_name=True)

    @property
    def messages_a_second(self) -> float:
        """Messages that all clients together may send."""
        return self.clients / self.chunk

    def clients_at(self, chunk: float) -> int:
        """Return how many clients may send messages of ``chunk`` seconds.

        Larger messages cost more to send, so a longer chunk never allows more clients than were
        tried.
        """
        return min(self.clients, math.floor(self.messages_a_second * chunk))

    def holds_for(self, environment: dict[str, Any]) -> bool:
        """Tell whether it was made on such a machine with this version."""
        return all(self.environment.get(key) == environment.get(key) for key in _MACHINE)


def save(calibration: Calibration, path: Path) -> None:
    """Write a calibration atomically; raises OSError."""
    write_atomically(path, calibration.model_dump_json(by_alias=True, indent=1).encode() + b"\n")


def load(path: Path) -> Calibration | None:
    """Return the calibration saved there; None where there is none of use."""
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
