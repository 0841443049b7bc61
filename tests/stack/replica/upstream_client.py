"""Run in upstream's environment: upstream's own client on one file. Not a test itself.

    python upstream_client.py HOST PORT AUDIO SRT

PyAudio is for microphones and loudspeakers; a stand-in of that name takes its place, so that the
file is sent as fast as it can be read. Everything else is upstream's code, unchanged.
"""

import sys
import types


class Stream:
    """A loudspeaker that is never busy."""

    def write(self, data: bytes) -> None:
        """Play nothing."""

    def close(self) -> None:
        """Close nothing."""


class PyAudio:
    """As much of PyAudio as the file client uses."""

    def open(self, **_: object) -> Stream:
        return Stream()

    def get_format_from_width(self, width: int) -> int:
        return width


if __name__ == "__main__":
    stand_in = types.ModuleType("pyaudio")
    stand_in.PyAudio = PyAudio  # type: ignore[attr-defined]
    stand_in.paInt16 = 8  # type: ignore[attr-defined]
    sys.modules["pyaudio"] = stand_in

    from whisper_live.client import TranscriptionClient

    host, port, audio, srt = sys.argv[1:]
    client = TranscriptionClient(host, int(port), lang="en", output_transcription_path=srt)
    client(audio)
    print("SEGMENTS", [segment["completed"] for segment in client.client.transcript])
