"""Audio files of the usual kinds, decoded a little at a time."""

import functools
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import numpy as np

from stack.protocol import SAMPLE_RATE
from stack.replica.mp4 import claims_too_much
from stack.replica.voice import Samples

SLICE: Final = 10 * SAMPLE_RATE
"""Samples that are given at once, at least, but for the last."""

LONGEST: Final = 4 * 3600
"""Seconds of a file at most: 25 MB can hold days of silence."""


KINDS: Final = (
    *("wav", "w64", "aiff", "au", "caf", "mp3", "aac", "flac", "ogg", "amr", "mov", "matroska"),
    *("mpeg", "mpegts", "avi", "asf", "flv"),
)
"""What FFmpeg calls the kinds of files that are read. Others are not even tried: some are lists
that name other files or addresses (concat, hls, sdp), and FFmpeg would open those from here."""

LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
MOST_CHANNELS: Final = 64
"""What is believed of a file. A false rate makes gigabytes of a few bytes, or of a filter."""

MOST_DAMAGE: Final = 1000
"""Pieces in a row that can't be decoded, after which nothing more is expected of a file."""


class AudioFileError(Exception):
    """The file can't be transcribed; the text says why, in a sentence for people."""


def decode(file: BinaryIO) -> Iterator[Samples]:
    """Give the first audio stream of a file as mono at 16 kHz, in slices of shape (samples,).

    Never holds more than a slice, however long the file is. Raises AudioFileError.
    """
    import av  # noqa: PLC0415 - slow to import

    if claims_too_much(file):
        raise AudioFileError("The file's index counts more samples than the file can hold.")
    allowed = {"format_whitelist": ",".join(KINDS), "codec_whitelist": _audio_decoders()}
    try:
        container = av.open(file, mode="r", container_options=allowed, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, OSError) as error:
        raise AudioFileError(
            "The file is no audio that can be read; send wav, mp3, m4a, flac, ogg, webm or mp4."
        ) from error
    with container:
        if not container.streams.audio:
            raise AudioFileError("The file has no audio in it.")
        stream = container.streams.audio[0]
        total = 0
        for samples in _slices(_mono(av, _frames(av, container, stream))):
            total += len(samples)
            if total > LONGEST * SAMPLE_RATE:
                raise AudioFileError(
                    f"The audio is longer than {LONGEST // 3600} hours; send it in parts."
                )
            yield samples
        if not total:
            raise AudioFileError("The file's audio can't be decoded; it is empty or damaged.")


@functools.cache
def _audio_decoders() -> str:
    """Give all decoders of audio. Cover pictures are not decoded: a small one can fill memory."""
    import av  # noqa: PLC0415 - slow to import

    names = []
    for name in sorted(av.codecs_available):
        try:
            codec = av.Codec(name, "r")
        except ValueError:  # it only encodes
            continue
        if codec.type == "audio":
            names.append(codec.name)
    return ",".join(names)


def _frames(av: Any, container: Any, stream: Any) -> Iterator[Any]:
    """Give the frames that can be decoded. What comes after damage is worth as much as before."""
    damage = 0
    while damage < MOST_DAMAGE:
        try:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except (av.FFmpegError, ValueError):
                    damage += 1
                    if damage >= MOST_DAMAGE:
                        return
                    continue
                if frames:
                    damage = 0
                yield from frames
        except (av.FFmpegError, ValueError, OSError):
            damage += 1
        else:
            return


def _mono(av: Any, frames: Iterator[Any]) -> Iterator[Samples]:
    """Bring frames to mono at 16 kHz; joined files change rate and channels on their way."""
    resampler: Any = None
    shape: tuple[object, ...] | None = None
    for frame in frames:
        found = (frame.sample_rate, frame.layout.name, frame.format.name)
        if found != shape:
            _check_shape(frame.sample_rate, frame.layout.nb_channels)
            yield from _resampled(av, resampler, None)
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            shape = found
        yield from _resampled(av, resampler, frame)
    yield from _resampled(av, resampler, None)


def _check_shape(rate: int, channels: int) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioFileError(
            f"The audio claims {rate} samples a second; send {LOWEST_RATE} to {HIGHEST_RATE}."
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioFileError(f"The audio has {channels} channels; send {MOST_CHANNELS} at most.")


def _resampled(av: Any, resampler: Any, frame: Any) -> Iterator[Samples]:
    if resampler is None:
        return
    try:
        for one in resampler.resample(frame):
            yield one.to_ndarray().reshape(-1)
    except (av.FFmpegError, ValueError) as error:
        raise AudioFileError("The file's audio can't be brought to 16 kHz mono.") from error


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
