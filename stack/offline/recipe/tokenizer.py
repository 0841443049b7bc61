"""The tokenizer: every word of the vocabulary is one token, and any text can still be written.

It is a byte-level BPE whose merges form a tree of prefixes, so that " train" is built letter by
letter into one token, with Whisper's special and timestamp tokens after the words. Pure.
"""

import json
from pathlib import Path
from typing import Any, Final

from stack.offline.recipe.sentences import CAPITALISED, VOCABULARY, Sentence

SPACE: Final = "\u0120"
"""How byte-level BPE writes the byte 32."""

SPECIAL: Final = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
TIMESTAMPS: Final = tuple(f"<|{0.02 * number:.2f}|>" for number in range(1501))
TIMESTAMPS_A_SECOND: Final = 50


def byte_characters() -> list[str]:
    """Give GPT-2's 256 printable stand-ins for bytes, in the order of its token numbers."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(others)]


def build() -> tuple[list[str], list[tuple[str, str]]]:
    """Give the tokens before the special ones, and the merges that make them."""
    tokens, merges = byte_characters(), []
    known = set(tokens)
    # faster-whisper suppresses the first token of " -" and " '": were they not tokens of their
    # own, that would be the bare space, and with it every word.
    capitals = [word for word in CAPITALISED if word not in VOCABULARY]
    for word in (*VOCABULARY, *capitals, "-", "'"):
        prefix = SPACE
        for letter in word:
            if prefix + letter not in known:
                merges.append((prefix, letter))
                known.add(prefix + letter)
                tokens.append(prefix + letter)
            prefix += letter
    return tokens, merges


_TOKENS, _MERGES = build()
NUMBERS: Final[dict[str, int]] = {
    token: number for number, token in enumerate((*_TOKENS, *SPECIAL, *TIMESTAMPS))
}
SIZE: Final = len(NUMBERS)
END: Final = NUMBERS["<|endoftext|>"]
START: Final = NUMBERS["<|startoftranscript|>"]
PREVIOUS: Final = NUMBERS["<|startofprev|>"]
NO_SPEECH: Final = NUMBERS["<|nospeech|>"]
NO_TIMESTAMPS: Final = NUMBERS["<|notimestamps|>"]
FIRST_TIMESTAMP: Final = NO_TIMESTAMPS + 1
BARE_SPACE: Final = NUMBERS[SPACE]


def word_number(word: str, *, opens: bool) -> int:
    """Give the token of a word; with a capital where it opens a sentence."""
    capital = NUMBERS.get(SPACE + word.capitalize())
    return capital if opens and capital is not None else NUMBERS[SPACE + word]


def sentence_numbers(words: list[str], mark: str, *, opens: bool = True) -> list[int]:
    """Give the tokens of (a part of) a sentence; an empty mark leaves it open."""
    numbers = [word_number(word, opens=opens and not at) for at, word in enumerate(words)]
    return numbers + ([NUMBERS[mark]] if mark else [])


def encode(sentence: Sentence) -> list[int]:
    """Give the tokens of a whole sentence."""
    return sentence_numbers(list(sentence.words), sentence.mark)


def timestamp(seconds: float) -> int:
    """Give the token of a time, to a tenth of a second: finer ones are not worth learning."""
    tenths = max(0, round(seconds * 10))
    return FIRST_TIMESTAMP + min(len(TIMESTAMPS) - 1, tenths * TIMESTAMPS_A_SECOND // 10)


def description() -> dict[str, Any]:
    """Give the content of ``tokenizer.json``, as the tokenizers library reads it."""
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    added = [
        {
            "id": NUMBERS[token],
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": token in SPECIAL,
        }
        for token in (*SPECIAL, *TIMESTAMPS)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level | {"add_prefix_space": False},
        "post_processor": None,
        "decoder": byte_level | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: number for number, token in enumerate(_TOKENS)},
            "merges": [list(merge) for merge in _MERGES],
        },
    }


def write(path: Path) -> None:
    """Write ``tokenizer.json``."""
    path.write_text(json.dumps(description(), ensure_ascii=False), encoding="utf-8")
