"""What plots show, in words, for those who can't see them. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

from loadtest.figures import Unit, format_figure
from loadtest.report.scale import Point

_ALL: Final = 8
"""So many values are read out one by one; of more the first, last, lowest and highest."""
_LINES: Final = 12


def described(
    lines: Sequence[tuple[str, Sequence[Point]]], unit: Unit, place: Callable[[float], str]
) -> str:
    """Say what lines show; ``place`` names where a value stands."""
    sentences = [f"{name}: {_values(points, unit, place)}." for name, points in lines[:_LINES]]
    if len(lines) > _LINES:
        sentences.append(f"And {len(lines) - _LINES} more.")
    return " ".join(sentences)


def _values(points: Sequence[Point], unit: Unit, place: Callable[[float], str]) -> str:
    found = [(where, value) for where, value in points if value is not None]

    def said(point: tuple[float, float]) -> str:
        return f"{format_figure(point[1], unit)} at {place(point[0])}"

    if not found:
        return "not known"
    if len(found) <= _ALL:
        return ", ".join(said(point) for point in found)
    low = min(found, key=lambda point: point[1])
    high = max(found, key=lambda point: point[1])
    return (
        f"first {said(found[0])}, last {said(found[-1])}, lowest {said(low)}, highest {said(high)}"
    )


def at_clients(count: float) -> str:
    """Name a client count."""
    return f"{count:.0f}"


def at_second(time: float) -> str:
    """Name a second of a step."""
    return f"{time:.0f} s"
