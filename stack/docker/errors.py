"""Docker's errors as sentences that say what to do. Pure."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import requests
from docker.errors import APIError, DockerException

from stack.engine import StackError

_OTHERWISE: Final = "or use '--engine process', which needs no Docker"

_KNOWN: Final[tuple[tuple[str, str], ...]] = (
    (
        r"PermissionError|permission denied.*(sock|daemon)",
        "You may not use Docker's socket; add yourself to its group with "
        f"'sudo usermod -aG docker $USER' and log in again, {_OTHERWISE}.",
    ),
    (
        r"FileNotFoundError|ConnectionRefusedError|Connection refused|No such file",
        f"Docker does not run here; start it with 'sudo systemctl start docker', {_OTHERWISE}.",
    ),
    (
        r"could not select device driver|unknown or invalid runtime name: nvidia|nvidia-container",
        "Docker has no NVIDIA runtime; install the NVIDIA Container Toolkit, "
        "or leave the GPUs away with '--gpus none'.",
    ),
    (
        r"no space left on device|disk quota exceeded",
        "Docker's disk is full; make room, for example with 'docker system prune'.",
    ),
    (
        r"(port is already allocated|address already in use|Ports are not available)",
        "The balancer's port is taken; choose another with --port, or 0 for a free one.",
    ),
    (
        r"could not find an available, non-overlapping IPv4 address pool",
        "Docker has no free address range for another network; remove networks nobody uses with "
        "'docker network prune'.",
    ),
    (
        r"Read timed out|ReadTimeout",
        "Docker does not answer; look at it with 'sudo systemctl status docker'.",
    ),
)


def known_trouble(text: str) -> str | None:
    """Return the sentence for a trouble that people meet, None for any other."""
    for pattern, known in _KNOWN:
        if re.search(pattern, text, re.IGNORECASE | re.DOTALL):
            return known
    return None


def sentence(error: Exception, what: str = "") -> str:
    """Say what is wrong and what to do; ``what`` names the thing that was tried."""
    text = str(error)
    if (known := known_trouble(text)) is not None:
        return known
    explanation = error.explanation if isinstance(error, APIError) else None
    said = (explanation or text).strip().splitlines()
    reason = said[-1].strip().rstrip(".") if said else type(error).__name__
    return f"Docker can't {what}: {reason}." if what else f"Docker says: {reason}."


def missing_image(image: str, *, ours: bool) -> str:
    """Say that an image is missing and where it comes from."""
    how = "build it with 'whisperctl build'" if ours else f"get it with 'docker pull {image}'"
    return f"Image {image} is not there; {how}."


@contextmanager
def explained(what: str = "") -> Iterator[None]:
    """Turn what Docker raises into a StackError of one sentence."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise StackError(sentence(error, what)) from None
