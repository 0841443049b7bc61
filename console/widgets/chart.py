"""A live chart: drawn only when seen and only when its data changed, row by row."""

from collections.abc import Sequence
from functools import cache
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.style import Style as ContentStyle
from textual.widget import Widget

from console.rendering.canvas import Run
from console.rendering.colours import line_colours
from console.rendering.drawing import Drawing, Line
from console.rendering.plot import GAP, Picture, plot

__all__ = ["Chart", "Drawing", "Line"]

_FAR = 10
"""Columns that the cursor moves by with the shift key held."""


class Chart(Widget, can_focus=True):
    """A titled chart over time, or over client counts, with a cursor that reads values off."""

    ALLOW_MAXIMIZE = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--axis",
        "chart--grid",
        "chart--limit",
        "chart--cursor",
    }
    DEFAULT_CSS = """
    Chart {
        height: 1fr; border: round $surface-lighten-2; border-title-color: $text;
        border-subtitle-color: $text-muted; padding: 0;
    }
    Chart:focus { border: round $primary; }
    Chart.-plain { border: ascii $surface-lighten-2; }
    Chart.-plain:focus { border: ascii $primary; }
    Chart > .chart--axis { color: $text-muted; }
    Chart > .chart--grid { color: $foreground 25%; }
    Chart > .chart--limit { color: $text-error; }
    Chart > .chart--cursor { color: $text; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "left",
            "move(-1)",
            "Read values",
            key_display="←/→",
            id="chart.left",
            tooltip="Move the cursor; with shift by ten columns",
        ),
        Binding("right", "move(1)", "Cursor right", id="chart.right", show=False),
        Binding("shift+left", f"move(-{_FAR})", "Far left", id="chart.far_left", show=False),
        Binding("shift+right", f"move({_FAR})", "Far right", id="chart.far_right", show=False),
        Binding("escape", "end_cursor", "End the cursor", id="chart.end", show=False),
        Binding(
            "m,enter",
            "maximise",
            "Maximise",
            key_display="m",
            id="chart.maximise",
            tooltip="This chart alone, and back",
        ),
    ]

    def __init__(self, title: str, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.border_title = title
        self._drawing = Drawing(lines=(), empty="")
        self._new = False
        self._drawn_for = Size()
        """Size of the plot when it was drawn last: how many points are drawn depends on it."""
        self._picture: Picture | None = None
        self._strips: dict[int, Strip] = {}
        self._styles: dict[str, Style] = {}
        self._legend: Sequence[Run] = ()
        self._colours: tuple[str, ...] = ()
        self._cursor: float | None = None
        """Where the cursor stands: a moment stays where it is while time goes on."""
        self._hovered: float | None = None
        self._plain = False

    def on_mount(self) -> None:
        """See what the terminal can show; an app that doesn't say has Unicode."""
        self._plain = getattr(self.app, "ascii_only", False)
        self.set_class(self._plain, "-plain")

    def show(self, drawing: Drawing) -> None:
        """Take in new data; it is drawn when ``redraw`` is called."""
        self._drawing = drawing
        self._new = True

    @property
    def picture(self) -> Picture | None:
        """What is drawn; None where words stand in its place."""
        return self._picture

    @property
    def stale(self) -> bool:
        """Whether what is drawn is not what was last shown, for the size that there is."""
        return self._new or self.size != self._drawn_for

    def redraw(self) -> None:
        """Draw what was last shown; only rows that are not as before go to the terminal."""
        self._new = False
        self._drawn_for = size = self.size
        before = self._picture
        drawing = self._drawing
        if not drawing.shown or not size:
            self._picture, self._legend = None, ()
            self.border_subtitle = ""
            self.refresh()
            return
        picture = plot(drawing, size.width, size.height, plain=self._plain, cursor=self._where())
        self._picture = picture
        colours = self._choose_colours()
        if before is None or len(before.rows) != len(picture.rows) or colours != self._colours:
            self._colours = colours
            self._legend = ()
            self._styles.clear()
            self._strips.clear()
            self.refresh()
        else:
            self._refresh_changed(before, picture)
        if picture.legend != self._legend:
            self._legend = picture.legend
            self.border_subtitle = Content(GAP).join(
                Content.styled(words, self._content_style(role)) for words, role in picture.legend
            )

    def _refresh_changed(self, before: Picture, picture: Picture) -> None:
        changed = []
        for number, (old, new) in enumerate(zip(before.rows, picture.rows, strict=True)):
            if old != new:
                self._strips.pop(number, None)
                changed.append(Region(0, number, self.size.width, 1))
        if changed:
            self.refresh(*changed)

    # --- rows with colours ----------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Return a row of the plot."""
        picture = self._picture
        if picture is None:
            return self._empty_line(y)
        if y >= len(picture.rows):
            return Strip.blank(self.size.width, self._style(""))
        strip = self._strips.get(y)
        if strip is None:
            strip = Strip([Segment(text, self._style(role)) for text, role in picture.rows[y]])
            self._strips[y] = strip
        return strip

    def _empty_line(self, y: int) -> Strip:
        """Draw the words in place of a chart without data, in the middle."""
        width, height = self.size
        words = self._drawing.empty
        if self._plain:
            words = words.encode("ascii", "replace").decode()
        lines = Content(words).wrap(max(1, width - 2)) if words else []
        number = y - (height - len(lines)) // 2
        if not 0 <= number < len(lines):
            return Strip.blank(width, self._style(""))
        text = lines[number].plain.strip()
        return Strip([Segment(text.center(width), self._style("axis"))])

    def _choose_colours(self) -> tuple[str, ...]:
        app = self.app
        return line_colours(
            dark=app.current_theme.dark,
            sixteen=app.console.color_system == "standard",
            named=app.native_ansi_color,
        )

    def _style(self, role: str) -> Style:
        style = self._styles.get(role)
        if style is None:
            name = f"chart--{role}"
            if role.startswith("line") and self._colours:
                colour = self._colours[int(role[4:]) % len(self._colours)]
                style = self.rich_style + _line_style(colour)
            elif name in self.COMPONENT_CLASSES:
                style = self.get_component_rich_style(name)
            else:
                style = self.rich_style
            self._styles[role] = style
        return style

    def _content_style(self, role: str) -> ContentStyle:
        # Without its background: the border has its own.
        style = self._style(role)
        return ContentStyle.from_rich_style(Style(color=style.color, bold=style.bold))

    def notify_style_update(self) -> None:
        """Take the colours of another theme."""
        super().notify_style_update()
        self._styles.clear()
        self._strips.clear()
        if self._picture is not None and self._choose_colours() != self._colours:
            # The legend has colours, too: it is drawn anew with the rest.
            self._new = True

    # --- the cursor -----------------------------------------------------------------------------

    @property
    def _origin(self) -> float:
        return self._drawing.now if self._drawing.live else 0.0

    def _where(self) -> float | None:
        """Return where the cursor is to be drawn; ends it where time has left it behind."""
        place = self._hovered if self._hovered is not None else self._cursor
        return None if place is None else place - self._origin

    @property
    def has_cursor(self) -> bool:
        """Whether values are being read off."""
        return self._cursor is not None or self._hovered is not None

    def action_move(self, columns: int) -> None:
        """Move the cursor; the first time it begins at the newest values."""
        picture = self._picture
        if picture is None:
            return
        step = (picture.right - picture.left) / max(1, picture.columns - 1)
        if self._cursor is None:
            place = picture.right
        else:
            place = self._cursor - self._origin + columns * step
        place = min(picture.right, max(picture.left, place))
        self._cursor = place + self._origin
        self._hovered = None
        self.redraw()

    def action_end_cursor(self) -> None:
        """Show the newest values again."""
        if not self.has_cursor:
            raise SkipAction
        self._cursor = self._hovered = None
        self.redraw()

    def action_maximise(self) -> None:
        """Show this chart alone, or all again."""
        if self.screen.maximized is self:
            self.screen.minimize()
        else:
            self.screen.maximize(self, container=False)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Read off the values under the mouse."""
        picture = self._picture
        if picture is None:
            return
        column = int(event.x) - self.gutter.left
        inside = picture.first <= column < picture.first + picture.columns
        place = picture.value_at(column) + self._origin if inside else None
        if place != self._hovered:
            self._hovered = place
            # Once for all the moves that are waiting.
            self._new = True
            self.call_after_refresh(self._redraw_if_new)

    def on_leave(self) -> None:
        """Show the newest values again."""
        if self._hovered is not None:
            self._hovered = None
            self.redraw()

    def _redraw_if_new(self) -> None:
        if self._new:
            self.redraw()


@cache
def _line_style(colour: str) -> Style:
    if colour.startswith("#"):
        return Style(color=Color.parse(colour).rich_color)
    return Style(color=colour)
