"""Turning recordings of any format that PyAV reads into clips: 16 kHz mono 16-bit WAV."""

import csv
import io
import shutil
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import av.error

from loadtest.clips import AUDIO_SUFFIXES, MAX_CLIP_SECONDS, ClipError
from stack.files import write_atomically
from stack.protocol import SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What became of one source."""

    source: Path
    imported: bool
    sentence: str


def import_audio(
    sources: Sequence[Path], into: Path, *, metadata: Path | None = None, replace: bool = False
) -> list[ImportOutcome]:
    """Convert every source (a file, or a directory of files) into a clip of ``into``.

    References come from a ``.txt`` file of the same name beside the source, or from an LJSpeech
    ``metadata.csv``: ``name|text`` or ``name|text|normalised text`` a line, the last being taken.
    One bad source costs only itself. Raises ClipError when there is nothing to import or when the
    metadata can't be read.
    """
    references = read_metadata(metadata) if metadata else {}
    files: list[Path] = []
    for source in sources:
        if source.is_dir():
            found = [
                path for path in sorted(source.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES
            ]
            files.extend(found)
        else:
            files.append(source)
    if not files:
        raise ClipError("There is no audio file in what was named; give files or directories.")
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClipError(f"Directory {into} can't be made: {error.strerror}.") from None
    taken: set[str] = set()
    return [_import_one(path, into, references, taken, replace=replace) for path in files]


def _import_one(
    source: Path, into: Path, references: dict[str, str], taken: set[str], *, replace: bool
) -> ImportOutcome:
    target = into / f"{source.stem}.wav"
    if source.stem in taken:
        return ImportOutcome(source, False, f"another source was already imported as {target.name}")
    if target.exists() and not replace:
        return ImportOutcome(source, False, f"{target} is already there; --force replaces it")
    if target.exists() and target.samefile(source):
        return ImportOutcome(source, False, "it is in the target directory itself")
    try:
        data = convert(source)
    except ClipError as error:
        return ImportOutcome(source, False, str(error))
    try:
        write_atomically(target, data)
        reference = _reference(source, references)
        for suffix in (".txt", ".words.json"):
            target.with_suffix(suffix).unlink(missing_ok=True)
        if reference is not None:
            write_atomically(target.with_suffix(".txt"), f"{reference}\n".encode())
        times = source.with_suffix(".words.json")
        if times.is_file():
            shutil.copyfile(times, target.with_suffix(".words.json"))
    except OSError as error:
        return ImportOutcome(source, False, f"it can't be written: {error.strerror}")
    taken.add(source.stem)
    seconds = (len(data) - 44) / 2 / SAMPLE_RATE
    note = "" if reference is not None else ", without a reference"
    return ImportOutcome(source, True, f"{seconds:.1f} s{note}")


def _reference(source: Path, references: dict[str, str]) -> str | None:
    companion = source.with_suffix(".txt")
    if companion.is_file():
        text = " ".join(companion.read_text(encoding="utf-8", errors="replace").split())
        if text:
            return text
    return references.get(source.stem)


def read_metadata(path: Path) -> dict[str, str]:
    """Read an LJSpeech metadata.csv: reference text by clip name."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ClipError(f"Metadata {path} is unreadable: {error}.") from None
    rows = csv.reader(io.StringIO(text), delimiter="|", quoting=csv.QUOTE_NONE)
    references = {}
    for row in rows:
        if len(row) >= 2 and row[0].strip():
            spoken = row[-1].strip() or row[1].strip()
            if spoken:
                references[Path(row[0].strip()).stem] = " ".join(spoken.split())
    if not references:
        raise ClipError(f"Metadata {path} has no line of the form name|text.")
    return references


def convert(source: Path) -> bytes:
    """Decode any audio file and return it as a 16 kHz mono 16-bit WAV file.

    Raises ClipError in a sentence when it can't be read or holds no audio.
    """
    if not source.is_file():
        raise ClipError("there is no such file")
    buffer = io.BytesIO()
    samples = 0
    try:
        with av.open(str(source), mode="r") as container, wave.open(buffer, "wb") as target:
            target.setnchannels(1)
            target.setsampwidth(2)
            target.setframerate(SAMPLE_RATE)
            if not container.streams.audio:
                raise ClipError("it has no audio")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            frames = container.decode(container.streams.audio[0])
            for frame in (*frames, None):
                for converted in resampler.resample(frame):
                    data = converted.to_ndarray().tobytes()
                    samples += len(data) // 2
                    if samples > MAX_CLIP_SECONDS * SAMPLE_RATE:
                        raise ClipError(f"it is longer than {MAX_CLIP_SECONDS / 3600:.0f} hours")
                    target.writeframes(data)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise ClipError(f"it can't be decoded: {error}") from None
    if samples == 0:
        raise ClipError("it has no samples")
    return buffer.getvalue()
