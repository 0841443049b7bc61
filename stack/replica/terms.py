"""What the model and the command line allow a session, and how sessions are made."""

from dataclasses import dataclass
from typing import Final

from stack.protocol import SessionOptions
from stack.replica.commit import SENTENCE_PAUSE
from stack.replica.session import Session
from stack.replica.transcriber import Transcriber
from stack.replica.voice import SPEECH_THRESHOLD

FITTED_WINDOW: Final = 15.0
FULL_WINDOW: Final = 25.0
"""Seconds of audio of one pass at most; under 30 s, what a Whisper encoder takes."""


@dataclass(frozen=True)
class Terms:
    """What the model and the command line allow a session."""

    transcriber: Transcriber
    max_connection_time: float
    vad_threshold: float = SPEECH_THRESHOLD
    sentence_pause: float = SENTENCE_PAUSE
    final_pass: bool = False
    """Hear each session a second time for its final text."""

    @property
    def multilingual(self) -> bool:
        """The model knows languages other than English."""
        return self.transcriber.multilingual

    @property
    def window(self) -> float:
        """Seconds of audio of one pass at most."""
        return FITTED_WINDOW if self.transcriber.fitted else FULL_WINDOW

    def session(
        self,
        options: SessionOptions,
        vad_parameters: dict[str, float] | None = None,
        *,
        accurate: bool = False,
    ) -> Session:
        """Make a session; an accurate one takes whole windows and time for the best text."""
        given = vad_parameters or {}
        return Session(
            options,
            window=self.window,
            language=options.language if self.multilingual else "en",
            track=self.transcriber.track(
                vad=options.use_vad,
                threshold=given.get("threshold", self.vad_threshold),
                shortest=given.get("min_speech_duration_ms", 0) / 1000,
            ),
            eager=not accurate,
            accurate=accurate,
            sentence_pause=self.sentence_pause,
            prompt_length=self.transcriber.prompt_length(options.initial_prompt, options.hotwords),
        )
