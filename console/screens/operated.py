"""The keys that operate the stack, on the screen that shows its replicas."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from console.screens.base import ConsoleScreen
from console.widgets.replica_table import ReplicaTable


class OperatedScreen(ConsoleScreen):
    """A screen with a table of replicas, which its keys are about."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "app.up", "Up", id="stack.up", tooltip="Bring the stack up"),
        Binding("d", "app.down", "Down", id="stack.down", tooltip="Take the stack down"),
        Binding(
            "plus,equals_sign",
            "app.scale_by(1)",
            "Scale",
            key_display="+/-",
            id="stack.more",
            tooltip="One replica more",
        ),
        Binding(
            "minus",
            "app.scale_by(-1)",
            "Scale",
            key_display="-",
            id="stack.fewer",
            tooltip="One replica fewer; it is drained first",
            show=False,
        ),
        Binding(
            "n",
            "ask_number",
            "How many",
            id="stack.number",
            tooltip="Ask for an exact number of replicas",
            show=False,
        ),
        Binding(
            "t",
            "ask_strategy",
            "Strategy",
            id="stack.strategy",
            tooltip="Change how the balancer chooses a replica",
            show=False,
        ),
        Binding(
            "M",
            "ask_model",
            "Model",
            id="stack.model",
            tooltip="Change the model; replicas are replaced one after another",
            show=False,
        ),
        Binding(
            "r", "restart", "Restart", id="replica.restart", tooltip="Restart the selected replica"
        ),
        Binding(
            "D",
            "drain",
            "Drain",
            id="replica.drain",
            tooltip="Let the selected replica go when its sessions have ended; again: keep it",
            show=False,
        ),
        Binding(
            "K",
            "kill",
            "Kill",
            id="replica.kill",
            tooltip="End the selected replica at once; it is started again",
            show=False,
        ),
        Binding(
            "escape",
            "take_back",
            "Take back",
            id="stack.back",
            tooltip="Take back what goes on, where that is safe",
        ),
    ]

    @property
    def _selected(self) -> str | None:
        return self.query_one(ReplicaTable).selected

    def action_restart(self) -> None:
        """Restart the replica under the cursor."""
        if (name := self._selected) is not None:
            self.console_app.operating.start(self.console_app.operating.restart(name))

    def action_drain(self) -> None:
        """Drain the replica under the cursor, or keep it."""
        if (name := self._selected) is not None:
            self.console_app.operating.start(self.console_app.operating.drain(name))

    def action_kill(self) -> None:
        """Kill the replica under the cursor."""
        if (name := self._selected) is not None:
            self.console_app.operating.start(self.console_app.operating.kill(name))

    def action_take_back(self) -> None:
        """Take back what goes on."""
        self.console_app.operating.start(self.console_app.operating.take_back())

    def action_ask_number(self) -> None:
        """Ask how many replicas, and scale."""
        self.console_app.operating.start(self.console_app.operating.ask_number())

    def action_ask_strategy(self) -> None:
        """Ask how the balancer is to choose, and have it."""
        self.console_app.operating.start(self.console_app.operating.ask_strategy())

    def action_ask_model(self) -> None:
        """Ask what the replicas are to run, and change it."""
        self.console_app.operating.start(self.console_app.operating.ask_model())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Grey out what can't be done now."""
        app = self.console_app
        if action == "take_back":
            return app.operating.can_take_back
        if action in {"restart", "drain", "kill"}:
            return True if app.live.status.replicas else None
        if action in {"ask_number", "ask_strategy", "ask_model"}:
            return None if app.live.absent else True
        return True
