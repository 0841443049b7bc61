"""Many lines of several parts: named, marked, wrapped, followed; drawn only where they are seen."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar, Final

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from console.logs.filters import Filter
from console.logs.lines import Entry, Level

COLOURS: Final = 6
"""Parts beyond so many share colours; names tell them apart."""
_LEVELS: Final = {Level.PLAIN: " ", Level.WARNING: "▲", Level.ERROR: "✖"}
_MARGIN: Final = 3
"""Columns for the mark of the current line, and of its level."""
_NARROWEST: Final = 20
_BY_LEVEL: Final = {Level.WARNING: "warning", Level.ERROR: "error"}


class LogView(ScrollView, can_focus=True, inherit_bindings=False):
    """The lines that are let through, oldest first."""

    ALLOW_SELECT = True
    DEFAULT_CSS = """
    LogView { background: $surface; color: $text; overflow-x: auto; overflow-y: scroll;
        scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    LogView > .log--part-0 { color: $text-primary; }
    LogView > .log--part-1 { color: $text-success; }
    LogView > .log--part-2 { color: #9a6fd0; }
    LogView > .log--part-3 { color: #2aa198; }
    LogView > .log--part-4 { color: $foreground 70%; }
    LogView > .log--part-5 { color: $text-secondary; }
    LogView > .log--warning { color: $text-warning; }
    LogView > .log--error { color: $text-error; }
    LogView > .log--match { background: $warning; color: black; text-style: bold underline; }
    LogView > .log--current { background: $primary-muted; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"log--part-{number}" for number in range(COLOURS)),
        *("log--warning", "log--error", "log--match", "log--current"),
    }
    # Not those of a scroll view: left and right are the screen's, for the part before and the next.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", "Scroll up", show=False),
        Binding("down", "scroll_down", "Scroll down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("home", "scroll_home", "To the beginning", show=False),
        Binding("end", "scroll_end", "To the end", show=False),
        Binding("shift+left", "scroll_left", "Scroll left", show=False),
        Binding("shift+right", "scroll_right", "Scroll right", show=False),
    ]

    class Moved(Message):
        """Following began or ended."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.entries: list[Entry] = []
        self.following = True
        self.missed = 0
        """Lines that came while it was not following."""
        self.filter = Filter()
        self.current: Entry | None = None
        """The line that was jumped to."""
        self.wrapped = True
        self.empty = ""
        """Said where there is no line."""
        self._ends: list[int] = []
        """The number of rows up to and with each entry."""
        self._names: dict[str, int] = {}
        """The parts' colours, in the order in which they came; empty where no names are shown."""
        self._name_width = 0
        self._widest = 0
        self._text_width = _NARROWEST
        self._styles: dict[str, Style] = {}

    # --- what is shown --------------------------------------------------------------------------

    def show(self, entries: Sequence[Entry], names: Sequence[str]) -> None:
        """Show these lines in place of what was shown; ``names`` are the parts to name, if any."""
        top = self._top()
        self.entries = list(entries)
        self._names = {name: number for number, name in enumerate(names)}
        self._name_width = max(map(cell_len, names), default=0)
        self._lay_out()
        if self.following:
            self._to_end()
        elif top is not None and top in self.entries:
            self._scroll_row(self._first_row(self.entries.index(top)))

    def append(self, entries: Sequence[Entry]) -> None:
        """Add lines at the end."""
        if not entries:
            return
        known = len(self.entries)
        self.entries += entries
        self._measure(known)
        if self.following:
            self._to_end()
        else:
            self.missed += len(entries)
        self.refresh()

    def follow(self, following: bool) -> None:
        """Begin or end following."""
        self.following = following
        if following:
            self._to_end()
        self.post_message(self.Moved())

    def wrap(self, wrapped: bool) -> None:
        """Wrap long lines, or let them go on beyond the edge."""
        top = self._top()
        self.wrapped = wrapped
        self._lay_out()
        self.scroll_to(x=0, animate=False, immediate=True)
        if self.following:
            self._to_end()
        elif top is not None:
            self._scroll_row(self._first_row(self.entries.index(top)))

    def jump(self, step: int, wanted: Sequence[int]) -> bool:
        """Go to the next (1) or the one before (-1) of the entries at these places."""
        if not wanted:
            return False
        here = self._place(step)
        if step > 0:
            place = next((index for index in wanted if index > here), wanted[0])
        else:
            place = next((index for index in reversed(wanted) if index < here), wanted[-1])
        self.current = self.entries[place]
        row, height = self._first_row(place), self._room.height
        if not self.scroll_offset.y <= row < self.scroll_offset.y + height:
            self._scroll_row(max(0, row - height // 2))
        self.following = False
        self.post_message(self.Moved())
        self.refresh()
        return True

    def _place(self, step: int) -> int:
        """Return where to go on from: the current line, else what lies just outside the view."""
        if self.current is not None and self.current in self.entries:
            return self.entries.index(self.current)
        top = self.scroll_offset.y
        if step > 0:
            return bisect_right(self._ends, top) - 1
        return bisect_right(self._ends, top + self._room.height - 1) + 1

    def _top(self) -> Entry | None:
        place = bisect_right(self._ends, self.scroll_offset.y)
        return self.entries[place] if place < len(self.entries) else None

    def _first_row(self, place: int) -> int:
        return self._ends[place - 1] if place else 0

    @property
    def _room(self) -> Size:
        """What the scroll bars leave."""
        return self.scrollable_content_region.size

    # --- rows -----------------------------------------------------------------------------------

    @property
    def _prefix_width(self) -> int:
        return _MARGIN + (self._name_width + 1 if self._names else 0)

    def _lay_out(self) -> None:
        self._ends = []
        self._widest = 0
        # Kept: rows are drawn as they were counted, also while a new size has not been told.
        self._text_width = max(_NARROWEST, self._room.width - self._prefix_width)
        self._measure(0)
        self.refresh()

    def _measure(self, known: int) -> None:
        """Count the rows of the entries from this one on."""
        fresh = self.entries[known:]
        before = self._ends[-1] if self._ends else 0
        if self.wrapped:
            width = self._text_width
            heights = [_rows(entry.text, width) for entry in fresh]
            self._ends += [before + total for total in accumulate(heights)]
            self._widest = 0
        else:
            self._ends += range(before + 1, before + len(fresh) + 1)
            self._widest = max([self._widest, *(cell_len(entry.text) for entry in fresh)])
        rows = self._ends[-1] if self._ends else 0
        wide = 0 if self.wrapped else self._widest + self._prefix_width
        self.virtual_size = Size(wide, rows)

    def _to_end(self) -> None:
        self.missed = 0
        self.scroll_end(animate=False, immediate=True, x_axis=False)

    def _scroll_row(self, row: int) -> None:
        following = self.following
        self.scroll_to(y=row, animate=False, immediate=True)
        self.following = following

    def on_resize(self, event: Resize) -> None:
        """Wrap anew for another width; go on seeing the newest, or the same line on top."""
        del event
        top = self._top()
        self._lay_out()
        if self.following:
            self._to_end()
        elif top is not None:
            self._scroll_row(self._first_row(self.entries.index(top)))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Stop following once somebody scrolls up; go on at the end."""
        super().watch_scroll_y(old_value, new_value)
        at_end = round(new_value) >= self.max_scroll_y
        if at_end != self.following:
            self.following = at_end
            if at_end:
                self.missed = 0
            self.post_message(self.Moved())

    # --- drawing --------------------------------------------------------------------------------

    def notify_style_update(self) -> None:
        """Look colours up anew: the theme may be another."""
        super().notify_style_update()
        self._styles.clear()

    def _style(self, name: str) -> Style:
        if name not in self._styles:
            self._styles[name] = self.get_component_rich_style(f"log--{name}", partial=True)
        return self._styles[name]

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        scroll_x, scroll_y = self.scroll_offset
        row, width, base = scroll_y + y, self.size.width, self.rich_style
        place = bisect_right(self._ends, row)
        if not self.entries and not y:
            said = Segment(f" {self.empty}", base + Style(italic=True))
            return Strip([said]).crop_extend(0, width, base)
        if place >= len(self.entries):
            return Strip.blank(width, base)
        if self.entries[place] is self.current:
            base += self._style("current")
        strip = Strip(self._segments(place, row - self._first_row(place), row, base))
        return strip.crop_extend(scroll_x, scroll_x + width, base).apply_offsets(scroll_x, row)

    def _segments(self, place: int, part: int, row: int, base: Style) -> list[Segment]:
        entry = self.entries[place]
        current = entry is self.current
        level = base + self._style(_BY_LEVEL[entry.level]) if entry.level in _BY_LEVEL else base
        mark = ("▸" if current else " ") + _LEVELS[entry.level] if not part else "  "
        segments = [Segment(f"{mark} ", level)]
        if self._names:
            number = self._names.get(entry.source, 0) % COLOURS
            name = "" if part else entry.source
            gap = " " * (self._name_width + 1 - cell_len(name))
            segments.append(Segment(name + gap, base + self._style(f"part-{number}")))
        text, begin = _row(entry.text, part, self._text_width) if self.wrapped else (entry.text, 0)
        marks = [(a - begin, b - begin) for a, b in self.filter.marks(entry.text)]
        segments += _marked(text, marks, level, level + self._style("match"))
        return self._selected(segments, row)

    def _selected(self, segments: list[Segment], row: int) -> list[Segment]:
        selection = self.text_selection
        span = selection.get_span(row) if selection is not None else None
        if span is None:
            return segments
        style = self.screen.get_component_rich_style("screen--selection")
        text = "".join(segment.text for segment in segments)
        begin, end = cell_len(text[: span[0]]), cell_len(text if span[1] < 0 else text[: span[1]])
        before, chosen, after = Strip(segments).divide([begin, end, cell_len(text)])
        return [*before, *Segment.apply_style(list(chosen), post_style=style), *after]

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw what is selected."""
        del selection
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text, as it is on the screen."""
        rows = [
            "".join(segment.text for segment in self._segments(place, part, -1, Style.null()))
            for place in range(len(self.entries))
            for part in range(self._ends[place] - self._first_row(place))
        ]
        return selection.extract("\n".join(rows)), "\n"


def _rows(text: str, width: int) -> int:
    if text.isascii():
        return -(-len(text) // width) or 1
    return len(chop_cells(text, width)) or 1


def _row(text: str, part: int, width: int) -> tuple[str, int]:
    """Return one row of a wrapped line, and at which character it begins."""
    if text.isascii():
        return text[part * width : (part + 1) * width], part * width
    rows = chop_cells(text, width) or [""]
    return rows[part], sum(map(len, rows[:part]))


def _marked(
    text: str, marks: Sequence[tuple[int, int]], plain: Style, marked: Style
) -> list[Segment]:
    segments, done = [], 0
    for begin, end in marks:
        begin, end = max(begin, done), min(end, len(text))  # noqa: PLW2901
        if begin < end:
            segments += [Segment(text[done:begin], plain), Segment(text[begin:end], marked)]
            done = end
    segments.append(Segment(text[done:], plain))
    return [segment for segment in segments if segment.text]
