"""Environments of their own with upstream's package (whisper-live), for tests and benchmarks.

    python -m benchmarks.upstream_environment [client|server]

makes one of them once and prints its interpreter. *client* holds what upstream's client module
imports, *server* what its server needs for the faster-whisper backend, PyTorch among it. An
environment variable names another directory for each, which may hold a ready environment.

pip installs with its usual settings. Where the package index gives out PyTorch for CUDA, which is
gigabytes larger, ``PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu`` makes pip take the
build for CPUs.
"""

import argparse
import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VERSION: Final = "0.10.0"


class UpstreamUnavailableError(Exception):
    """The environment can't be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One environment: where it is and what is in it."""

    variable: str
    """Environment variable that names another directory."""
    default_directory: str
    """Name of the directory in the repository."""
    installs: tuple[tuple[str, ...], ...]
    """Arguments of ``pip install``, call by call."""
    imports: str
    """What a complete environment can import, separated by commas."""

    @property
    def directory(self) -> Path:
        """Where the environment is or will be."""
        named = os.environ.get(self.variable)
        return (
            Path(named) if named else Path(__file__).parents[1].resolve() / self.default_directory
        )


# Upstream's own requirements name heavy optional parts (OpenVINO, Whisper itself, PyAudio, which
# needs a compiler): so its package comes without them, and what is imported is named here.
_PACKAGE: Final = ("--no-deps", f"whisper-live=={VERSION}")

CLIENT: Final = Profile(
    variable="WHISPERCTL_UPSTREAM_ENVIRONMENT",
    default_directory=".upstream-venv",
    installs=(_PACKAGE, ("numpy", "scipy", "websocket-client", "av")),
    imports="scipy, websocket, av",
)
SERVER: Final = Profile(
    variable="WHISPERCTL_UPSTREAM_SERVER_ENVIRONMENT",
    default_directory=".upstream-server-venv",
    installs=(
        ("torch==2.13.0",),
        _PACKAGE,
        (
            *("av", "fastapi", "faster-whisper", "kaldialign", "librosa", "numba", "onnxruntime"),
            *("prometheus-client", "python-multipart", "scipy", "soundfile", "tiktoken"),
            *("tokenizers", "uvicorn", "websocket-client", "websockets"),
        ),
    ),
    imports="whisper_live.server, whisper_live.backend.faster_whisper_backend",
)
PROFILES: Final = {"client": CLIENT, "server": SERVER}


def interpreter(profile: Profile) -> Path:
    """Give the environment's interpreter, making the environment when it is missing.

    Raises UpstreamUnavailableError when the packages can't be installed.
    """
    directory = profile.directory
    # Absolute, but not resolved: the interpreter is a link, and where it lies decides what it has.
    python = directory.absolute() / "bin" / "python"
    if _complete(python, profile):
        return python
    # Making an environment empties its directory: only one that held an environment before.
    if directory.exists() and not (directory / "pyvenv.cfg").exists() and _holds_files(directory):
        raise UpstreamUnavailableError(
            f"{directory} is no virtual environment; name another directory in {profile.variable}."
        )
    try:
        venv.create(directory, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UpstreamUnavailableError(f"{directory} can't be made: {error}.") from None
    for packages in profile.installs:
        _install(python, *packages)
    if not _complete(python, profile):
        raise UpstreamUnavailableError(f"{directory} has no usable whisper-live {VERSION}.")
    return python


def _holds_files(directory: Path) -> bool:
    return not directory.is_dir() or any(directory.iterdir())


def _complete(python: Path, profile: Profile) -> bool:
    if not python.exists():
        return False
    check = f"import {profile.imports}, importlib.metadata as m; print(m.version('whisper-live'))"
    done = subprocess.run([python, "-P", "-c", check], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == VERSION


def _install(python: Path, *packages: str) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += packages
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise UpstreamUnavailableError(f"pip could not install {' '.join(packages)}: {last}")


def main() -> int:
    """Make an environment and print its interpreter; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.upstream_environment",
        description="Make an environment with upstream's package and print its interpreter.",
    )
    parser.add_argument("profile", nargs="?", choices=[*PROFILES], default="client")
    try:
        print(interpreter(PROFILES[parser.parse_args().profile]))
    except UpstreamUnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
