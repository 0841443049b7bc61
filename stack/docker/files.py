"""Files in a container's volumes, written through the engine before it runs, too. Blocking."""

import io
import tarfile
from typing import Final

import docker

from stack.docker.errors import explained

_DIRECTORY_MODE: Final = 0o755
_FILE_MODE: Final = 0o644


def put_file(
    client: docker.DockerClient, container: str, directory: str, name: str, data: bytes
) -> None:
    """Write a file that everyone in the container may read."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), _FILE_MODE
    _put(client, container, directory, entry, data)


def make_directory(
    client: docker.DockerClient, container: str, directory: str, name: str, user: str
) -> None:
    """Make a directory in a volume that a user, given as ``uid:gid``, may write.

    The volume's own top is root's at first, and the engine leaves it so whatever is written there.
    """
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, _DIRECTORY_MODE
    entry.uid, entry.gid = (int(part) for part in user.split(":"))
    _put(client, container, directory, entry, b"")


def read_file(client: docker.DockerClient, container: str, path: str) -> bytes | None:
    """Return a file of a container; None when it is not there."""
    with explained(f"read {path} of a container"):
        try:
            stream, _ = client.api.get_archive(container, path)
            packed = io.BytesIO(b"".join(stream))
        except docker.errors.NotFound:
            return None
    with tarfile.open(fileobj=packed) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        return file.read() if file is not None else None


def _put(
    client: docker.DockerClient, container: str, directory: str, entry: tarfile.TarInfo, data: bytes
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(data))
    with explained(f"write into {directory} of a container"):
        client.api.put_archive(container, directory, packed.getvalue())
