"""Every session of the running step, as far as its generators have told. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.assignment import piece_chunks, total_duration
from loadtest.events import ClientFinished, ClientReady, GeneratorEvent, Progress
from loadtest.plan import ClientAssignment
from loadtest.runfile import ClientResult, Outcome
from loadtest.watching import ClientText, SessionsSeen, SessionState

_ENDS = {
    Outcome.SUCCESS: SessionState.DONE,
    Outcome.FAILED: SessionState.FAILED,
    Outcome.INCOMPLETE: SessionState.CUT_OFF,
}


@dataclass(slots=True)
class SessionLine:
    """What is known of one session."""

    client: int
    state: SessionState = SessionState.WAITING
    replica: str | None = None
    latency: float | None = None
    """Seconds: of the latest update."""
    lag: float | None = None
    """Seconds of audio sent that no text has come for yet."""
    result: ClientResult | None = None
    """Once it has ended."""


@dataclass(frozen=True, slots=True)
class SessionText:
    """One client's text beside what it said."""

    client: int
    transcript: str
    whole: bool
    """False: it is only the end of a longer one."""
    reference: str | None
    """All that the client says, start to end; None where its clips have no texts."""
    word_ends: tuple[float, ...] | None
    """Where each word of the normalised reference ends, seconds; None where that is not known."""
    heard: float
    """Seconds up to which text has come."""
    sent: float
    """Seconds of audio sent."""
    duration: float
    """Seconds of audio in all."""
    over: bool


class SessionBoard:
    """Follows the sessions of one step at a time."""

    def __init__(self) -> None:
        self.lines: list[SessionLine] = []
        """By client number."""
        self.version = 0
        """Grows with every change."""
        self._assignments: Sequence[ClientAssignment] = ()
        self._chunk = 0.1
        self._text: ClientText | None = None

    def begin(self, assignments: Sequence[ClientAssignment], chunk: float) -> None:
        """Begin another step."""
        self._assignments, self._chunk, self._text = assignments, chunk, None
        self.lines = [SessionLine(number) for number in range(len(assignments))]
        self.version += 1

    def take(self, event: GeneratorEvent) -> None:
        """Take in what a generator reported; what is of no session here is left alone."""
        self.version += 1
        match event:
            case ClientReady():
                if (line := self._line(event.client_id)) is not None:
                    line.replica = event.replica
                    if line.state in {SessionState.WAITING, SessionState.CONNECTING}:
                        line.state = SessionState.TALKING
            case Progress():
                for client, samples in event.latency.items():
                    if samples and (line := self._line(client)) is not None:
                        line.latency = samples[-1]
            case ClientFinished():
                self._finish(event.result)
            case SessionsSeen():
                self._see(event)
            case _:
                pass

    def _line(self, client: int) -> SessionLine | None:
        return self.lines[client] if 0 <= client < len(self.lines) else None

    def _finish(self, result: ClientResult) -> None:
        if (line := self._line(result.client_id)) is not None:
            line.state, line.lag, line.result = _ENDS[result.outcome], None, result
            line.replica = result.moved_to[-1] if result.moved_to else result.replica

    def _see(self, event: SessionsSeen) -> None:
        for state, clients in event.states.items():
            for client in clients:
                # Results are written in the order of the ends, but may overtake what was seen.
                if (line := self._line(client)) is not None and line.result is None:
                    line.state = state
        for client, lag in event.lag.items():
            if (line := self._line(client)) is not None and line.result is None:
                line.lag = lag
        if event.text is not None:
            self._text = event.text

    def counts(self) -> dict[SessionState, int]:
        """Return how many sessions are in each state."""
        counted = Counter(line.state for line in self.lines)
        return {state: counted[state] for state in SessionState}

    def text(self, client: int) -> SessionText | None:
        """Return a client's text; while it talks that is known only of the one that is watched."""
        line = self._line(client)
        if line is None:
            return None
        assignment = self._assignments[client]
        result, live = line.result, self._text
        if result is not None:
            transcript, whole, heard, sent = result.transcript, True, 0.0, result.audio_sent
        elif live is not None and live.client == client:
            transcript, whole, heard, sent = live.transcript, live.whole, live.heard, live.sent
        else:
            transcript, whole, heard, sent = "", True, 0.0, 0.0
        reference, ends = said(assignment, self._chunk)
        return SessionText(
            client=client,
            transcript=transcript,
            whole=whole,
            reference=reference,
            word_ends=ends,
            heard=heard,
            sent=sent,
            duration=total_duration(assignment, self._chunk),
            over=result is not None,
        )


def said(assignment: ClientAssignment, chunk: float) -> tuple[str | None, tuple[float, ...] | None]:
    """Return what a client says, and where each normalised word of it ends, seconds.

    Each is None where one of its clips does not tell.
    """
    texts: list[str] = []
    ends: list[float] = []
    known = True
    begins = 0.0
    for piece in assignment.pieces:
        if piece.reference is None:
            return None, None
        begins += piece.silence_before
        texts.append(piece.reference)
        known = known and piece.word_ends is not None
        ends += [begins + end for end in piece.word_ends or ()]
        begins += piece_chunks(piece.samples, chunk) * chunk
    return " ".join(text for text in texts if text), tuple(ends) if known else None
