"""The voices: which are trained on, and which were put aside before anything was evaluated.

A voice is an accent of espeak-ng with one of its variants, for example ``en-us+f3``. Whispering,
croaking and robotic variants are in neither list, nor are a few that hardly resemble speech.
"""

from typing import Final

ACCENTS: Final = (
    "en-us",
    "en",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-029",
    "en-us-nyc",
    "en-gb-x-gbcwmd",
)

_VARIANTS: Final = (
    " m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 Andy Annie Mario Michael Alex Alicia Denis Lee "
    "edward linda steph rob paul belinda adam antonio benjamin boris david Diogo ed Hugo "
    "john marcelo michel miguel pablo pedro victor steph2 edward2 max norbert Nguyen"
)
VARIANTS: Final[tuple[str, ...]] = tuple(_VARIANTS.split(" "))
"""Variants in training; the empty one is the accent's own voice."""

UNSEEN_VOICES: Final = (
    "en-us+Mike",
    "en-gb-x-rp+Gene",
    "en-029+Andrea",
    "en-gb-scotland+robert",
)
"""Voices whose variant no training has heard, in any accent."""

UNSEEN_ACCENT_VOICES: Final = ("en-gb-x-gbclan", "en-gb-x-gbclan+f2")
"""Voices of an accent that no training has heard."""

VOICES: Final[tuple[str, ...]] = tuple(
    f"{accent}+{variant}" if variant else accent for accent in ACCENTS for variant in VARIANTS
)
"""Every voice in training."""
