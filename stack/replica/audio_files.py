"""Audio files of any kind that PyAV knows, decoded a little at a time."""

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import numpy as np

from stack.protocol import SAMPLE_RATE
from stack.replica.voice import Samples

SLICE: Final = 10 * SAMPLE_RATE
"""Samples that are given at once, at least, but for the last."""

LONGEST: Final = 4 * 3600
"""Seconds of a file at most: 25 MB can hold days of silence."""


class AudioFileError(Exception):
    """The file can't be transcribed; the text says why, in a sentence for people."""


def decode(file: BinaryIO) -> Iterator[Samples]:
    """Give the first audio stream of a file as mono at 16 kHz, in slices of shape (samples,).

    Never holds more than a slice, however long the file is. Raises AudioFileError.
    """
    import av  # noqa: PLC0415 - slow to import

    try:
        container = av.open(file, mode="r", metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise AudioFileError(
            "The file is no audio that can be read; send wav, mp3, m4a, flac, ogg, webm or mp4."
        ) from error
    with container:
        if not container.streams.audio:
            raise AudioFileError("The file has no audio in it.")
        stream = container.streams.audio[0]
        total = 0
        for samples in _slices(_frames(av, container, stream)):
            total += len(samples)
            if total > LONGEST * SAMPLE_RATE:
                raise AudioFileError(
                    f"The audio is longer than {LONGEST // 3600} hours; send it in parts."
                )
            yield samples
        if not total:
            raise AudioFileError("The file has no audio in it that can be decoded.")


def _frames(av: Any, container: Any, stream: Any) -> Iterator[Samples]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    decoded = 0
    try:
        for frame in container.decode(stream):
            for resampled in resampler.resample(frame):
                decoded += 1
                yield resampled.to_ndarray().reshape(-1)
        for resampled in resampler.resample(None):
            yield resampled.to_ndarray().reshape(-1)
    except (av.FFmpegError, ValueError, OSError) as error:
        # A file that was cut off: what could be decoded is worth more than nothing.
        if not decoded:
            raise AudioFileError("The file's audio can't be decoded; it may be damaged.") from error


def _slices(frames: Iterator[Samples]) -> Iterator[Samples]:
    waiting: list[Samples] = []
    length = 0
    for frame in frames:
        waiting.append(frame)
        length += len(frame)
        if length >= SLICE:
            yield _clean(waiting)
            waiting, length = [], 0
    if length:
        yield _clean(waiting)


def _clean(frames: list[Samples]) -> Samples:
    joined = np.nan_to_num(np.concatenate(frames))
    cleaned: Samples = np.clip(joined, -1.0, 1.0).astype(np.float32, copy=False)
    return cleaned
