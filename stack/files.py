"""Writing files so that a reader sees the old one or the new one, never half of one."""

import os
import tempfile
from pathlib import Path


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` to ``path`` by way of a temporary file beside it, synced before the rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def write_new(directory: Path, stem: str, suffix: str, data: bytes) -> Path:
    """Write ``data`` to ``<stem><suffix>``, or to the first free of ``<stem>_2`` and so on.

    Returns the path. Whole or not at all, and never over another file; raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=directory, prefix=f".{stem}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        path, number = directory / f"{stem}{suffix}", 1
        while True:
            try:
                # Unlike a rename it fails where there is a file.
                path.hardlink_to(temporary)
                break
            except FileExistsError:
                number += 1
                path = directory / f"{stem}_{number}{suffix}"
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(directory)
    return path


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
