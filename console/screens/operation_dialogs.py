"""Small dialogs that say what will happen before it is done."""

from typing import TYPE_CHECKING, ClassVar, Final, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Label, OptionList
from textual.widgets.option_list import Option

from console.rendering.losing import model_plan, scale_plan, strategy_plan
from stack.spec import MAX_REPLICAS, Strategy

if TYPE_CHECKING:
    # The app imports the screens: at run time only this direction.
    from console.app import WhisperctlApp

MODELS: Final = (
    *("offline", "tiny", "base", "small", "medium", "large-v3", "turbo"),
    *("distil-small.en", "distil-medium.en", "distil-large-v3"),
)
"""Names that faster-whisper knows; others are suggested nowhere, and taken all the same."""
STRATEGIES: Final = {
    Strategy.LEAST_CONNECTIONS: "the replica with the fewest open sessions",
    Strategy.ROUND_ROBIN: "each replica in turn",
    Strategy.IP_HASH: "one client address, one replica",
    Strategy.CONSISTENT_HASH: "one session or key, one replica",
}
_RENEWAL: Final = 0.25

_Answer = TypeVar("_Answer")


class PlanDialog(ModalScreen[_Answer | None], Generic[_Answer]):
    """Asks for one thing; says below it what would happen, as of now. Escape changes nothing."""

    HELP = """
## A change of the stack

Below what you choose it says what would happen now. Nothing is done before you say so.
"""

    DEFAULT_CSS = """
    PlanDialog { align: center middle; }
    PlanDialog Input { background: $boost; }
    PlanDialog OptionList { height: auto; max-height: 6; }
    PlanDialog #known { width: 1fr; height: auto; color: $text-muted; }
    PlanDialog #plan { width: 1fr; height: auto; min-height: 3; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]
    QUESTION: ClassVar[str] = ""
    BUTTON: ClassVar[str] = ""

    def __init__(self, app: "WhisperctlApp") -> None:
        super().__init__()
        self._operated = app

    def compose(self) -> ComposeResult:
        """Lay out question, field, plan and answers."""
        with Vertical(classes="dialog"):
            yield Label(self.QUESTION, classes="question", markup=False)
            yield from self.field()
            yield Label("", id="plan", markup=False)
            with Horizontal(classes="answers"):
                yield Button(f"{self.BUTTON} (enter)", id="do", variant="primary")
                yield Button("Cancel (esc)", id="cancel")

    def on_mount(self) -> None:
        """Keep the plan true while the dialog is open."""
        self._renew()
        self.set_interval(_RENEWAL, self._renew)

    def field(self) -> ComposeResult:
        """Lay out what the answer is chosen with."""
        raise NotImplementedError

    def answer(self) -> _Answer:
        """Return the answer; raises ValueError with a sentence where there is none yet."""
        raise NotImplementedError

    def plan(self, answer: _Answer) -> str:
        """Say what the answer would do."""
        raise NotImplementedError

    @on(Input.Changed)
    @on(OptionList.OptionHighlighted)
    def _renew(self) -> None:
        try:
            plan, usable = self.plan(self.answer()), True
        except ValueError as error:
            plan, usable = str(error), False
        label = self.query_one("#plan", Label)
        if str(label.content) != plan:
            label.update(plan)
        self.query_one("#do", Button).disabled = not usable

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    @on(Button.Pressed, "#do")
    def _do(self) -> None:
        try:
            self.dismiss(self.answer())
        except ValueError:
            return  # the plan says why

    @on(Button.Pressed, "#cancel")
    def _cancel(self) -> None:
        self.dismiss(None)


class NumberDialog(PlanDialog[int]):
    """How many replicas."""

    QUESTION = "How many replicas?"
    BUTTON = "Scale"

    def field(self) -> ComposeResult:
        """Lay out the number."""
        spec = self._operated.live.status.spec
        yield Input(
            "" if spec is None else str(spec.replicas),
            id="number",
            type="integer",
            max_length=4,
            compact=True,
        )

    def answer(self) -> int:
        """Return the number."""
        text = self.query_one(Input).value.strip()
        if not text.isdigit() or int(text) > MAX_REPLICAS:
            raise ValueError(f"A whole number from 0 to {MAX_REPLICAS}.")
        return int(text)

    def plan(self, answer: int) -> str:
        """Say what scaling to it means."""
        live = self._operated.live
        return scale_plan(live.status, live.samples, answer)


class StrategyDialog(PlanDialog[str]):
    """How the balancer chooses."""

    QUESTION = "How is a replica chosen for a new session?"
    BUTTON = "Change"

    def field(self) -> ComposeResult:
        """Lay out the strategies, the running one chosen."""
        options = OptionList(
            *(
                Option(f"{strategy.value.replace('_', ' ')}: {meaning}", id=strategy.value)
                for strategy, meaning in STRATEGIES.items()
            ),
            markup=False,
            compact=True,
        )
        options.highlighted = list(STRATEGIES).index(Strategy(self._running_strategy))
        yield options

    @property
    def _running_strategy(self) -> str:
        spec = self._operated.live.status.spec
        return (Strategy.LEAST_CONNECTIONS if spec is None else spec.balancer.strategy).value

    def answer(self) -> str:
        """Return the strategy that is marked."""
        option = self.query_one(OptionList).highlighted_option
        if option is None or option.id is None:
            raise ValueError("Choose one.")
        return option.id

    def plan(self, answer: str) -> str:
        """Say what the change means."""
        return strategy_plan(answer, self._running_strategy)


class ModelDialog(PlanDialog[str]):
    """What the replicas run."""

    QUESTION = "Which model are the replicas to run?"
    BUTTON = "Replace them"

    def field(self) -> ComposeResult:
        """Lay out the name, completed from those that are known."""
        spec = self._operated.live.status.spec
        yield Input(
            "" if spec is None else spec.replica.model,
            id="model",
            suggester=SuggestFromList(MODELS, case_sensitive=False),
            compact=True,
        )
        yield Label(
            f"{', '.join(MODELS[:7])}; or another name of a model, or a directory",
            id="known",
            markup=False,
        )

    def answer(self) -> str:
        """Return the name."""
        name = self.query_one(Input).value.strip()
        if not name:
            raise ValueError("Name a model.")
        return name

    def plan(self, answer: str) -> str:
        """Say what the change means, and for whom."""
        live = self._operated.live
        return model_plan(live.status, live.samples, answer)
