"""An environment of its own with upstream's client (whisper-live), for interoperability tests.

    python tests/upstream_environment.py

makes it once and prints its interpreter. ``WHISPERCTL_UPSTREAM_ENVIRONMENT`` names another
directory, which may hold a ready environment. Only what the client module imports is installed,
not the server's models.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "0.10.0"
NEEDED = ("numpy", "scipy", "websocket-client", "av")
VARIABLE = "WHISPERCTL_UPSTREAM_ENVIRONMENT"
CHECK = "import scipy, websocket, av, importlib.metadata as m; print(m.version('whisper-live'))"


class UpstreamUnavailableError(Exception):
    """The environment can't be made; the text says why."""


def directory() -> Path:
    """Give where the environment is or will be."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parents[1] / ".upstream-venv"


def interpreter() -> Path:
    """Give the environment's interpreter, making the environment when it is missing.

    Raises UpstreamUnavailableError when the packages can't be installed.
    """
    python = directory() / "bin" / "python"
    if _complete(python):
        return python
    venv.create(directory(), with_pip=True, clear=True)
    _install(python, "--no-deps", f"whisper-live=={VERSION}")
    _install(python, *NEEDED)
    if not _complete(python):
        raise UpstreamUnavailableError(f"{directory()} has no usable whisper-live {VERSION}.")
    return python


def _complete(python: Path) -> bool:
    if not python.exists():
        return False
    done = subprocess.run([python, "-c", CHECK], capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == VERSION


def _install(python: Path, *packages: str) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "pip said nothing").splitlines()[-1]
        raise UpstreamUnavailableError(f"pip could not install {' '.join(packages)}: {last}")


if __name__ == "__main__":
    try:
        print(interpreter())
    except UpstreamUnavailableError as error:
        sys.exit(str(error))
