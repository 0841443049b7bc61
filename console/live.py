"""One frozen snapshot of everything the dashboard shows. Pure."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from loadtest.events import StepProgress, StepStarted
from stack.status import GpuSample, ReplicaSample, StackState, StackStatus


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the events list."""

    time: float
    """Seconds since the epoch."""
    subject: str
    text: str
    severity: str = "information"

    @property
    def clock(self) -> str:
        """The local time of day."""
        return time.strftime("%H:%M:%S", time.localtime(self.time))


@dataclass(frozen=True, slots=True)
class LoadView:
    """The load series that is running."""

    step: int = 0
    steps: int | None = 0
    clients: int = 0
    expected: float = 0.0
    """Seconds the step will take."""
    elapsed: float = 0.0
    sessions: int = 0
    finished: int = 0
    failed: int = 0
    wer: float | None = None
    audio: float = 0.0
    """Seconds of audio a client streams, where the plan says so."""
    stopping: bool = False

    def started(self, event: StepStarted) -> "LoadView":
        """Return the view at a step's start."""
        return LoadView(
            step=event.step,
            steps=event.steps,
            clients=event.clients,
            expected=event.expected_duration,
            audio=self.audio,
            stopping=self.stopping,
        )

    def advanced(self, event: StepProgress) -> "LoadView":
        """Return the view a second later."""
        return replace(
            self,
            elapsed=event.elapsed,
            sessions=event.row.sessions,
            finished=event.finished,
            failed=event.failed,
            wer=event.words.wer if event.words else None,
        )


@dataclass(frozen=True, slots=True)
class Live:
    """What is, at one moment."""

    status: StackStatus
    samples: Mapping[str, ReplicaSample] = field(default_factory=dict)
    cards: tuple[GpuSample, ...] = ()
    load: LoadView | None = None
    busy: str = ""
    """What is being done to the stack, such as ``bringing up``."""
    busy_since: float = 0.0
    """Seconds since the epoch."""
    step: str = ""
    """What that is at, where the stack's own state doesn't tell."""
    way_back: str = ""
    """What Escape does about it, such as ``esc goes back to 2``."""
    wanted: int | None = None
    """Replicas that were asked for here, before the stack itself says so."""
    trouble: str = ""
    """Why the stack can't be looked at; one sentence."""
    trouble_since: float = 0.0
    """Seconds since the epoch."""
    happenings: tuple[Happening, ...] = ()
    """Oldest first; bounded."""
    tick: int = 0
    """Grows with every second, so that charts move also when nothing changes."""

    def with_samples(
        self, samples: Mapping[str, ReplicaSample], cards: tuple[GpuSample, ...] = ()
    ) -> "Live":
        """Return the snapshot a second later."""
        return replace(self, samples=samples, cards=cards, tick=self.tick + 1)

    @property
    def absent(self) -> bool:
        """Whether there is no stack."""
        return self.status.state is StackState.ABSENT

    @property
    def open_sessions(self) -> int:
        """Sessions that are open now, as far as the replicas say."""
        return sum(sample.sessions or 0 for sample in self.samples.values())

    @property
    def known_sessions(self) -> int | None:
        """The same; None where no replica says."""
        known = [one.sessions for one in self.samples.values() if one.sessions is not None]
        return sum(known) if known or not self.status.replicas else None
