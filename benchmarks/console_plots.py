"""One chart of eight lines, drawn by us and by plotext, in CPU time."""

import math
import time
from collections.abc import Callable
from typing import Final

from rich.text import Text

from console.rendering.drawing import Drawing, Line
from console.rendering.plot import plot

LINES: Final = 8
SECONDS: Final = 300
SIZES: Final = ((66, 12), (120, 20), (246, 64))
"""Columns and rows: one of four charts at 140x45 and at 250x70, and one alone at 250x70."""
ATTEMPTS: Final = 7


def compare() -> list[tuple[tuple[int, int], float, float]]:
    """Return for each size the median CPU seconds of ours and of plotext."""
    return [(size, _median(_ours(size)), _median(_plotext(size))) for size in SIZES]


def table() -> str:
    """Return the comparison in Markdown."""
    lines = ["| chart | whisperctl | plotext | ratio |", "| --- | ---: | ---: | ---: |"]
    for (width, height), ours, theirs in compare():
        lines.append(
            f"| {width}x{height} | {1000 * ours:.1f} | {1000 * theirs:.1f} | {theirs / ours:.1f} |"
        )
    return "\n".join(lines)


def _series(columns: int) -> tuple[list[float], list[list[float]]]:
    """Return at most two points a column: more of them plotext pays for dearly."""
    count = min(SECONDS, 2 * columns)
    times = [-SECONDS * part / count for part in range(count, -1, -1)]
    return times, [
        [2 + 0.4 * line + math.sin(time / 9 + line) for time in times] for line in range(LINES)
    ]


def _ours(size: tuple[int, int]) -> Callable[[], object]:
    times, values = _series(size[0])
    lines = [Line(f"replica-{number}", (times, each)) for number, each in enumerate(values, 1)]
    return lambda: plot(Drawing(lines, "", window=SECONDS), *size)


def _plotext(size: tuple[int, int]) -> Callable[[], object]:
    from textual_plotext.plot import Plot  # noqa: PLC0415 - of all that is here only this needs it

    times, values = _series(size[0])
    figure = Plot()

    def draw() -> Text:
        figure.clear_figure()
        for number, each in enumerate(values):
            colour = ("cyan", "red", "green", "blue")[number % 4]
            figure.plot(times, each, marker="braille", color=colour)
        figure.plotsize(*size)
        # As its widget does.
        figure._set_size(*size)
        return Text.from_ansi(figure.build())

    return draw


def _median(draw: Callable[[], object]) -> float:
    took = []
    for _ in range(ATTEMPTS):
        at = time.thread_time()
        draw()
        took.append(time.thread_time() - at)
    return sorted(took)[ATTEMPTS // 2]
