"""What happened to a stack: the last few hundred events, numbered, in its state."""

import logging
import time

from stack.status import StackEvent
from stack.supervision.state import EVENTS_KEPT, State

_log = logging.getLogger("stack.supervisor")


class EventLog:
    """Adds events to a state, numbered on from those it has."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._sequence = max((event.sequence for event in state.events), default=0)

    def add(self, subject: str, text: str, *, severity: str = "information") -> None:
        """Write down what happened to a part, and log it."""
        self._sequence += 1
        event = StackEvent(
            sequence=self._sequence,
            time=time.time(),
            subject=subject,
            text=text,
            severity=severity,
        )
        self._state.events = [*self._state.events[-(EVENTS_KEPT - 1) :], event]
        _log.info("%s: %s", subject, text)
