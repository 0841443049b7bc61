"""What somebody sees of a generator's sessions while they run; only where somebody looks.

It reads what the sessions keep anyway, in the thread that writes, a few times a second: nothing is
added to what is done for a message.
"""

from collections.abc import Sequence
from typing import Final

from loadtest.generator.client import LoadClient
from loadtest.watching import MAX_TEXT, ClientText, SessionsSeen, SessionState, WatchOrder

_LAGS: Final = 64
"""As many sessions have their lag reported; of more nobody reads each."""
_LOOKS_A_ROUND: Final = 2
"""Going over all sessions is done every so many looks."""


class SessionsView:
    """Says what has changed since it was last asked."""

    def __init__(self, clients: Sequence[LoadClient]) -> None:
        self._clients = {client.assignment.index: client for client in clients}
        self._order = WatchOrder()
        self._open: dict[int, LoadClient] = {}
        """Those that are not known to be over."""
        self._told: dict[int, SessionState] = {}
        self._told_text: ClientText | None = None
        self._looks = 0

    @property
    def wanted(self) -> bool:
        """Whether anybody looks."""
        return self._order.sessions or self._order.client is not None

    def watch(self, order: WatchOrder) -> None:
        """Show what ``order`` says, from the beginning where it was not shown before."""
        if order.sessions and not self._order.sessions:
            # Whoever looks again has missed what happened meanwhile.
            self._open, self._told = dict(self._clients), {}
        self._told_text, self._looks = None, 0
        self._order = order

    def look(self) -> SessionsSeen | None:
        """Return what is new; None where nothing is."""
        states: dict[SessionState, list[int]] = {}
        lag: dict[int, float] = {}
        if self._order.sessions and self._looks % _LOOKS_A_ROUND == 0:
            states, lag = self._round()
        self._looks += 1
        text = self._text()
        if not states and not lag and text is None:
            return None
        return SessionsSeen(states=states, lag=lag, text=text)

    def _round(self) -> tuple[dict[SessionState, list[int]], dict[int, float]]:
        states: dict[SessionState, list[int]] = {}
        lag: dict[int, float] = {}
        few = len(self._clients) <= _LAGS
        over = []
        for index, client in self._open.items():
            before, state = self._told.get(index), state_of(client)
            if state is None:
                if before is not None:
                    over.append(index)  # its result says how it ended
                continue
            if state is not before:
                self._told[index] = state
                states.setdefault(state, []).append(index)
            if few and client.measurement is not None:
                lag[index] = client.measurement.backlog
        for index in over:
            del self._open[index]
        return states, lag

    def _text(self) -> ClientText | None:
        client = self._clients.get(-1 if self._order.client is None else self._order.client)
        if client is None or client.measurement is None:
            return None
        measured = client.measurement
        transcript = measured.transcript
        text = ClientText(
            client=client.assignment.index,
            transcript=transcript[-MAX_TEXT:],
            whole=len(transcript) <= MAX_TEXT,
            heard=measured.progress,
            sent=client.audio_sent,
        )
        if text == self._told_text:
            return None
        self._told_text = text
        return text


def state_of(client: LoadClient) -> SessionState | None:
    """Return where a session is; None before its turn and after its end."""
    if not client.active:
        return None
    measured = client.measurement
    if measured is None:
        return SessionState.CONNECTING
    if measured.furthest >= len(client.stream.frames):
        return SessionState.FINISHING
    return SessionState.TALKING
