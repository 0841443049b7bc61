"""Words that cost nothing while they stay the same."""

from rich.text import Text
from textual.widgets import Static


class Still(Static):
    """A Static that is drawn anew only when its words changed, and moves others only if it must.

    A plain Static has the whole screen laid out each time it is updated.
    """

    _words: str | Text = ""

    def say(self, words: str | Text) -> None:
        """Show words."""
        if words == self._words:
            return
        old, new = _lines(self._words), _lines(words)
        self._words = words
        longer = max(map(len, old)) != max(map(len, new)) and self.styles.is_auto_width
        self.update(words, layout=len(old) != len(new) or longer)


def _lines(words: str | Text) -> list[str]:
    return str(words).split("\n")
