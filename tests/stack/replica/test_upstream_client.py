"""Clients that know nothing of this project: upstream's own, as released, and one from scratch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.upstream_environment import CLIENT, UpstreamUnavailableError, interpreter

SCRIPT = Path(__file__).with_name("upstream_client.py")


@pytest.mark.upstream
def test_upstreams_client_transcribes_a_clip(running, clip, tmp_path):
    try:
        python = interpreter(CLIENT)
    except UpstreamUnavailableError as error:
        pytest.skip(f"upstream's client can't be installed: {error}")
    srt = tmp_path / "output.srt"
    # It waits until no text has come for 15 s before it says that the audio is over.
    done = subprocess.run(
        [python, SCRIPT, "127.0.0.1", str(running.port), clip.path, srt],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Server Running with backend faster_whisper" in done.stdout
    flags = re.search(r"SEGMENTS \[(.*)\]", done.stdout)[1].split(", ")
    assert flags == ["True"] * 5
    lines = srt.read_text(encoding="utf-8").splitlines()
    text = " ".join(line for line in lines if line and not line.isdigit() and "-->" not in line)
    assert clip.wer(text) <= 0.05, text


def test_a_client_of_twenty_lines(running, clip):
    """Written from the protocol alone."""
    script = SCRIPT.with_name("raw_client.py")
    done = subprocess.run(
        [sys.executable, script, running.url, clip.path],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert clip.wer(done.stdout) <= 0.05, done.stdout
