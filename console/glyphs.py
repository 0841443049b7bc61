"""Signs beyond ASCII and their twins, for terminals that can't show them.

Screens write whatever says it best; in ASCII mode one filter over everything that is drawn puts the
twin in its place, of the same width. New signs that deserve a better twin than ``?`` go into
``_TWINS``.
"""

import unicodedata
from typing import Final

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_PAIRS: Final = (
    ("●○◌◐◑◉◆◇▲△▼▽▸▶◂◀▾✖✗✘×✓✔⚠■□–—−\u2010", "*o.%%@*o!!vv>><<vxxxx++!#o----"),
    ("\u2011…·•∙←→↑↓⏎⌫↵⇧↔’\u2018“”„°µμ≤≥≈±Δ∅∞█", '-~.*.<>^v<<<^-\'\'"""ouu<>~+d08#'),
    ("▓▒░▁▂▃▄▅▆▇▔▀▏▎▍▌▐▕⭘☰❚⏸⏹⟳↻⎯━┃★", '#:._.-=+*%-"||||||o=|=#@@--|*'),
)
_TWINS: Final = {
    sign: twin for signs, twins in _PAIRS for sign, twin in zip(signs, twins, strict=True)
} | {"\xa0": " ", "🔎": "/ "}
_KEYS: Final = {
    "⏎": "enter",
    "⌫": "backspace",
    "↑": "up",
    "↓": "down",
    "←": "left",
    "→": "right",
}


def _twin(sign: str) -> str:
    """Return what stands in for one character; as wide as that."""
    width = cell_len(sign)
    code = ord(sign)
    if sign in _TWINS:
        twin = _TWINS[sign]
    elif 0x2500 <= code < 0x2580:
        twin = _line(unicodedata.name(sign, ""))
    elif 0x2580 <= code < 0x25A0 or 0x1FB00 <= code < 0x1FBFF:
        twin = "#"
    elif 0x2800 <= code < 0x2900:
        twin = _dots(code - 0x2800)
    else:
        plain = unicodedata.normalize("NFKD", sign)
        twin = "".join(one for one in plain if " " <= one <= "~")
    return twin if len(twin) == width else "?" * width


def _line(name: str) -> str:
    """Return the twin of a piece of a frame, by its Unicode name."""
    if "DIAGONAL" in name:
        return "X" if "CROSS" in name else "/" if "UPPER RIGHT" in name else "\\"
    across = any(word in name for word in ("HORIZONTAL", "LEFT", "RIGHT"))
    along = any(word in name for word in ("VERTICAL", "UP", "DOWN"))
    return "+" if across and along else "-" if across else "|"


def _dots(bits: int) -> str:
    """Return the twin of a Braille pattern: dense, or where its dots are."""
    if not bits:
        return " "
    if bits.bit_count() >= 6:
        return "#"
    upper, lower = bits & 0b00011011, bits & 0b11100100
    return ":" if upper and lower else "'" if upper else "."


class _Table(dict[int, str]):
    """What ``str.translate`` asks; worked out once a sign."""

    def __missing__(self, code: int) -> str:
        self[code] = chr(code) if code < 0x7F else _twin(chr(code))
        return self[code]


_TABLE: Final = _Table()


def to_ascii(text: str) -> str:
    """Return a text of the same width in cells without a character beyond ASCII."""
    if text.isascii():
        return text.replace("\x7f", " ")
    width, twin = cell_len(text), text.translate(_TABLE)
    # Several characters may make up one sign.
    return twin[:width].ljust(width)


def key_in_words(display: str) -> str:
    """Return how a key is written where arrows can't be shown."""
    return _KEYS.get(display) or to_ascii(display)


class AsciiFilter(LineFilter):
    """Puts twins in the place of everything beyond ASCII, wherever on the screen it is."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return a line of segments in ASCII."""
        del background
        return [
            Segment(to_ascii(segment.text), segment.style, segment.control) for segment in segments
        ]
