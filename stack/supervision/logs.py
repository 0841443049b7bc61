"""Reading the logs of a stack's parts: the end of each, and what comes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from stack.log_order import by_time
from stack.status import LogLine

_INTERVAL: Final = 0.25
_BLOCK: Final = 64 * 1024
_LONGEST_TAIL: Final = 8 * 1024 * 1024


def sources(directory: Path) -> list[str]:
    """Return the names of the parts that have a log."""
    return sorted(path.stem for path in directory.glob("*.log") if not path.stem.endswith(".old"))


class _Log:
    """Follows one file by its offset."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._part = b""

    def tail(self, lines: int) -> list[LogLine]:
        """Return the last lines, reading backwards no further than needed."""
        try:
            size = self._path.stat().st_size
            with self._path.open("rb") as file:
                start, data = size, b""
                while start > 0 and data.count(b"\n") <= lines and size - start < _LONGEST_TAIL:
                    start = max(0, start - _BLOCK)
                    file.seek(start)
                    data = file.read(size - start)
        except OSError:
            return []
        self._offset = size
        return self._lines(data)[-lines:]

    def fresh(self) -> list[LogLine]:
        """Return the whole lines written since the last look."""
        try:
            size = self._path.stat().st_size
            if size < self._offset:
                self._offset, self._part = 0, b""  # begun anew
            if size == self._offset:
                return []
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_LONGEST_TAIL)
        except OSError:
            return []
        self._offset += len(data)
        return self._lines(data)

    def _lines(self, data: bytes) -> list[LogLine]:
        whole, _, self._part = (self._part + data).rpartition(b"\n")
        source = self._path.stem
        return [
            LogLine(source=source, text=line.decode("utf-8", "replace"))
            for line in whole.split(b"\n")
            if line
        ]


async def read(
    directory: Path, part: str | None, *, follow: bool, tail: int
) -> AsyncIterator[LogLine]:
    """Yield the last ``tail`` lines of one part or of all, in the order they were written."""
    known: dict[str, _Log] = {}

    def look(*, first: bool) -> list[LogLine]:
        found: list[LogLine] = []
        for name in [part] if part is not None else sources(directory):
            if name not in known:
                known[name] = _Log(directory / f"{name}.log")
                found += known[name].tail(tail)
            elif not first:
                found += known[name].fresh()
        if part is None:
            found = by_time(found)
        return found[-tail:] if first else found

    for line in await asyncio.to_thread(look, first=True):
        yield line
    while follow:
        await asyncio.sleep(_INTERVAL)
        for line in await asyncio.to_thread(look, first=False):
            yield line
        if not await asyncio.to_thread(directory.exists):
            return
