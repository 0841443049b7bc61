"""Where this machine's calibration is kept, and what it allows."""

from pathlib import Path
from typing import Any

from loadtest.calibration.record import load
from stack.supervision.state import state_directory


def calibration_path() -> Path:
    """Return the file of this machine's calibration."""
    return state_directory() / "calibration.json"


def calibrated_clients(chunk: float | None, environment: dict[str, Any]) -> int | None:
    """Return how many clients with messages of ``chunk`` seconds this machine drives.

    None if nobody tried, or where the load is none of messages.
    """
    calibration = load(calibration_path()) if chunk is not None else None
    if calibration is None or chunk is None or not calibration.holds_for(environment):
        return None
    return calibration.clients_at(chunk)
