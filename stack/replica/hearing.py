"""What a session asks of the model and what the model says: the types between the two."""

from dataclasses import dataclass, field
from typing import Final

from stack.protocol import SAMPLE_RATE, Word
from stack.replica.features import HOP, Features, LogMel
from stack.replica.voice import Samples, SpeechDetector

SETTLED_SILENCE: Final = 0.25
"""Seconds without speech that the model must have heard after the last word, before silence is
taken as nothing new: a pass may have ended within the word."""


class Track:
    """What is known of a session's audio, each sample looked at once.

    The inference thread owns it while a pass is under way, the event loop between passes.
    """

    def __init__(self, mel: LogMel, detector: SpeechDetector | None) -> None:
        self.features = Features(mel)
        self.detector = detector

        self._end = 0

    def take(self, position: int, samples: Samples) -> None:
        """Take in the samples from a position on; what was left out before it was silence."""
        if position > self._end:
            self.features.restart(position // HOP)
            if self.detector is not None:
                self.detector.restart(position / SAMPLE_RATE)
        self.features.append(samples)
        self._end = position + len(samples)

    def drop_before(self, position: int) -> None:
        """Forget what comes before a sample."""
        self.features.drop_before(position // HOP)
        if self.detector is not None:
            self.detector.drop_before(position / SAMPLE_RATE)


@dataclass(frozen=True)
class Request:
    """One pass over one session's audio; positions are samples from the stream's start."""

    track: Track | None
    """None only where nothing is transcribed, in tests of what is around it."""
    fresh_from: int
    fresh: Samples
    """What the track has not seen yet, up to the end of the pass."""
    start: int
    end: int
    language: str | None = None
    """A language code; None detects it."""
    task: str = "transcribe"
    initial_prompt: str | None = None
    hotwords: str | None = None
    words: bool = False
    """Give each segment its words with their times."""
    asked: bool = False
    """The model has heard all but the fresh audio: without speech in that, nothing is new."""
    accurate: bool = False
    """Take the time for the best text."""

    @property
    def seconds(self) -> float:
        """How long the audio is."""
        return (self.end - self.start) / SAMPLE_RATE


@dataclass(frozen=True)
class Pass:
    """One look at the unsettled audio; times in seconds from the start of the stream."""

    request: Request
    start: float
    end: float
    final: bool
    """Nothing comes after this audio."""
    full: bool
    """The audio fills the window: something must be settled."""
    lead: float
    """Seconds of silence at the beginning."""
    silence: float
    """Seconds of silence at the end."""


@dataclass(frozen=True)
class HeardSegment:
    """A stretch of text; times in seconds from the start of the request's audio."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] | None = None


@dataclass(frozen=True)
class Heard:
    """What one pass heard."""

    segments: tuple[HeardSegment, ...] = ()
    no_speech: float = 1.0
    """Probability that there is no speech at all."""
    language: str = "en"
    language_probability: float = 1.0
    voice: bool = True
    """False: the voice activity detector heard none and the model was not asked."""
    unchanged: bool = False
    """Nothing was said in the fresh audio and the model was not asked again."""
    quiet: float = 0.0
    """Seconds at the end in which the voice activity detector heard no speech."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds spent on vad, features, encode, decode; of the last two, this pass's share."""
    batch: int = 0
    """How many passes shared the call of the model; 0 when it was not asked."""
    leads: bool = False
    """It is the first of them: what belongs to the call is counted with it."""
