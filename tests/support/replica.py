"""Models that stand around the real one, and requests to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stack.replica.hearing import Heard, Request
from stack.replica.transcriber import Transcriber


def request_of(
    transcriber: Transcriber, samples: np.ndarray, *, vad: bool = False, **options: Any
) -> Request:
    """Ask for a whole piece of audio at once."""
    return Request(transcriber.track(vad=vad), 0, samples, 0, len(samples), **options)


def hear(transcriber: Transcriber, samples: np.ndarray, **options: Any) -> Heard:
    """Transcribe a piece of audio; raises what the model raises."""
    (heard,) = transcriber.transcribe([request_of(transcriber, samples, **options)])
    if isinstance(heard, Exception):
        raise heard
    return heard


class Wrapping:
    """A model that passes everything on to a real one; override ``hear``."""

    multilingual = False
    languages = frozenset({"en"})
    fitted = True

    def __init__(self, transcriber: Transcriber) -> None:
        self.transcriber = transcriber
        self.track = transcriber.track
        self.prompt_length = transcriber.prompt_length

    def warm(self) -> None:
        self.transcriber.warm()

    def hear(self, request: Request) -> Heard | Exception:
        return self.transcriber.transcribe([request])[0]

    def transcribe(self, requests: Sequence[Request]) -> list[Heard | Exception]:
        return [self.hear(request) for request in requests]
