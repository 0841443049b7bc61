"""Decoding of files that people send, and of files that nobody should."""

import io
import struct
import subprocess
import sys
import tracemalloc

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recordings import RATE, claimed, encoded, wav, with_cover

from stack.replica import audio_files
from stack.replica.audio_files import AudioFileError, decode

TONE = (0.3 * np.sin(np.arange(5 * RATE) / 10)).astype(np.float32)

PEAK = """
import io, pathlib, resource, sys
from stack.replica.audio_files import decode

data = pathlib.Path(sys.argv[1]).read_bytes()
sum(map(len, decode(io.BytesIO(data))))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def decoded(data: bytes) -> np.ndarray:
    return np.concatenate(list(decode(io.BytesIO(data))))


def seconds(data: bytes) -> float:
    return len(decoded(data)) / RATE


def refused(data: bytes) -> str:
    with pytest.raises(AudioFileError) as found:
        decoded(data)
    return str(found.value)


def test_samples_come_as_they_were():
    assert np.abs(decoded(wav(TONE)) - TONE).max() < 1e-3


def test_a_long_file_comes_in_slices():
    slices = decode(io.BytesIO(wav(np.tile(TONE, 24))))
    tracemalloc.start()
    lengths = [len(one) for one in slices]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(lengths) == 120 * RATE
    assert all(audio_files.SLICE <= one < 1.1 * audio_files.SLICE for one in lengths[:-1])
    assert peak < 60 * RATE * 4


@pytest.mark.parametrize(
    ("layout", "rate"), [("stereo", 48_000), ("mono", 48_000), ("stereo", 24_000)]
)
def test_joined_files_are_heard_to_the_end(layout, rate):
    joined = encoded(TONE, "mp3", "libmp3lame") + encoded(TONE, "mp3", "libmp3lame", layout, rate)
    assert seconds(joined) == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize(
    ("kind", "codec"), [("mp3", "libmp3lame"), ("ipod", "aac"), ("flac", "flac")]
)
def test_what_follows_damage_is_heard(kind, codec):
    data = bytearray(encoded(TONE, kind, codec))
    third = len(data) // 3
    data[third : third + 200] = bytes(one ^ 0x5A for one in data[third : third + 200])
    assert seconds(bytes(data)) > 4.5


def test_the_first_audio_of_several_streams():
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=10, width=16, height=16, pix_fmt="yuv420p")
        sounds = [container.add_stream("aac", rate=RATE, layout="mono") for _ in range(2)]
        container.mux(video.encode(av.VideoFrame(16, 16, "yuv420p")))
        for stream, loudness in zip(sounds, (1.0, 0.0), strict=True):
            for first in range(0, 3 * RATE, 1024):
                samples = loudness * TONE[np.newaxis, first : first + 1024]
                frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
                frame.sample_rate = RATE
                frame.pts = first
                container.mux(stream.encode(frame))
        for stream in (video, *sounds):
            container.mux(stream.encode(None))
    found = decoded(data.getvalue())
    assert len(found) / RATE == pytest.approx(3, abs=0.2)
    assert np.abs(found).max() > 0.2


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile secret.wav\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n",
    ],
)
def test_lists_of_other_files_and_addresses_are_not_followed(text, tmp_path, monkeypatch):
    (tmp_path / "secret.wav").write_bytes(wav(TONE))
    monkeypatch.chdir(tmp_path)
    assert "no audio that can be read" in refused(text.encode())


def test_cover_pictures_are_not_decoded(tmp_path):
    """This one would take 768 MB."""
    peaks = []
    plain = encoded(TONE, "mp3", "libmp3lame")
    for data in (plain, with_cover(plain, 16_000)):
        path = tmp_path / "speech.mp3"
        path.write_bytes(data)
        command = [sys.executable, "-c", PEAK, str(path)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True).stdout))
    assert peaks[1] < peaks[0] + 50_000


@pytest.mark.parametrize(
    ("rate", "channels", "said"),
    [
        (1, 1, "1 samples a second"),
        (2_000_000_000, 1, "2000000000 samples a second"),
        (RATE, 300, "300 channels"),
        (RATE, 0, "damaged"),
        (0, 1, "no audio that can be read"),
    ],
)
def test_absurd_headers_are_not_believed(rate, channels, said):
    assert said in refused(claimed(rate, channels, b"\1\2" * 100_000))


def test_a_file_longer_than_is_taken(monkeypatch):
    monkeypatch.setattr(audio_files, "LONGEST", 3)
    assert "longer than" in refused(wav(np.tile(TONE, 4)))


SOUND = [encoded(TONE[:RATE], *one) for one in (("flac", "flac"), ("ogg", "flac"), ("adts", "aac"))]
SOUND.append(wav(TONE[:RATE]))


@given(
    data=st.sampled_from(SOUND),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=20),
    length=st.integers(0, 20_000),
)
@settings(max_examples=150, deadline=None)
def test_any_damage_gives_samples_or_a_sentence(data, changes, length):
    damaged = bytearray(data[:length])
    for place, value in changes:
        if place < len(damaged):
            damaged[place] = value
    said, found = "", np.empty(0)
    try:
        found = decoded(bytes(damaged))
    except AudioFileError as error:
        said = str(error)
    assert said.endswith(".") != bool(len(found))
    assert np.isfinite(found).all()
    assert np.abs(found).max(initial=0) <= 1


def with_samples(data: bytes, count: int, size: int) -> bytes:
    """Let an MP4 file's index say that so many samples of one size follow."""
    place = data.index(b"stsz") + 8
    return data[:place] + struct.pack(">II", size, count) + data[place + 8 :]


def test_an_index_that_counts_more_than_the_file_holds_is_not_believed():
    """FFmpeg would make an entry of each: 60 million take two gigabytes."""
    honest = encoded(TONE, "ipod", "aac")
    assert seconds(honest) == pytest.approx(5, abs=0.2)
    assert "counts more" in refused(with_samples(honest, 60_000_000, 1))
    fragment = b"\0\0\0\x14trun\0\0\0\0" + struct.pack(">I", 4_000_000_000)
    assert "counts more" in refused(honest + fragment)
    assert "counts more" in refused(honest + b"\0\0\0\x20cmov\0\0\0\x10dcomzlib")
