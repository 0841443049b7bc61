"""Word error rate with jiwer, after one documented normalisation. Pure.

Normalisation, of reference and transcript alike: Unicode NFKC, lower case, typographic apostrophes
made plain, everything but letters, digits and apostrophes inside words made a space, white space
folded. Numbers stay as they are written: a reference that says "seven" wants "seven", not "7".
"""

import re
import unicodedata
from collections.abc import Iterable

import jiwer

from loadtest.runfile import WordErrors

_APOSTROPHES = {0x2018: "'", 0x2019: "'"}
_NOT_WORD = re.compile(r"[^\w']|_")
_OUTER_APOSTROPHE = re.compile(r"(?<!\w)'+|'+(?!\w)")


def normalise(text: str) -> str:
    """Return the words of a text, normalised, joined by single spaces."""
    text = unicodedata.normalize("NFKC", text).lower().translate(_APOSTROPHES)
    text = _NOT_WORD.sub(" ", text)
    text = _OUTER_APOSTROPHE.sub(" ", text)
    return " ".join(text.split())


def word_errors(pairs: Iterable[tuple[str, str]]) -> WordErrors | None:
    """Count word errors over ``(reference, transcript)`` pairs, pooled: edits / reference words.

    Every pair is aligned on its own; counts are summed. Returns None without any reference word,
    because a rate over nothing is unknown, not zero.
    """
    substitutions = deletions = insertions = words = 0
    for reference, transcript in pairs:
        wanted, got = normalise(reference), normalise(transcript)
        if not wanted:
            # jiwer refuses an empty reference; every word heard in it is an insertion.
            insertions += len(got.split())
            continue
        aligned = jiwer.process_words(wanted, got)
        substitutions += aligned.substitutions
        deletions += aligned.deletions
        insertions += aligned.insertions
        words += len(wanted.split())
    if words == 0:
        return None
    return WordErrors(
        wer=(substitutions + deletions + insertions) / words,
        substitutions=substitutions,
        deletions=deletions,
        insertions=insertions,
        reference_words=words,
    )
