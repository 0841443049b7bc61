"""Which language a session speaks, when its client did not say."""

from typing import Final

ENOUGH_SECONDS: Final = 2.0
SURE: Final = 0.5
MOST_SECONDS: Final = 10.0
"""A language is settled once it is likelier than not over two seconds, or after ten seconds."""


class LanguageChoice:
    """The language of one session: given, or settled by what passes detect."""

    def __init__(self, given: str | None) -> None:
        self.language = given
        self._found: tuple[str, float] | None = None

    def settle(self, language: str, probability: float, *, seconds: float, last: bool) -> bool:
        """Take in what a pass over some seconds detected and say whether the language is known.

        Upstream drops the audio in which it can't tell. Here nothing is completed and no audio
        goes until the language is known; ``last`` says that it can't become surer.
        """
        if self.language is not None:
            return True
        sure = probability >= SURE and seconds >= ENOUGH_SECONDS
        if not (sure or last or seconds >= MOST_SECONDS):
            return False
        self.language = language
        self._found = (language, probability)
        return True

    def take(self) -> tuple[str, float] | None:
        """Give a language that was settled since the last call and its probability."""
        found, self._found = self._found, None
        return found
