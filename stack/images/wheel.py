"""whisperctl's own wheel, packed from the installation that runs: the image holds the same code.

A wheel is a zip file with the packages and a directory of metadata (the binary distribution format
of the Python packaging user guide, PEP 427). Made here, it needs no build tool and no network, and
works from a checkout as from an installed copy.
"""

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

NAME: Final = "whisperctl"
PACKAGES: Final = ("console", "stack", "loadtest", "test_audio")
_ROOT: Final = Path(__file__).resolve().parents[2]
_SKIPPED: Final = {"__pycache__"}


def pack_wheel(directory: Path) -> Path:
    """Write whisperctl's wheel into a directory and return its path."""
    own = distribution(NAME)
    stem = f"{NAME}-{own.version}"
    path = directory / f"{stem}-py3-none-any.whl"
    information = f"{stem}.dist-info"
    records: list[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(name: str, data: bytes) -> None:
            archive.writestr(_entry(name), data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            records.append(f"{name},sha256={digest},{len(data)}")

        for file in _files():
            add(file.relative_to(_ROOT).as_posix(), file.read_bytes())
        add(f"{information}/METADATA", (own.read_text("METADATA") or "").encode())
        add(
            f"{information}/WHEEL",
            b"Wheel-Version: 1.0\nGenerator: whisperctl\nRoot-Is-Purelib: true\n"
            b"Tag: py3-none-any\n",
        )
        add(f"{information}/entry_points.txt", (own.read_text("entry_points.txt") or "").encode())
        record = f"{information}/RECORD"
        archive.writestr(_entry(record), "\n".join([*records, f"{record},,", ""]))
    return path


def _entry(name: str) -> zipfile.ZipInfo:
    """Make an entry with a fixed date: the same code is the same file to the builder's cache."""
    entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _files() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((_ROOT / package).rglob("*")):
            if path.is_file() and not _SKIPPED & set(path.parts) and path.suffix != ".pyc":
                yield path


def pinned_requirements() -> list[str]:
    """Return all that whisperctl needs, without itself, in the versions that are installed here."""
    own = distribution(NAME)
    found: dict[str, str] = {}
    waiting = [own]
    while waiting:
        for requirement in _requirements(waiting.pop()):
            name = canonicalize_name(requirement.name)
            if name in found:
                continue
            try:
                there = distribution(requirement.name)
            except PackageNotFoundError:
                continue  # for another system
            found[name] = there.version
            waiting.append(there)
    return [f"{name}=={found[name]}" for name in sorted(found)]


def _requirements(package: Distribution) -> Iterator[Requirement]:
    for text in package.requires or []:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement
