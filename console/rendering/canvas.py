"""Lines drawn with the dots of braille characters, or with ASCII. Pure.

Where several lines lie in one cell their dots are joined, and the cells take turns in whose colour
they have: what lies under a line is seen. A sign of each line stands on it every few cells, at
other columns than the signs of the others.
"""

from collections.abc import Sequence

from console.rendering.drawing import PLAIN_MARKERS, marker_of

Run = tuple[str, str]
"""Characters in a row that have one role, such as ``line0``, ``axis`` or ``limit``."""

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille character by column, then by row from the top."""


class Canvas:
    """A field of cells that lines are drawn into; row 0 is the lowest."""

    def __init__(self, columns: int, rows: int, *, plain: bool) -> None:
        self.columns = columns
        self.rows = rows
        self.plain = plain
        """ASCII only: one dot a cell."""
        self.wide = columns if plain else 2 * columns
        self.high = rows if plain else 4 * rows
        self._bits = [[0] * columns for _ in range(rows)]
        self._owners = [[0] * columns for _ in range(rows)]
        self._signs: list[dict[int, Run]] = [{} for _ in range(rows)]
        """What stands in a cell instead of dots."""
        self._under: list[dict[int, Run]] = [{} for _ in range(rows)]
        """What stands in a cell where no line is."""

    def line(self, number: int, xs: Sequence[float], ys: Sequence[float]) -> dict[int, int]:
        """Draw a line through points given as fractions of the field; NaN ends a stroke.

        Returns the row of the line in each column of cells.
        """
        spans = self._spans(xs, ys)
        bits, owners, owner = self._bits, self._owners, 1 << number
        middle: dict[int, int] = {}
        for x, (low, high) in spans.items():
            if self.plain:
                for row in range(low, high + 1):
                    owners[row][x] |= owner
                middle[x] = high
                continue
            column, dots = x >> 1, _DOTS[x & 1]
            for y in range(low, high + 1):
                row = y >> 2
                bits[row][column] |= dots[3 - (y & 3)]
                owners[row][column] |= owner
            middle[column] = (low + high) >> 3
        return middle

    def _spans(self, xs: Sequence[float], ys: Sequence[float]) -> dict[int, tuple[int, int]]:
        """Return the lowest and highest dot of a line in each column of dots."""
        lows: dict[int, int] = {}
        highs: dict[int, int] = {}
        last_x, last_y = self.wide - 1, self.high - 1
        x0 = y0 = -1
        for part, level in zip(xs, ys, strict=True):
            if level != level or not 0.0 <= part <= 1.0:  # noqa: PLR0124 - not a number
                x0 = -1
                continue
            x = round(part * last_x)
            y = min(last_y, max(0, round(level * last_y)))
            start = y if x0 < 0 else y0
            if 0 <= x0 < x:
                slope = (y - y0) / (x - x0)
                for column in range(x0, x):
                    end = round(y0 + slope * (column + 0.5 - x0))
                    low, high = (start, end) if start <= end else (end, start)
                    if low < lows.get(column, self.high):
                        lows[column] = low
                    if high > highs.get(column, -1):
                        highs[column] = high
                    start = end
            low, high = (start, y) if start <= y else (y, start)
            if low < lows.get(x, self.high):
                lows[x] = low
            if high > highs.get(x, -1):
                highs[x] = high
            x0, y0 = x, y
        return {x: (low, highs[x]) for x, low in lows.items()}

    def sign(self, column: int, row: int, text: str, role: str) -> None:
        """Put a character over whatever is in a cell."""
        self._signs[row][column] = (text, role)

    def has_sign(self, column: int, row: int) -> bool:
        """Whether a character stands over the dots of a cell."""
        return column in self._signs[row]

    def under(self, column: int, row: int, text: str, role: str) -> None:
        """Put a character into a cell where no line is drawn."""
        self._under[row][column] = (text, role)

    def row_of(self, level: float) -> int:
        """Return the row of cells of a level given as a fraction of the field."""
        dot = min(self.high - 1, max(0, round(level * (self.high - 1))))
        return dot if self.plain else dot >> 2

    def runs(self, row: int) -> list[Run]:
        """Return a row of cells, neighbours of one role together."""
        bits, owners = self._bits[row], self._owners[row]
        signs, under = self._signs[row], self._under[row]
        runs: list[Run] = []
        text: list[str] = []
        role = ""
        for column in range(self.columns):
            if column in signs:
                one, its = signs[column]
            elif owners[column]:
                number = _turn(owners[column], column)
                its = f"line{number}"
                one = chr(0x2800 + bits[column])
                if self.plain:
                    one = marker_of(number, PLAIN_MARKERS)
            elif column in under:
                one, its = under[column]
            else:
                one, its = " ", role  # nothing has no colour: it continues what is beside it
            if its != role and text:
                runs.append(("".join(text), role))
                text = []
            role = its
            text.append(one)
        runs.append(("".join(text), role))
        return runs


def _turn(owners: int, column: int) -> int:
    """Return whose turn a cell is that several lines share."""
    if not owners & (owners - 1):
        return owners.bit_length() - 1
    numbers = [number for number in range(owners.bit_length()) if owners >> number & 1]
    return numbers[column % len(numbers)]
