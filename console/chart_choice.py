"""What a person chose in the console, kept from one start to the next."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from console.rendering.live_charts import Kind, Window
from stack.files import write_atomically
from stack.supervision.state import state_directory
from stack.validation import first_problem

_MOST_BYTES = 65536


class PreferencesError(Exception):
    """The file can't be used or written; the message is a sentence."""


class ChartPreferences(BaseModel):
    """Which charts the dashboard shows, and how far back they go."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    charts: tuple[Kind, ...] | None = None
    """In order; None: never chosen, so that they fit the machine."""
    window: Window = "5 min"

    @field_validator("charts")
    @classmethod
    def _each_once(cls, charts: tuple[Kind, ...] | None) -> tuple[Kind, ...] | None:
        if charts is None:
            return None
        if not charts:
            raise ValueError("at least one chart is shown")
        return tuple(dict.fromkeys(charts))


def charts_file() -> Path:
    """Return where the choice of charts is kept."""
    return state_directory() / "console" / "charts.json"


def load_charts() -> ChartPreferences:
    """Read the choice; raises PreferencesError where there is a file that can't be used."""
    path = charts_file()
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES)
        return ChartPreferences.model_validate_json(data)
    except FileNotFoundError:
        return ChartPreferences()
    except OSError as error:
        problem = error.strerror or str(error)
    except ValidationError as error:
        where, what = first_problem(error)
        problem = f"{where}: {what}" if where else what
    raise PreferencesError(f"The choice of charts in {path} is ignored: {problem}.")


def save_charts(preferences: ChartPreferences) -> None:
    """Write the choice; raises PreferencesError."""
    path = charts_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, preferences.model_dump_json(indent=2).encode() + b"\n", mode=0o600)
    except OSError as error:
        problem = error.strerror or str(error)
        raise PreferencesError(
            f"The choice of charts was not kept: {path} can't be written ({problem})."
        ) from None
