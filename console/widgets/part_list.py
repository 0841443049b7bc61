"""The parts whose lines can be read, with how much trouble each has written."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

ALL = "all parts"


@dataclass(frozen=True, slots=True)
class Part:
    """One line of the list; the first, with an empty name, stands for all parts."""

    name: str
    running: bool
    troubles: int = 0
    """Warnings and errors that it has written."""

    @property
    def content(self) -> Content:
        """The line."""
        trouble = f" ▲ {self.troubles:,}" if self.troubles else ""
        if not self.name:
            return Content(f"  {ALL}{trouble}")
        glyph, style = ("●", "$text-success") if self.running else ("○", "$text-muted")
        return Content.assemble(
            (f"{glyph} ", style),
            (self.name, "" if self.running else style),
            (trouble, "$text-warning"),
        )


class PartList(OptionList):
    """Choose one part, or all."""

    HELP = """
## Parts

Each part of the stack writes a log. ● is running, ○ has ended: what it wrote stays. ▲ counts the
warnings and errors since the console looks. Moving the cursor shows the part's lines.
"""
    DEFAULT_CSS = """
    PartList { width: 26; height: 1fr; border: round $surface-lighten-2; padding: 0;
        background: $background; border-title-color: $text; scrollbar-size-vertical: 1; }
    PartList:focus { border: round $primary; }
    """

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, markup=False)
        self._parts: tuple[Part, ...] = ()

    def show(self, parts: Sequence[Part], chosen: str) -> None:
        """Show these parts with the cursor on the chosen one."""
        if tuple(parts) != self._parts:
            before, self._parts = self._parts, tuple(parts)
            if [part.name for part in before] == [part.name for part in parts]:
                for index, (old, new) in enumerate(zip(before, parts, strict=True)):
                    if old != new:
                        self.replace_option_prompt_at_index(index, new.content)
            else:
                self.set_options(Option(part.content) for part in parts)
        place = next((index for index, part in enumerate(parts) if part.name == chosen), 0)
        if self.highlighted != place:
            self.highlighted = place

    def name_at(self, index: int) -> str:
        """Return the part on this line; ``""`` for all."""
        return self._parts[index].name
