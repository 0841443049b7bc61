"""Which charts the dashboard shows."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Button, Label, OptionList

from console.rendering.live_charts import BY_NAME, KINDS, Kind


class ChartList(OptionList):
    """The charts on offer, with boxes; those above stand first on the dashboard, too."""

    DEFAULT_CSS = """
    ChartList, ChartList:focus {
        height: auto; max-height: 10; border: none; padding: 0; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", "Choose", id="charts.toggle"),
        Binding("enter", "done", "Show", id="charts.done"),
        Binding("shift+up", "shift(-1)", "Up", id="charts.up"),
        Binding("shift+down", "shift(1)", "Down", id="charts.down"),
    ]

    class Changed(Message):
        """Something was chosen, or no longer."""

    class Done(Message):
        """The choice is made."""

    def __init__(self, chosen: Sequence[Kind]) -> None:
        others = [kind.name for kind in KINDS if kind.name not in chosen]
        self._names = [*chosen, *others]
        self._boxes = set(chosen)
        super().__init__(*self._prompts(), markup=False)
        self.highlighted = 0

    @property
    def chosen(self) -> list[Kind]:
        """The charts whose boxes are ticked, in order."""
        return [name for name in self._names if name in self._boxes]

    def _prompts(self) -> list[Text]:
        # Words rather than colours: which boxes are ticked is to be seen without colour, too.
        return [
            Text(f" [{'x' if name in self._boxes else ' '}] {BY_NAME[name].label}")
            for name in self._names
        ]

    def _write(self, highlighted: int) -> None:
        for number, prompt in enumerate(self._prompts()):
            self.replace_option_prompt_at_index(number, prompt)
        self.highlighted = highlighted
        self.post_message(self.Changed())

    def action_tick(self) -> None:
        """Tick the highlighted box, or no longer."""
        if self.highlighted is not None:
            self._boxes ^= {self._names[self.highlighted]}
            self._write(self.highlighted)

    def action_done(self) -> None:
        """Take the choice."""
        self.post_message(self.Done())

    def action_shift(self, by: int) -> None:
        """Move the highlighted chart."""
        place = self.highlighted
        if place is None or not 0 <= place + by < len(self._names):
            return
        names = self._names
        names[place], names[place + by] = names[place + by], names[place]
        self._write(place + by)


class ChartDialog(ModalScreen[list[Kind] | None]):
    """A list with boxes; Escape changes nothing."""

    DEFAULT_CSS = """
    ChartDialog { align: center middle; }
    ChartDialog .hint { color: $text-muted; width: 1fr; margin-top: 1; }
    """
    HELP = """
## Charts

Space chooses a chart or leaves it away, Shift with up and down moves it, Enter shows what is
chosen.
"""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, chosen: Sequence[Kind]) -> None:
        super().__init__()
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        """Lay out the list, the chosen ones first."""
        with Vertical(classes="dialog"):
            yield Label("Charts on the dashboard", classes="question")
            yield ChartList(self._chosen)
            yield Label("Space chooses. Shift with ↑ or ↓ changes the order.", classes="hint")
            with Horizontal(classes="answers"):
                yield Button("Show (enter)", id="show", variant="primary")
                yield Button("Cancel (esc)", id="cancel")

    @on(ChartList.Changed)
    def _check(self) -> None:
        self.query_one("#show", Button).disabled = not self.query_one(ChartList).chosen

    @on(OptionList.OptionSelected)
    def _clicked(self) -> None:
        self.query_one(ChartList).action_tick()

    @on(ChartList.Done)
    @on(Button.Pressed, "#show")
    def _show(self) -> None:
        chosen = self.query_one(ChartList).chosen
        if chosen:
            self.dismiss(chosen)

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)
