"""Changing what is saved: label and note of a run, and the trash. Nothing is ever deleted."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadtest.entries import RunFileError
from loadtest.store import free_id, read_run
from stack.files import write_atomically

TRASH: Final = ".trash"
"""Directory, inside that of the results, that holds what was thrown away."""
MAX_LABEL: Final = 200
MAX_NOTE: Final = 2000


@dataclass(frozen=True, slots=True)
class Moved:
    """One file that was moved."""

    origin: Path
    now: Path


def relabel(path: Path, *, label: str | None = None, note: str | None = None) -> None:
    """Write another label or note into a run file; None leaves what is there.

    What else the file holds stays as it is, fields of later versions too. The file is replaced
    whole. Raises RunFileError for a file that is no run, can't be written, or was changed by
    somebody else meanwhile.
    """
    if label is not None and len(label) > MAX_LABEL:
        raise RunFileError(f"A label has at most {MAX_LABEL} letters; this one has {len(label)}.")
    if note is not None and len(note) > MAX_NOTE:
        raise RunFileError(f"A note has at most {MAX_NOTE} letters; this one has {len(note)}.")
    read_run(path)
    try:
        before = path.stat()
        raw: dict[str, Any] = json.loads(path.read_bytes())
        raw |= {
            name: value for name, value in (("label", label), ("note", note)) if value is not None
        }
        data = json.dumps(raw, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        now = path.stat()
        if (now.st_mtime_ns, now.st_size) != (before.st_mtime_ns, before.st_size):
            raise RunFileError(f"{path.name} was changed by somebody else; look at it, try again.")
        write_atomically(path, data)
    except OSError as error:
        raise RunFileError(f"{path.name} can't be changed: {error.strerror}.") from None
    except ValueError:
        raise RunFileError(f"{path.name} can't be changed: it holds what JSON can't.") from None


def to_trash(paths: Iterable[Path]) -> list[Moved]:
    """Move files to the trash beside them; one that is gone already is passed over.

    Raises RunFileError where that fails; the files before that one are in the trash then.
    """
    moved = []
    for path in paths:
        trash = path.parent / TRASH
        try:
            trash.mkdir(exist_ok=True)
            stem = free_id(path.stem, lambda name, trash=trash: (trash / f"{name}.json").exists())  # type: ignore[misc]
            target = trash / f"{stem}.json"
            path.rename(target)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise RunFileError(
                f"{path.name} can't be moved to the trash: {error.strerror}."
            ) from None
        moved.append(Moved(path, target))
    return moved


def from_trash(moved: Iterable[Moved]) -> int:
    """Move files back to where they were; returns how many.

    Raises RunFileError where another file has the name meanwhile, or moving fails.
    """
    back = 0
    for one in moved:
        if one.origin.exists():
            raise RunFileError(f"{one.origin.name} is there again: the other stays in {one.now}.")
        try:
            one.now.rename(one.origin)
        except OSError as error:
            raise RunFileError(f"{one.now} can't be moved back: {error.strerror}.") from None
        back += 1
    return back
