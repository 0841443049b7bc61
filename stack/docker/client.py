"""The connection to Docker Engine."""

import json
import os
from pathlib import Path
from typing import Final

import docker
from docker.constants import DEFAULT_MAX_POOL_SIZE

from stack.docker.errors import explained

_TIMEOUT: Final = 60
"""Seconds one request may take; creating a container on a busy disk takes some."""


def connect(
    *, timeout: int | None = _TIMEOUT, connections: int = DEFAULT_MAX_POOL_SIZE
) -> docker.DockerClient:
    """Connect to the engine that the ``docker`` command would; raises StackError when none answers.

    With a ``timeout`` of None a request may wait for ever, as a stream of events does.
    ``connections`` are kept open at most; more of them at once write a warning each.
    """
    with explained("be reached"):
        host = os.environ.get("DOCKER_HOST") or _context_host()
        environment = dict(os.environ) | ({"DOCKER_HOST": host} if host else {})
        client = docker.from_env(
            environment=environment,
            timeout=timeout,  # type: ignore[arg-type]
            max_pool_size=connections,
        )
        try:
            client.ping()
        except BaseException:
            client.close()
            raise
    return client


def _context_host() -> str | None:
    """Return the address of the chosen context, where there is one, as the command line has it."""
    directory = Path(os.environ.get("DOCKER_CONFIG", "~/.docker")).expanduser()
    try:
        chosen = json.loads((directory / "config.json").read_bytes()).get("currentContext")
        if not chosen or chosen == "default":
            return None
        for file in (directory / "contexts" / "meta").glob("*/meta.json"):
            context = json.loads(file.read_bytes())
            if context.get("Name") == chosen:
                return str(context["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None
