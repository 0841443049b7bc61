"""Lines of the parts' logs: cleaned, levelled, as many as memory allows. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from typing import Final

from stack.status import LogLine

LINES_KEPT: Final = 20_000
"""Of all parts together."""
_DROPPED_AT_ONCE: Final = 2_000
"""Dropping is a walk over all lines: it is done seldom."""
LONGEST: Final = 2_000
"""Characters of a line that are kept: a line without end must not fill the memory."""

_CONTROL: Final = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b."
    r"|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
"""What a log may hold that would paint over the screen, or turn its text around."""
_LEVEL: Final = re.compile(
    r"\b(?:(EMERG|ALERT|CRIT|CRITICAL|FATAL|ERROR|ERR)|(WARNING|WARN)|(NOTICE|INFO|DEBUG|TRACE))\b"
    r"|\[(?:(emerg|alert|crit|error)|(warn)|(notice|info|debug))\]"
)
_HEAD: Final = 80
"""Characters in which a line says its level; further on the words are the text's own."""


class Level(IntEnum):
    """How bad a line is."""

    PLAIN = 0
    """No trouble, or nothing said of it."""
    WARNING = 1
    ERROR = 2


@dataclass(slots=True, eq=False)
class Entry:
    """One line."""

    source: str
    """The part that wrote it."""
    text: str
    level: Level
    matched: bool = True
    """Whether the filter of the moment lets it through."""


def clean(text: str) -> str:
    """Return a line without what would paint over the screen, cut to a length that is bearable."""
    # Cutting first: a line of megabytes is not searched to its end.
    text = _CONTROL.sub("", text[: LONGEST + 1]).expandtabs(4)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def level_of(text: str) -> Level | None:
    """Return the level that a line names; None when it names none, as lines of a traceback do."""
    found = _LEVEL.search(text, 0, _HEAD)
    if found is None:
        return None
    if found[1] or found[4]:
        return Level.ERROR
    return Level.WARNING if found[2] or found[5] else Level.PLAIN


class LogBuffer:
    """The lines of all parts, oldest first; of too many, the loudest part loses its oldest."""

    def __init__(self, most: int = LINES_KEPT) -> None:
        self._most = most
        self.entries: list[Entry] = []
        self._levels: dict[str, Level] = {}
        self.written: Counter[str] = Counter()
        """Lines that came, by part."""
        self.troubles: Counter[str] = Counter()
        """Warnings and errors that came, by part."""
        self.dropped = 0
        """How often lines were dropped: whoever shows them has to look at all again."""

    def add(self, lines: Iterable[LogLine]) -> list[Entry]:
        """Take lines in and return their entries."""
        fresh = []
        for line in lines:
            text = clean(line.text)
            level = level_of(text)
            if level is None:
                # A traceback belongs to the error above it.
                level = self._levels.get(line.source, Level.PLAIN)
                level = level if text[:1].isspace() or text.startswith("Traceback") else Level.PLAIN
            else:
                self.troubles[line.source] += level > Level.PLAIN
                self._levels[line.source] = level
            self.written[line.source] += 1
            fresh.append(Entry(line.source, text, level))
        self.entries += fresh
        if len(self.entries) > self._most:
            self._drop()
        return fresh

    def _drop(self) -> None:
        counts = Counter(entry.source for entry in self.entries)
        share = _fair_share(list(counts.values()), max(1, self._most - _DROPPED_AT_ONCE))
        excess = {source: count - share for source, count in counts.items() if count > share}
        kept = []
        for entry in self.entries:
            left = excess.get(entry.source, 0)
            if left > 0:
                excess[entry.source] = left - 1
            else:
                kept.append(entry)
        self.entries = kept
        self.dropped += 1

    def sources(self) -> list[str]:
        """Return the parts that wrote."""
        return list(self.written)

    def recent(self, most: int) -> dict[str, set[str]]:
        """Return the last texts, by part: what is read again is known by them."""
        found: dict[str, set[str]] = {}
        for entry in islice(reversed(self.entries), most):
            found.setdefault(entry.source, set()).add(entry.text)
        return found


def _fair_share(counts: Sequence[int], room: int) -> int:
    """Return the largest number of lines that each part may keep so that all fit."""
    left = room
    waiting = sorted(counts)
    for index, count in enumerate(waiting):
        share = left // (len(waiting) - index)
        if count > share:
            return share
        left -= count
    return max(waiting, default=0)
