"""Questions: how to stop, whether to end what people depend on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Button, Label

_RENEWAL: Final = 0.25
"""Seconds between two looks at what a question says."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer to a question."""

    name: str
    """What the dialog returns."""
    label: str
    key: str
    variant: str = "default"


class Question(ModalScreen[str | None]):
    """A question with a few answers; Escape answers nothing."""

    HELP = """
## A question

Each answer has its key beside it. Escape leaves everything as it is.
"""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel"),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, text: str | Callable[[], str], choices: list[Choice]) -> None:
        """Ask; a text that is called is asked for again while the question is open."""
        super().__init__()
        self._text = text
        self._choices = choices

    def compose(self) -> ComposeResult:
        """Lay out the question and its answers."""
        with Vertical(classes="dialog"):
            yield Label(self._now(), markup=False, classes="question")
            with Horizontal(classes="answers"):
                for choice in self._choices:
                    label = f"{choice.label} ({choice.key})"
                    button = Button(label, id=choice.name)
                    button.variant = choice.variant
                    yield button

    def on_mount(self) -> None:
        """Keep what is asked true; Enter alone never does what can't be undone."""
        if self._choices[0].variant == "error":
            self.query_one(f"#{self._choices[-1].name}", Button).focus()
        if callable(self._text):
            self.set_interval(_RENEWAL, self._renew)

    def _renew(self) -> None:
        label, now = self.query_one(".question", Label), self._now()
        if str(label.content) != now:
            label.update(now)

    def _now(self) -> str:
        return self._text() if callable(self._text) else self._text

    def on_key(self, event: Key) -> None:
        """Answer by the key that stands beside the answer."""
        for choice in self._choices:
            if event.key == choice.key:
                # The screen below has a meaning of its own for it.
                event.stop()
                self.dismiss(choice.name)

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id)


def ask_down(stack: str, cost: Callable[[], str]) -> Question:
    """Ask before a stack with open sessions is taken down; ``down``, ``drain`` or ``stay``."""
    return Question(
        lambda: f"Take stack '{stack}' down? {cost()}",
        [
            Choice("down", "Take it down", "y", "error"),
            Choice("drain", "Let them end first", "e"),
            Choice("stay", "Keep it", "n"),
        ],
    )


def ask_cost(question: str, cost: Callable[[], str], answer: str) -> Question:
    """Ask before sessions are lost; answers ``yes`` or ``no``."""
    return Question(
        lambda: f"{question} {cost()}",
        [Choice("yes", answer, "y", "error"), Choice("no", "Leave it", "n")],
    )


def ask_stop() -> Question:
    """Ask how to stop a load series; answers ``now``, ``step`` or ``go``."""
    return Question(
        "Stop the load series?",
        [
            Choice("now", "Now, keeping what was measured", "y", "error"),
            Choice("step", "After this step", "a"),
            Choice("go", "Go on", "n"),
        ],
    )


def ask_leave(
    stack: str, cost: Callable[[], str], *, loading: bool, coming: bool = False
) -> Question:
    """Ask what becomes of the stack; answers ``keep``, ``down`` or ``stay``.

    ``cost`` says what taking it down would cut, or nothing.
    """
    running = " The load series ends, and is saved." if loading else ""
    return Question(
        lambda: f"Stack '{stack}' is {'coming up' if coming else 'up'}.{running}{cost()}",
        [
            Choice("keep", "Leave it running", "y", "primary"),
            Choice("down", "Take it down", "d", "error"),
            Choice("stay", "Stay here", "n"),
        ],
    )


def ask_delete(plan: str) -> Question:
    """Ask before a saved plan is deleted; answers ``delete`` or ``keep``."""
    return Question(
        f"Delete the saved plan '{plan}'?",
        [Choice("delete", "Delete it", "y", "error"), Choice("keep", "Keep it", "n")],
    )
