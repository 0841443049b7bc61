"""One line of a list of saved results. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path


class RunFileError(Exception):
    """A saved result that can't be found, read or changed; one sentence."""


class Kind(StrEnum):
    """What a saved file is."""

    RUN = "run"
    REST = "REST measurement"


@dataclass(frozen=True, slots=True)
class RunEntry:
    """One line of the list; with a ``problem`` all the rest is None."""

    path: Path
    problem: str | None = None
    """What is wrong with the file, in a sentence."""
    run_id: str | None = None
    series_id: str | None = None
    created_at: datetime | None = None
    status: str | None = None
    label: str | None = None
    clients: int | None = None
    """Of a REST measurement the most at once."""
    audio_duration: float | None = None
    """Mean seconds of audio a session."""
    p95_latency: float | None = None
    wer: float | None = None
    successful: int | None = None
    """Sessions; of a REST measurement requests."""
    failed: int | None = None
    kind: Kind = Kind.RUN
    met: bool | None = None
    """Whether the SLO was met; None if that was not judged."""
    note: str = ""
    host: str | None = None
    model: str | None = None
