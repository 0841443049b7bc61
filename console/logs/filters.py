"""What a person typed to see only some lines. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_MOST_MARKS: Final = 50
"""Matches marked in one line."""
_NESTED: Final = re.compile(r"\((?:[^()\\]|\\.)*[*+}](?:[^()\\]|\\.)*\)\s*[*+{]")
"""A repeat within a repeat, such as ``(a+)+``: it can take longer than anybody waits."""


class FilterError(ValueError):
    """One sentence that says why a filter can't be used."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines to show: those with a text, or with a match; or, turned around, those without."""

    typed: str = ""
    negative: bool = False
    pattern: re.Pattern[str] | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.pattern is not None

    @property
    def accepts(self) -> Callable[[str], bool]:
        """A function that tells whether a line is let through."""
        if self.pattern is None:
            return lambda _: True
        search = self.pattern.search
        if self.negative:
            return lambda text: search(text) is None
        return lambda text: search(text) is not None

    def marks(self, text: str) -> list[tuple[int, int]]:
        """Return where to mark what was looked for, as pairs of begin and end."""
        if self.pattern is None or self.negative:
            return []
        found: list[tuple[int, int]] = []
        for match in self.pattern.finditer(text):
            if match.end() > match.start():
                found.append(match.span())
                if len(found) == _MOST_MARKS:
                    break
        return found

    @property
    def words(self) -> str:
        """The filter in words, such as ``lines without 'x'``."""
        if self.pattern is None:
            return ""
        what = self.typed.lstrip("!") if self.negative else self.typed
        kind = f"a match of {what[1:]}" if what.startswith("~") else f"'{what}'"
        return f"lines {'without' if self.negative else 'with'} {kind}"


def parse_filter(typed: str) -> Filter:
    """Read ``text``, ``~regular expression``, or either after ``!`` for lines without it.

    Upper and lower case are the same. Raises FilterError with a sentence.
    """
    negative = typed.startswith("!")
    wanted = typed[1:] if negative else typed
    if not wanted.startswith("~"):
        pattern = re.compile(re.escape(wanted), re.IGNORECASE) if wanted else None
        return Filter(typed if wanted else "", negative, pattern)
    expression = wanted[1:]
    if not expression:
        return Filter()
    if _NESTED.search(expression):
        raise FilterError(
            "This regular expression repeats a repeat, which can take for ever; write it simpler."
        )
    try:
        return Filter(typed, negative, re.compile(expression, re.IGNORECASE))
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        reason = error.msg.partition(",")[0]
        raise FilterError(f"This is no regular expression: {reason}{where}.") from None
    except (OverflowError, RecursionError):
        raise FilterError("This regular expression is too large; write it simpler.") from None
