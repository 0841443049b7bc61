"""Questions: what load, how to stop, whether to end what people depend on."""

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ValidationError
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Checkbox, Input, Label

from loadtest.plan import DEFAULT_MAX_CLIENTS, LoadPlan
from stack.validation import first_problem


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

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Cancel"),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, text: str, choices: list[Choice]) -> None:
        super().__init__()
        self._text = text
        self._choices = choices

    def compose(self) -> ComposeResult:
        """Lay out the question and its answers."""
        with Vertical(classes="dialog"):
            yield Label(self._text, markup=False, classes="question")
            with Horizontal(classes="answers"):
                for choice in self._choices:
                    label = f"{choice.label} ({choice.key})"
                    button = Button(label, id=choice.name)
                    button.variant = choice.variant
                    yield button

    def on_key(self, event: object) -> None:
        """Answer by the key that stands beside the answer."""
        key = getattr(event, "key", "")
        for choice in self._choices:
            if key == choice.key:
                self.dismiss(choice.name)

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id)


class LoadDialog(ModalScreen[LoadPlan | None]):
    """What load to put on; checks while typing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, plan: LoadPlan) -> None:
        super().__init__()
        self._plan = plan

    def compose(self) -> ComposeResult:
        """Lay out the fields."""
        plan = self._plan
        with Vertical(classes="dialog"):
            yield Label("Put load on the stack", classes="question")
            yield Label("Clients, one number a step")
            yield Input(",".join(map(str, plan.clients)), id="clients", placeholder="1,2,4")
            yield Checkbox(
                "Find the capacity: from the first number up to the last",
                plan.find_capacity is not None,
                id="find",
                compact=True,
            )
            yield Label("Seconds of audio each client streams; empty: one clip")
            yield Input("" if plan.duration is None else f"{plan.duration:g}", id="duration")
            yield Label("Ramp: seconds over which the clients start")
            yield Input(f"{plan.ramp:g}", id="ramp")
            yield Label("Label for the saved runs")
            yield Input(plan.label, id="label")
            yield Label("", id="problem", markup=False)
            with Horizontal(classes="answers"):
                yield Button("Start", id="start", variant="primary")
                yield Button("Cancel (esc)", id="cancel")

    def _read(self) -> LoadPlan:
        """Return the plan as typed; raises ValueError with a sentence."""
        text = {field.id: field.value.strip() for field in self.query(Input)}
        try:
            clients = tuple(int(part) for part in text["clients"].split(","))
        except ValueError:
            raise ValueError("Clients are whole numbers with commas between, like 1,2,4.") from None
        try:
            duration = float(text["duration"]) if text["duration"] else None
            ramp = float(text["ramp"] or 0)
        except ValueError:
            raise ValueError("Seconds are numbers, like 20 or 7.5.") from None
        find = self.query_one("#find", Checkbox).value
        # Of one number alone nobody knows how far to go.
        most = clients[-1] if len(clients) > 1 else max(clients[0], DEFAULT_MAX_CLIENTS)
        values = self._plan.model_dump() | {
            "clients": clients,
            "find_capacity": most if find else None,
            "duration": duration,
            "ramp": ramp,
            "label": text["label"],
        }
        try:
            return LoadPlan.model_validate(values)
        except ValidationError as error:
            where, what = first_problem(error)
            raise ValueError(f"{where.partition('.')[0]} is not usable: {what}.") from None

    @on(Input.Changed)
    @on(Checkbox.Changed)
    def _check(self) -> None:
        problem = ""
        try:
            self._read()
        except ValueError as error:
            problem = str(error)
        self.query_one("#problem", Label).update(problem)
        self.query_one("#start", Button).disabled = bool(problem)

    @on(Input.Submitted)
    @on(Button.Pressed, "#start")
    def _start(self) -> None:
        try:
            self.dismiss(self._read())
        except ValueError as error:
            self.query_one("#problem", Label).update(str(error))

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)


def ask_down(stack: str, sessions: int) -> Question:
    """Ask before a stack is taken down; answers ``down``, ``drain`` or ``stay``."""
    cut = f" {sessions} open sessions would be cut." if sessions else ""
    return Question(
        f"Take stack '{stack}' down?{cut}",
        [
            Choice("down", "Take it down", "y", "error"),
            *([Choice("drain", "Let them end first", "e")] if sessions else []),
            Choice("stay", "Keep it", "n"),
        ],
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


def ask_leave(stack: str, *, loading: bool, coming: bool = False) -> Question:
    """Ask what becomes of the stack; answers ``keep``, ``down`` or ``stay``."""
    running = " The load series ends, and is saved." if loading else ""
    return Question(
        f"Stack '{stack}' is {'coming up' if coming else 'up'}.{running}",
        [
            Choice("keep", "Leave it running", "y", "primary"),
            Choice("down", "Take it down", "d", "error"),
            Choice("stay", "Stay here", "n"),
        ],
    )
