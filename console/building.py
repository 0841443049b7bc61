"""Building the stack's image from within the console. Blocking: in a thread."""

import threading
from collections.abc import Callable

from stack.engine import StackError
from stack.spec import DEFAULT_IMAGE, EngineName, StackSpec

MISSING = "build it with 'whisperctl build'"
"""What the docker engine says of an image that can be built here."""


class StoppedError(StackError):
    """Somebody has stopped the build."""


def image_of(spec: StackSpec) -> str | None:
    """Return the image that the stack's replicas are made from; None without containers."""
    if spec.engine is not EngineName.DOCKER:
        return None
    return spec.containers.image if spec.containers is not None else DEFAULT_IMAGE


def build(image: str, *, cuda: bool, report: Callable[[str], None], stop: threading.Event) -> None:
    """Build the image; ``report`` hears each line the builder says. Raises StackError."""
    # Docker's SDK takes a while to load.
    from stack.docker.client import connect  # noqa: PLC0415
    from stack.images.build import CUDA_BASE, DEFAULT_BASE, build_image  # noqa: PLC0415

    for line in build_image(
        connect(), tag=image, base=CUDA_BASE if cuda else DEFAULT_BASE, wheels=None, network=None
    ):
        if stop.is_set():
            raise StoppedError(f"Image {image} is not built; what was done is kept for next time.")
        report(line)
