"""A stand-in for NVIDIA's library: C, answered from a script, loaded by the real nvidia-ml-py.

The script's words are described in ``script.h``.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pynvml
import pytest

from stack.telemetry import gpu, gpu_session
from stack.telemetry.gpu_session import Session
from stack.telemetry.nvml import THREAD

LIBRARY = "libnvidia-ml.so.1"
SOURCE = Path(__file__).with_name("libnvidia-ml.c")
GIB = 2**30

TWO_CARDS = f"""\
driver 560.35.03
card GPU-a NVIDIA L4
  memory {24 * GIB} {6 * GIB}
  utilisation 60
  encoder 7
  temperature 64
  power 65500 72000
  clock 1740 2040
  throttle 4
  minor 0
card GPU-b NVIDIA A2
  memory {16 * GIB} {1 * GIB}
  utilisation 5
  encoder 0
  temperature 41
  power 9000 60000
  clock 210 1770
  throttle 1
  minor 1
"""


def build(directory: Path) -> Path:
    """Compile the library; skips the test where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the stand-in for NVML with")
    path = directory / LIBRARY
    flags = ["-Wall", "-O1", "-shared", "-fPIC", "-pthread", f"-Wl,-soname,{LIBRARY}"]
    subprocess.run([compiler, *flags, "-o", str(path), str(SOURCE)], check=True)
    return path


@dataclass
class World:
    """The machine's cards as the stand-in tells of them."""

    library: Path
    script: Path
    text: str = TWO_CARDS
    _counter: ctypes.CDLL | None = field(default=None, repr=False)

    def set(self, text: str) -> None:
        """Change the world, at once and as a whole."""
        self.text = text
        fresh = self.script.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.script)

    def on(self, card: str, *lines: str, first: str = "") -> None:
        """Say more of a card of TWO_CARDS, and ``first`` of the machine."""
        self.set(first + "\n" + with_lines(TWO_CARDS, {card: lines}))

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process of its own load the stand-in."""
        return os.environ | {
            "LD_LIBRARY_PATH": str(self.library.parent),
            "WHISPERCTL_FAKE_NVML": str(self.script),
        }

    def calls(self, function: str) -> int:
        """How often this process has called a function of the library."""
        assert self._counter is not None
        return int(self._counter.fakeNvmlCalls(function.encode()))


def with_lines(text: str, more: dict[str, tuple[str, ...]]) -> str:
    """Return a script with more lines for cards, by their uuid."""
    lines = []
    for line in text.splitlines():
        lines.append(line)
        words = line.split()
        if words[:1] == ["card"]:
            lines += more.get(words[1], ())
    return "\n".join(lines) + "\n"


@contextmanager
def loaded(library: Path, script: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Have nvidia-ml-py use the stand-in in this process."""
    there = ctypes.CDLL(str(library))
    world = World(library, script, _counter=there)
    world.set(TWO_CARDS)
    monkeypatch.setenv("WHISPERCTL_FAKE_NVML", str(script))
    # The dynamic linker looks at LD_LIBRARY_PATH when a process starts, and never again.
    monkeypatch.setattr(pynvml, "nvmlLib", there)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr(gpu_session, "RETRY", 0.0)
    session = Session()
    monkeypatch.setattr(gpu, "_SESSION", session)
    try:
        yield world
    finally:
        world.set(TWO_CARDS)  # whatever hangs goes on
        THREAD.run(session.close, 30)
