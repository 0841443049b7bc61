"""Recordings of other formats become clips."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from loadtest.audio_import import convert, import_audio, read_metadata
from loadtest.clips import ClipError, check_clip, read_samples


def record(path: Path, *, rate: int = 44_100, seconds: float = 1.0, codec: str = "flac") -> Path:
    """Write a stereo recording of a 440 Hz tone."""
    moments = np.arange(round(rate * seconds)) / rate
    tone = (np.sin(2 * np.pi * 440 * moments) * 8000).astype(np.int16)
    stereo = np.stack([tone, tone], axis=1).reshape(1, -1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        frame = av.AudioFrame.from_ndarray(stereo, format="s16", layout="stereo")
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        resampler = av.AudioResampler(
            format=stream.format, layout="stereo", rate=rate, frame_size=stream.frame_size or 0
        )
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            for packet in stream.encode(part):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.mp3", "libmp3lame")])
def test_any_format_becomes_a_clip(tmp_path: Path, name: str, codec: str) -> None:
    source = record(tmp_path / name, codec=codec)
    source.with_suffix(".txt").write_text("A long  tone.\n")
    (outcome,) = import_audio([source], tmp_path / "clips")
    assert outcome.imported, outcome
    report = check_clip(tmp_path / "clips" / "a.wav")
    assert report.problems == ()
    assert report.clip is not None
    assert report.clip.reference == "A long tone."
    assert report.clip.duration == pytest.approx(1.0, abs=0.1)
    samples = read_samples(report.path, report.clip.samples)[2000:10_000]
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 16_000 / len(samples) == pytest.approx(440, abs=4)


def test_references_come_from_ljspeech_metadata(tmp_path: Path) -> None:
    record(tmp_path / "LJ001-0001.flac")
    metadata = tmp_path / "metadata.csv"
    metadata.write_text('LJ001-0001|It cost $2, "he" said.|It cost two dollars, "he" said.\n')
    (outcome,) = import_audio([tmp_path], tmp_path / "clips", metadata=metadata)
    assert outcome.imported
    clip = check_clip(tmp_path / "clips" / "LJ001-0001.wav").clip
    assert clip is not None
    assert clip.reference == 'It cost two dollars, "he" said.'


def test_one_bad_source_costs_only_itself(tmp_path: Path) -> None:
    good = record(tmp_path / "good.flac")
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"nothing of the kind" * 50)
    outcomes = import_audio([bad, tmp_path / "gone.wav", good], tmp_path / "clips")
    assert [outcome.imported for outcome in outcomes] == [False, False, True]
    assert "can't be decoded" in outcomes[0].sentence
    assert "no such file" in outcomes[1].sentence


def test_what_is_there_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    source = record(tmp_path / "a.flac")
    into = tmp_path / "clips"
    assert import_audio([source], into)[0].imported
    assert "--force" in import_audio([source], into)[0].sentence
    assert import_audio([source], into, replace=True)[0].imported
    (tmp_path / "more").mkdir()
    twin = record(tmp_path / "more" / "a.flac")
    outcomes = import_audio([source, twin], tmp_path / "other")
    assert [outcome.imported for outcome in outcomes] == [True, False]


def test_useless_input_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="no audio file"):
        import_audio([tmp_path], tmp_path / "clips")
    with pytest.raises(ClipError, match="unreadable"):
        read_metadata(tmp_path / "metadata.csv")
    (tmp_path / "metadata.csv").write_text("just text\n")
    with pytest.raises(ClipError, match=r"name\|text"):
        read_metadata(tmp_path / "metadata.csv")
    with pytest.raises(ClipError, match="no such file"):
        convert(tmp_path / "x.wav")
