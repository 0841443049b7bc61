"""Colours of lines that eyes of any kind can tell apart. Pure.

In the order of Okabe and Ito (jfly.uni-koeln.de/color), sky blue or blue first: two lines that are
neighbours differ in lightness, too. Never the only difference: each line has a sign of its own.
"""

from typing import Final

DARK: Final = (
    "#56b4e9",
    "#e69f00",
    "#2bc492",
    "#f0e442",
    "#cc79a7",
    "#f0703a",
    "#8a9cff",
    "#e9ecef",
)
"""On a dark background."""
LIGHT: Final = (
    "#0072b2",
    "#b85c00",
    "#00785a",
    "#a8568a",
    "#8a6d00",
    "#c22f2f",
    "#4b50c8",
    "#16191d",
)
"""On a light background."""
SIXTEEN_DARK: Final = (
    "#55ffff",
    "#ffff55",
    "#55ff55",
    "#ff55ff",
    "#ffffff",
    "#ff5555",
    "#5555ff",
    "#aaaaaa",
)
SIXTEEN_LIGHT: Final = (
    "#0000aa",
    "#aa5500",
    "#00aa00",
    "#aa00aa",
    "#000000",
    "#aa0000",
    "#00aaaa",
    "#555555",
)
"""For terminals of 16 colours: exactly those that such a terminal has, so that none is mapped to
the colour of another line."""
NAMED: Final = (
    "cyan",
    "yellow",
    "green",
    "magenta",
    "blue",
    "red",
    "bright_black",
    "default",
)
"""For a theme that leaves the colours to the terminal, whose background is not known."""


def line_colours(*, dark: bool, sixteen: bool, named: bool) -> tuple[str, ...]:
    """Return the lines' colours, in order, for a background and a terminal."""
    if named:
        return NAMED
    if sixteen:
        return SIXTEEN_DARK if dark else SIXTEEN_LIGHT
    return DARK if dark else LIGHT
