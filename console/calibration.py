"""Where this machine's calibration is kept, and what it allows."""

from pathlib import Path
from typing import Any

from loadtest.calibration.record import load
from loadtest.plan import LoadPlan
from stack.supervision.state import state_directory


def calibration_path() -> Path:
    """Return the file of this machine's calibration."""
    return state_directory() / "calibration.json"


def calibrated_clients(plan: LoadPlan, environment: dict[str, Any]) -> int | None:
    """Return how many clients of such a plan this machine drives; None if nobody tried."""
    calibration = load(calibration_path())
    if calibration is None or not calibration.holds_for(environment):
        return None
    return calibration.clients_at(plan.chunk)
