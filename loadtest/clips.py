"""Clips: audio files with reference texts, and what is wrong with those that can't be used."""

import json
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from stack.protocol import SAMPLE_RATE

MAX_CLIP_SECONDS: Final = 4 * 3600
AUDIO_SUFFIXES: Final = frozenset(
    {".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac", ".webm", ".mp4", ".wma", ".aiff"}
)


class ClipError(Exception):
    """A clip or a directory of clips that can't be used; one sentence."""


@dataclass(frozen=True, slots=True)
class ClipWord:
    """One word of a clip's reference; seconds from the clip's start."""

    word: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Clip:
    """A usable clip: 16 kHz mono 16-bit WAV."""

    path: Path
    samples: int
    reference: str | None
    words: tuple[ClipWord, ...] | None

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class ClipReport:
    """What ``whisperctl audio check`` says of one file: no problems means usable and complete."""

    path: Path
    duration: float | None
    problems: tuple[str, ...]
    clip: Clip | None
    """The clip where it can be played (it may still lack a reference)."""


def check_clip(path: Path) -> ClipReport:
    """Look at one audio file and its companions; never raises for a bad file."""
    problems: list[str] = []
    duration: float | None = None
    samples = 0
    try:
        # wave.open as documented accepts a str, not every Path, on 3.11.
        with wave.open(str(path), "rb") as audio:
            samples = audio.getnframes()
            rate, channels, width = audio.getframerate(), audio.getnchannels(), audio.getsampwidth()
            duration = samples / rate if rate else None
            if rate != SAMPLE_RATE:
                problems.append(f"wrong rate: {rate} Hz, not {SAMPLE_RATE}")
            if channels != 1:
                problems.append(f"wrong channels: {channels}, not mono")
            if width != 2:
                problems.append(f"wrong sample size: {8 * width} bit, not 16")
            if samples == 0:
                problems.append("empty: no samples")
            elif len(audio.readframes(samples)) < samples * width * channels:
                problems.append("unreadable: shorter than its header says")
            if duration is not None and duration > MAX_CLIP_SECONDS:
                problems.append(f"too long: {duration:.0f} s, at most {MAX_CLIP_SECONDS}")
    except (OSError, EOFError, wave.Error) as error:
        if path.suffix.lower() == ".wav":
            problems.append(f"unreadable: {error or 'not a WAV file'}")
        else:
            problems.append("not a WAV file: convert it with 'whisperctl audio import'")
    playable = not problems
    reference, reference_problem = _read_reference(path)
    if reference_problem:
        problems.append(reference_problem)
    words, words_problem = _read_words(path, duration)
    if words_problem:
        problems.append(words_problem)
    clip = Clip(path, samples, reference, words) if playable else None
    return ClipReport(path, duration, tuple(problems), clip)


def _read_reference(path: Path) -> tuple[str | None, str | None]:
    companion = path.with_suffix(".txt")
    try:
        text = companion.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None, f"no reference: {companion.name} is missing"
    except (OSError, UnicodeDecodeError) as error:
        return None, f"no reference: {companion.name} is unreadable ({error})"
    if not text:
        return None, f"no reference: {companion.name} is empty"
    return " ".join(text.split()), None


def _read_words(
    path: Path, duration: float | None
) -> tuple[tuple[ClipWord, ...] | None, str | None]:
    companion = path.with_suffix(".words.json")
    try:
        raw = json.loads(companion.read_text(encoding="utf-8"))
        words = tuple(
            ClipWord(str(entry["word"]), float(entry["start"]), float(entry["end"]))
            for entry in raw["words"]
        )
    except FileNotFoundError:
        return None, None  # word times are optional
    except (OSError, ValueError, KeyError, TypeError):
        return None, f"word times: {companion.name} is not usable"
    limit = (duration or 0.0) + 0.05
    previous = 0.0
    for word in words:
        if not (previous - 1e-6 <= word.start <= word.end <= limit):
            return None, f"word times: {companion.name} is out of order at '{word.word}'"
        previous = word.start
    return words, None


def check_directory(directory: Path) -> list[ClipReport]:
    """Look at every audio file of a directory, by name; raises ClipError where there is none."""
    if not directory.is_dir():
        raise ClipError(f"There is no directory {directory}; name one that holds clips.")
    paths = sorted(
        path
        for path in directory.iterdir()
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file()
    )
    if not paths:
        raise ClipError(
            f"There is no audio file in {directory}; "
            "put clips there with 'whisperctl audio import'."
        )
    return [check_clip(path) for path in paths]


def usable_clips(directory: Path) -> tuple[list[Clip], list[ClipReport]]:
    """Return the clips of a directory that can be played, and the reports of those that can't.

    Raises ClipError where not one can be played.
    """
    reports = check_directory(directory)
    clips = [report.clip for report in reports if report.clip]
    bad = [report for report in reports if not report.clip]
    if not clips:
        raise ClipError(
            f"No clip in {directory} can be played ({bad[0].path.name}: {bad[0].problems[0]}); "
            f"see 'whisperctl audio check {directory}'."
        )
    return clips, bad


def read_samples(path: Path, samples: int) -> npt.NDArray[np.float32]:
    """Read the first ``samples`` samples of a checked clip, in [-1, 1], shape ``(samples,)``."""
    with wave.open(str(path), "rb") as audio:
        data = audio.readframes(samples)
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768.0
