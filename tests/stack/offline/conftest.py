"""The shipped model, loaded once as a recogniser loads it: int8, one thread, no network."""

import json
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stack.offline import MODEL_DIRECTORY
from stack.offline.recipe.listening import Listener
from stack.offline.recipe.speech import EspeakUnavailableError, Span, Synthesiser
from test_audio import CLIPS_DIRECTORY


@dataclass(frozen=True)
class RecordedClip:
    name: str
    path: Path
    samples: npt.NDArray[np.float32]
    text: str
    words: tuple[Span, ...]


def read_clip(path: Path) -> RecordedClip:
    with wave.open(str(path)) as file:
        raw = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    spans = json.loads(path.with_suffix(".words.json").read_text(encoding="utf-8"))["words"]
    return RecordedClip(
        name=path.stem,
        path=path,
        samples=raw.astype(np.float32) / 32768,
        text=path.with_suffix(".txt").read_text(encoding="utf-8").strip(),
        words=tuple(Span(span["word"], span["start"], span["end"]) for span in spans),
    )


@pytest.fixture(scope="session")
def clips() -> dict[str, RecordedClip]:
    return {path.stem: read_clip(path) for path in sorted(CLIPS_DIRECTORY.glob("*.wav"))}


@pytest.fixture(scope="session")
def listener() -> Iterator[Listener]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield Listener(MODEL_DIRECTORY)


@pytest.fixture(scope="session")
def synthesiser() -> Synthesiser:
    try:
        return Synthesiser()
    except EspeakUnavailableError as error:
        pytest.skip(f"espeak-ng is not installed: {error}")
