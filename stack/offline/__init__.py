"""The offline model: a tiny Whisper for demonstrations, tests and load.

It hears a closed vocabulary of 158 English words spoken by a synthesiser, and nothing else; see
``MODEL_CARD.md`` beside this file. It is loaded by the ordinary ``faster_whisper.WhisperModel``:

    WhisperModel(str(MODEL_DIRECTORY), device="cpu", compute_type="int8")

Importing this module reads no file and imports nothing heavy.
"""

from pathlib import Path
from typing import Final

from stack.offline.recipe.sentences import VOCABULARY

__all__ = ["MODEL_DIRECTORY", "VOCABULARY"]

MODEL_DIRECTORY: Final[Path] = Path(__file__).resolve().parent / "model"
"""The CTranslate2 model with its tokenizer, as ``faster_whisper.WhisperModel`` takes it."""
