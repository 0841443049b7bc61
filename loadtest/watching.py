"""What a generator process is asked to show of its sessions while they run, and what it answers.

Asked by a line ``watch {…}`` on its standard input (``WatchOrder``), answered a few times a second
(``SessionsSeen``). Nobody asks by default: a load that nobody looks at pays nothing. Pure.
"""

from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loadtest.plan import MAX_CLIENTS

WATCH_WORD: Final = b"watch "
LONGEST_WATCH_LINE: Final = 200
MAX_TEXT: Final = 20_000
"""Characters of a transcript that are shown while it grows; of a longer one the end."""


class SessionState(StrEnum):
    """Where a session is, start to end."""

    WAITING = "waiting"
    """Its turn to connect has not come."""
    CONNECTING = "connecting"
    TALKING = "talking"
    FINISHING = "finishing"
    """All audio is sent; the rest of the text is to come."""
    DONE = "done"
    FAILED = "failed"
    CUT_OFF = "cut off"
    """The step was stopped before its end."""


class WatchOrder(BaseModel):
    """What to show from now on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sessions: bool = False
    """Every session's state, when it changes."""
    client: int | None = Field(default=None, ge=0, lt=MAX_CLIENTS)
    """The one client whose text is shown, too."""

    def line(self) -> bytes:
        """Return the line that asks for it."""
        return WATCH_WORD + self.model_dump_json().encode() + b"\n"


def read_watch(line: bytes) -> WatchOrder | None:
    """Read what ``WatchOrder.line`` wrote; None for what is no such order."""
    if not line.startswith(WATCH_WORD) or len(line) > LONGEST_WATCH_LINE:
        return None
    try:
        return WatchOrder.model_validate_json(line.removeprefix(WATCH_WORD))
    except ValidationError:
        return None


class ClientText(BaseModel):
    """What has come of one client's text."""

    model_config = ConfigDict(frozen=True)

    client: int
    transcript: str = Field(max_length=MAX_TEXT)
    whole: bool
    """False: it is only the end of a longer one."""
    heard: float
    """Seconds of the stream up to which text has come."""
    sent: float
    """Seconds of audio sent."""


class SessionsSeen(BaseModel):
    """What has changed since the last of these; in no journal and no run file."""

    model_config = ConfigDict(frozen=True)

    type: Literal["sessions_seen"] = "sessions_seen"
    states: dict[SessionState, list[int]] = {}
    lag: dict[int, float] = {}
    """Seconds of audio sent that no text has come for yet, of each talking client; only where
    there are few."""
    text: ClientText | None = None
