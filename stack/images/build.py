"""Building the project's image with the engine's own builder. Blocking."""

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

import docker

from stack.docker.errors import explained, known_trouble
from stack.engine import StackError
from stack.images.wheel import NAME, pack_wheel, pinned_requirements

DEFAULT_BASE: Final = "python:3.12-slim"
CUDA_BASE: Final = "nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04"
"""CUDA 12 with cuDNN 9, which CTranslate2 4.5 and later want; its Ubuntu has Python 3.12."""
_HERE: Final = Path(__file__).resolve().parent


def build_image(
    client: docker.DockerClient,
    *,
    tag: str,
    base: str = DEFAULT_BASE,
    wheels: Path | None = None,
    network: str | None = None,
) -> Iterator[str]:
    """Build the image and yield what the builder says, line by line.

    ``wheels``: a directory of wheels of all that is needed; nothing is fetched from an index then.
    ``network``: the builder's network mode, such as ``host``. Raises StackError with the builder's
    last words when it fails.
    """
    with tempfile.TemporaryDirectory(prefix="whisperctl-build-") as made:
        packed = pack_context(Path(made), wheels)
        arguments = {
            "BASE": base,
            "VERSION": version(NAME),
            "WHEELS": "only" if wheels is not None else "index",
        }
        with explained(f"build image {tag}"):
            stream = client.api.build(
                fileobj=packed,
                custom_context=True,
                tag=tag,
                rm=True,
                forcerm=True,
                decode=True,
                buildargs=arguments,
                network_mode=network,
            )
            yield from builder_lines(stream, tag)


def pack_context(context: Path, wheels: Path | None) -> io.BytesIO:
    """Fill an empty directory with all that the build reads, and return it as a tar archive.

    The same code gives the same bytes, so that the builder knows what it has built before.
    """
    shutil.copy(_HERE / "Dockerfile", context)
    shutil.copy(_HERE / "health.py", context)
    target = context / "wheels"
    target.mkdir()
    for wheel in sorted(wheels.glob("*.whl")) if wheels is not None else []:
        if not wheel.name.startswith(f"{NAME}-"):
            shutil.copy(wheel, target)
    own = context / "own"
    own.mkdir()
    pack_wheel(own)
    (context / "requirements.txt").write_text("\n".join([*pinned_requirements(), ""]))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path in sorted(context.rglob("*")):
            entry = archive.gettarinfo(str(path), str(path.relative_to(context)))
            # Whose files these are here says nothing in the image, and spoils the builder's cache.
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            entry.mode = 0o755 if path.is_dir() else 0o644
            if path.is_file():
                with path.open("rb") as file:
                    archive.addfile(entry, file)
            else:
                archive.addfile(entry)
    packed.seek(0)
    return packed


def builder_lines(stream: Iterator[dict[str, object]], tag: str) -> Iterator[str]:
    """Yield what the builder's messages say; raises StackError with its last words if it fails."""
    last = ""
    for message in stream:
        if "error" in message:
            reason = str(message["error"]).strip().splitlines()[-1]
            if (known := known_trouble(reason)) is not None:
                raise StackError(f"Image {tag} can't be built: {known}")
            detail = f" ({last})" if last and last not in reason else ""
            raise StackError(f"Image {tag} can't be built: {reason.rstrip('.')}{detail}.")
        text = str(message.get("stream") or message.get("status") or "")
        for line in text.splitlines():
            if line.strip():
                last = line.strip()
                yield last
