"""Questions about saved results: their names, the trash, in what form to export."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from console.screens.dialogs import Choice, Question
from loadtest.keeping import MAX_LABEL, MAX_NOTE, TRASH


@dataclass(frozen=True, slots=True)
class Words:
    """What was typed."""

    label: str
    note: str | None
    """None where several runs are named: each keeps its note."""


class WordsDialog(ModalScreen[Words | None]):
    """Label and note of a run, or the label of several."""

    HELP = """
## Label and note

What you want to find a run by, and what you want to remember of it. Nothing measured is changed.
"""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]
    DEFAULT_CSS = """
    WordsDialog { align: center middle; }
    WordsDialog Input { border: none; height: 1; margin-bottom: 1; background: $boost; }
    """

    def __init__(self, title: str, *, label: str, note: str | None) -> None:
        super().__init__()
        self._title = title
        self._label = label
        self._note = note

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        with Vertical(classes="dialog"):
            yield Label(self._title, markup=False, classes="question")
            yield Label("Label")
            yield Input(self._label, id="label", max_length=MAX_LABEL)
            if self._note is not None:
                yield Label("Note")
                yield Input(self._note, id="note", max_length=MAX_NOTE)
            with Horizontal(classes="answers"):
                yield Button("Save (enter)", id="save", variant="primary")
                yield Button("Cancel (esc)", id="cancel")

    @on(Input.Submitted)
    @on(Button.Pressed, "#save")
    def _save(self) -> None:
        fields = {field.id: field.value.strip() for field in self.query(Input)}
        self.dismiss(Words(fields["label"] or "", fields.get("note")))

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)


def ask_trash(count: int, *, what: str, hidden: int) -> Question:
    """Ask before runs go to the trash; answers ``move`` or ``keep``.

    ``what`` names a single one; ``hidden`` are those that the filter does not show.
    """
    if count == 1:
        unseen = " The filter hides it." if hidden else ""
        text = f"Move {what} to the trash?{unseen} It stays in {TRASH}, and z brings it back."
        return Question(
            text,
            [Choice("move", "Move it", "y", "error"), Choice("keep", "Keep it", "n", "primary")],
        )
    unseen = f" The filter hides {hidden} of them." if hidden else ""
    return Question(
        f"Move {count} runs to the trash?{unseen} They stay in {TRASH}, and z brings them back.",
        [
            Choice("move", f"Move {count} runs", "y", "error"),
            Choice("keep", "Keep them", "n", "primary"),
        ],
    )


_FORMS = {
    "md": Choice("md", "Markdown", "m", "primary"),
    "html": Choice("html", "HTML page", "h"),
    "svg": Choice("svg", "Picture", "p"),
}


def ask_export(forms: Sequence[str]) -> Question:
    """Ask how to export what is shown; answers one of ``forms``, or ``svg``."""
    return Question(
        "Export this view, into the directory of the runs, as …",
        [_FORMS[form] for form in (*forms, "svg")],
    )
