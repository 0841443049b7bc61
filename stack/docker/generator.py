"""Load generators inside: a container on the cluster network that behaves like a process.

``python -m stack.docker.generator`` starts one and joins its standard input and output to its own.
Whoever starts it need not know of containers; whatever ends it ends the container, too, because the
container's input ends with it, and the engine removes the container then.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import DockerException, NotFound
from docker.utils.socket import frames_iter

from stack.docker.client import connect
from stack.docker.containers import generator_arguments
from stack.docker.errors import explained
from stack.docker.preflight import check_readable, image_labels
from stack.engine import StackError
from stack.spec import ContainerSpec, StackSpec
from stack.supervision.processes import MODULE

_COMMAND: Final = ("python3", "-m", "loadtest.generator")
_BLOCK: Final = 64 * 1024
_STDOUT: Final = 1


def generator_command(spec: StackSpec, audio: Path) -> tuple[str, ...]:
    """Return the command that runs a generator inside this stack's cluster network.

    Raises StackError when the image is missing or its user can't read the audio.
    """
    image = (spec.containers or ContainerSpec()).generator_image
    image_labels(connect(), image, ours=True)
    directory = audio.resolve()
    check_readable(directory)
    return (
        *MODULE,
        "stack.docker.generator",
        f"--stack={spec.name}",
        f"--image={image}",
        f"--readable={directory}",
    )


def run(stack: str, image: str, readable: list[str]) -> int:
    """Run one generator to its end; returns its exit code."""
    client = connect()
    arguments = generator_arguments(stack, image, list(_COMMAND), readable)
    with explained("start the load generator"):
        container = client.containers.create(**arguments)
        name = str(container.id)
        connection = client.api.attach_socket(
            name, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        )
        ended: list[int] = []
        waiting = threading.Thread(target=_wait, args=(client, name, ended), daemon=True)
        waiting.start()
        try:
            container.start()
        except DockerException:
            # The engine removes by itself only what has run.
            container.remove(force=True)
            raise

    def end(*_: object) -> None:
        with suppress(DockerException):
            container.kill("SIGTERM")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    threading.Thread(target=_send, args=(connection,), daemon=True).start()
    frames: Iterator[tuple[int, bytes]] = frames_iter(connection, tty=False)  # type: ignore[no-untyped-call]
    for stream, block in frames:
        output = sys.stdout.buffer if stream == _STDOUT else sys.stderr.buffer
        output.write(block)
        output.flush()
    waiting.join(10)
    return ended[0] if ended else 1


def _wait(client: docker.DockerClient, container: str, ended: list[int]) -> None:
    with suppress(DockerException):
        # From before it is started: the engine removes it as soon as it has ended.
        ended.append(int(client.api.wait(container, condition="next-exit")["StatusCode"]))


def _send(connection: Any) -> None:
    """Pass our input on, and its end."""
    # The SDK gives a reader around the socket; writing needs the socket itself.
    raw = getattr(connection, "_sock", connection)
    with suppress(OSError):
        while block := os.read(sys.stdin.fileno(), _BLOCK):
            raw.sendall(block)
    with suppress(OSError):
        raw.shutdown(1)


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m stack.docker.generator", description=__doc__)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--readable", action="append", default=[])
    options = parser.parse_args()
    try:
        return run(options.stack, options.image, options.readable)
    except (StackError, NotFound) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
