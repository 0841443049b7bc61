"""Clips of synthetic speech with reference texts and the times of every word.

``NAME.wav`` is 16 kHz mono with 16 bits, ``NAME.txt`` what is said in it, and ``NAME.words.json``
holds ``{"words": [{"word": "the", "start": 0.12, "end": 0.25}, …]}`` in seconds. ``make.py`` made
them; see ``README.md``. Importing this module reads no file.
"""

from pathlib import Path
from typing import Final

__all__ = ["CLIPS_DIRECTORY"]

CLIPS_DIRECTORY: Final[Path] = Path(__file__).resolve().parent
"""Where the clips lie."""
