"""The order of the lines that several parts wrote. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from stack.status import LogLine

_STAMP: Final = re.compile(r"\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?")


def stamp_of(text: str) -> str:
    """Return the time that a line begins with, in a form that sorts; ``""`` when it has none."""
    found = _STAMP.match(text)
    return found[0].replace("/", "-").replace("T", " ").replace(".", ",") if found else ""


def by_time(lines: Sequence[LogLine]) -> list[LogLine]:
    """Return the lines of several parts merged by their times.

    A line without a time stays behind the line of its part that it follows, as in a traceback;
    the lines of one part keep their order whatever their times say.
    """
    last: dict[str, str] = {}
    stamped: list[tuple[str, LogLine]] = []
    newest = ""
    for line in lines:
        before = last.get(line.source, newest)
        stamp = max(stamp_of(line.text) or before, before if line.source in last else "")
        last[line.source] = newest = stamp
        stamped.append((stamp, line))
    stamped.sort(key=lambda pair: pair[0])
    return [line for _, line in stamped]
