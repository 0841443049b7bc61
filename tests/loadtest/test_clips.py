"""Checking and reading clips."""

import wave
from pathlib import Path

import numpy as np
import pytest
from support.runs import write_clip

from loadtest.clips import ClipError, check_clip, check_directory, read_samples, usable_clips
from test_audio import CLIPS_DIRECTORY


def test_the_shipped_clips_are_well() -> None:
    reports = check_directory(CLIPS_DIRECTORY)
    assert len(reports) >= 12
    for report in reports:
        assert not report.problems, report
        assert report.duration is not None
        assert 5 <= report.duration <= 20
        assert report.clip is not None
        assert report.clip.words


def test_every_problem_is_named(tmp_path: Path) -> None:
    write_clip(tmp_path, "rate", seconds=1, words=["a"], rate=8000)
    write_clip(tmp_path, "lonely", seconds=1, words=None)
    write_clip(tmp_path, "silent", seconds=0, words=["a"])
    (tmp_path / "broken.wav").write_bytes(b"this is no RIFF")
    (tmp_path / "other.mp3").write_bytes(b"ID3")
    with wave.open(str(tmp_path / "stereo.wav"), "wb") as audio:
        audio.setparams((2, 1, 16_000, 0, "NONE", ""))
        audio.writeframes(bytes(200))
    short = write_clip(tmp_path, "short", seconds=1, words=["a"])
    short.write_bytes(short.read_bytes()[:-1000])
    empty = write_clip(tmp_path, "empty", seconds=1, words=["a"])
    empty.with_suffix(".txt").write_text(" \n")
    late = write_clip(tmp_path, "late", seconds=1, words=["a"])
    late.with_suffix(".words.json").write_text('{"words": [{"word": "a", "start": 0, "end": 9}]}')
    odd = write_clip(tmp_path, "odd", seconds=1, words=["a"])
    odd.with_suffix(".words.json").write_text("[")
    problems = {report.path.stem: " ".join(report.problems) for report in check_directory(tmp_path)}
    assert "wrong rate: 8000 Hz" in problems["rate"]
    assert "lonely.txt is missing" in problems["lonely"]
    assert "no samples" in problems["silent"]
    assert "unreadable" in problems["broken"]
    assert "audio import" in problems["other"]
    assert "wrong channels: 2" in problems["stereo"]
    assert "8 bit" in problems["stereo"]
    assert "shorter than its header" in problems["short"]
    assert "empty.txt is empty" in problems["empty"]
    assert "out of order" in problems["late"]
    assert "not usable" in problems["odd"]


def test_a_clip_without_reference_can_still_be_played(tmp_path: Path) -> None:
    report = check_clip(write_clip(tmp_path, "lonely", seconds=1, words=None))
    assert report.clip is not None
    assert report.clip.reference is None


def test_a_directory_without_clips_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="no audio file"):
        check_directory(tmp_path)
    with pytest.raises(ClipError, match="no directory"):
        check_directory(tmp_path / "nowhere")
    (tmp_path / "broken.wav").write_bytes(b"x")
    with pytest.raises(ClipError, match="No clip"):
        usable_clips(tmp_path)


def test_samples_are_read_in_range(tmp_path: Path) -> None:
    path = write_clip(tmp_path, "one", seconds=1, words=["a"])
    samples = read_samples(path, 8000)
    assert samples.shape == (8000,)
    assert samples.dtype == np.float32
    assert 0 < np.abs(samples).max() < 0.1
