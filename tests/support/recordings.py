"""Audio files made of samples, whole and malicious."""

import io
import struct
import wave
import zlib

import av
import numpy as np
import pytest

RATE = 16_000


def wav(samples: np.ndarray, rate: int = RATE) -> bytes:
    """Write a wav file of 16 bits."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return data.getvalue()


def encoded(
    samples: np.ndarray, kind: str, codec: str, layout: str = "stereo", rate: int = 48_000
) -> bytes:
    """Encode samples at 16 kHz as a file of another kind; skips the test where PyAV can't."""
    if codec not in av.codecs_available:
        pytest.skip(f"PyAV was built without {codec}")
    data = io.BytesIO()
    with av.open(data, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format or "fltp", layout, rate)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], "flt", "mono")
        frame.sample_rate = RATE
        fifo = av.AudioFifo()
        for resampled in (*resampler.resample(frame), *resampler.resample(None)):
            fifo.write(resampled)
        size = stream.codec_context.frame_size or 1024
        while (part := fifo.read(size, partial=True)) is not None:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return data.getvalue()


def claimed(rate: int, channels: int, data: bytes) -> bytes:
    """Write a wav file of 16 bits whose header claims anything."""
    size = channels * 2
    head = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * size % 2**32, size, 16)
    body = b"WAVEfmt " + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_cover(mp3: bytes, side: int) -> bytes:
    """Put a cover picture of a few bytes before an mp3; decoded, it has 3 * side * side bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + 3 * side)
    rows = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    signature = b"\x89PNG\r\n\x1a\n"
    png = signature + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    picture = b"\0image/png\0\3\0" + png
    frame = b"APIC" + _synchsafe(len(picture)) + b"\0\0" + picture
    return b"ID3\4\0\0" + _synchsafe(len(frame)) + frame + mp3


def _synchsafe(number: int) -> bytes:
    return bytes((number >> shift) & 127 for shift in (21, 14, 7, 0))
