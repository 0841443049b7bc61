"""HTML and SVG from values: whatever isn't markup already is escaped. Pure."""

import html
import re
from typing import Final

_VOID: Final = frozenset({"meta", "br"})
_UNPRINTABLE: Final = re.compile(
    # Controls but tab and newline, lone surrogates, what turns the direction of writing around,
    # and what no XML document may hold.
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


class Markup(str):
    """Text that is markup already: made by this module, never from what a file holds."""

    __slots__ = ()


def text(value: str) -> Markup:
    """Make text mean itself; what can't be shown or would disarrange the rest becomes �."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(_UNPRINTABLE.sub("�", value), quote=True))


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Markup:
    """Return an element with its children; those that are no Markup are escaped.

    ``class_`` names the attribute ``class``, other underscores stand for hyphens. Attributes of
    None are left out.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            shown = text(value) if isinstance(value, str) else number(value)
            parts.append(f'{key.rstrip("_").replace("_", "-")}="{shown}"')
    opening = f"<{' '.join(parts)}>"
    if name in _VOID:
        return Markup(opening)
    return Markup(f"{opening}{''.join(text(child) for child in children)}</{name}>")


def joined(*parts: str) -> Markup:
    """Put parts one behind the other; those that are no Markup are escaped."""
    return Markup("".join(text(part) for part in parts))


def number(value: float) -> str:
    """Write a coordinate: a tenth of a pixel is enough."""
    return f"{value:z.1f}".removesuffix(".0")
