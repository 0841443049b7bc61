"""The saved files of one directory as lines of a list; what did not change is not read again."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, TypeAdapter, ValidationError

from loadtest.entries import RunEntry, RunFileError
from stack.files import write_atomically

Summarise = Callable[[Path], RunEntry]
"""Reads a file and returns its line; raises RunFileError."""

_FORM: Final = f"1 {' '.join(field.name for field in fields(RunEntry))}"
"""An index of another form is not read: its lines may lack what this version shows."""
_MAX_INDEX_BYTES: Final = 64 * 1024 * 1024


class _Known(BaseModel):
    """What was read of one file."""

    stamp: tuple[int, int, int]
    """Size, and nanoseconds of the last change of its content and of its rights or name."""
    entry: RunEntry


class _Index(BaseModel):
    form: str
    files: dict[str, _Known]


_INDEX: Final = TypeAdapter(_Index)


class Shelf:
    """The JSON files of one directory. Every method does blocking file I/O.

    With ``index_directory`` what was read is kept in a file there, by name, size and time of
    change: it can be deleted at any time, and is made anew.
    """

    def __init__(
        self, directory: Path, summarise: Summarise, *, index_directory: Path | None = None
    ) -> None:
        self.directory = directory
        self._summarise = summarise
        self._index_directory = index_directory
        self._known: dict[str, _Known] | None = None
        self._lock = threading.Lock()

    def entries(self) -> list[RunEntry]:
        """Return all, newest first; what can't be read is last, with its problem.

        Raises RunFileError if the directory can't be read.
        """
        *_, last = self.listings()
        return last

    def listings(self, pause: float | None = None) -> Iterator[list[RunEntry]]:
        """Yield what is known about every ``pause`` seconds while files are read, at last all.

        The newest files are read first. Raises RunFileError if the directory can't be read.
        """
        files = self._files()
        known = self._remembered()
        found: list[RunEntry] = []
        unread: list[tuple[str, os.stat_result]] = []
        for name, stat in files:
            one = known.get(name)
            if one is not None and one.stamp == _stamp(stat):
                found.append(one.entry)
            else:
                unread.append((name, stat))
        if not unread and len(known) == len(files):
            yield _in_order(found)
            return
        if pause is not None and unread and found:
            yield _in_order(found)
        said = time.monotonic()
        for name, stat in sorted(unread, key=lambda one: one[1].st_mtime_ns, reverse=True):
            entry = self._read(name)
            if entry is None:
                continue
            known[name] = _Known(stamp=_stamp(stat), entry=entry)
            found.append(entry)
            if pause is not None and time.monotonic() - said >= pause:
                yield _in_order(found)
                said = time.monotonic()
        names = {name for name, _ in files}
        self._remember({name: one for name, one in known.items() if name in names})
        yield _in_order(found)

    def _files(self) -> list[tuple[str, os.stat_result]]:
        found = []
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or not entry.name.endswith(".json"):
                        continue
                    try:
                        if entry.is_file():
                            found.append((entry.name, entry.stat()))
                    except OSError:
                        continue  # it went away meanwhile
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunFileError(f"{self.directory} is unreadable: {error.strerror}.") from None
        return found

    def _read(self, name: str) -> RunEntry | None:
        path = self.directory / name
        try:
            return self._summarise(path)
        except RunFileError as error:
            # One that went away meanwhile is not there, and not broken.
            return RunEntry(path=path, problem=str(error)) if path.exists() else None

    # --- the index ------------------------------------------------------------------------------

    @property
    def _index_file(self) -> Path | None:
        if self._index_directory is None:
            return None
        place = hashlib.sha256(os.fsencode(self.directory.resolve())).hexdigest()[:16]
        return self._index_directory / f"{place}.json"

    def _remembered(self) -> dict[str, _Known]:
        """Return a copy of what is known, which several threads may ask for at once."""
        with self._lock:
            if self._known is None:
                self._known = self._read_index()
            return dict(self._known)

    def _read_index(self) -> dict[str, _Known]:
        file = self._index_file
        try:
            if file is None or file.stat().st_size > _MAX_INDEX_BYTES:
                return {}
            index = _INDEX.validate_json(file.read_bytes())
        except (OSError, ValidationError):
            return {}
        if index.form != _FORM:
            return {}
        for name, one in index.files.items():
            # The same directory may be named otherwise this time.
            one.entry = replace(one.entry, path=self.directory / name)
        return index.files

    def _remember(self, known: dict[str, _Known]) -> None:
        with self._lock:
            self._known = known
        file = self._index_file
        if file is None:
            return
        try:
            write_atomically(file, _INDEX.dump_json(_Index(form=_FORM, files=known)), mode=0o600)
        except OSError:
            return  # all it costs is time


def _stamp(stat: os.stat_result) -> tuple[int, int, int]:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _in_order(entries: list[RunEntry]) -> list[RunEntry]:
    good = [entry for entry in entries if entry.problem is None and entry.created_at]
    bad = [entry for entry in entries if entry.problem is not None]
    good.sort(key=lambda entry: (entry.created_at or datetime.min, entry.path), reverse=True)  # noqa: DTZ901
    return good + sorted(bad, key=lambda entry: entry.path)
