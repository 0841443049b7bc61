"""What the command palette offers to operate the stack with."""

from collections.abc import Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand

from console.building import image_of
from console.screens.operation_dialogs import STRATEGIES
from stack.status import ReplicaStatus

if TYPE_CHECKING:
    from console.app import WhisperctlApp

Work = Callable[[], Coroutine[Any, Any, None]]


def operation_commands(app: "WhisperctlApp") -> Iterator[SystemCommand]:
    """Yield what can be done to the stack now, beside up, down and one more or fewer."""
    operating, spec = app.operating, app.live.status.spec

    def command(title: str, text: str, work: Work) -> SystemCommand:
        return SystemCommand(title, text, lambda: operating.start(work()))

    if operating.can_take_back:
        yield command("Take back what goes on", "Where that is safe", operating.take_back)
    if image_of(app.spec) is not None and not app.live.busy:
        yield command("Build the image", "For replicas in containers", operating.ask_to_build)
    if spec is None or app.live.absent:
        return
    yield command(
        "Ask for a number of replicas", "Says what will happen first", operating.ask_number
    )
    yield command("Change the model", "Replicas are replaced one by one", operating.ask_model)
    for strategy, meaning in STRATEGIES.items():
        if strategy is not spec.balancer.strategy:
            yield command(
                f"Choose replicas by {strategy.value.replace('_', ' ')}",
                f"New sessions go by: {meaning}",
                lambda chosen=strategy.value: operating.change_strategy(chosen),  # type: ignore[misc]
            )
    for replica in app.live.status.replicas:
        yield from _of_replica(app, replica, command)


def _of_replica(
    app: "WhisperctlApp",
    replica: ReplicaStatus,
    command: Callable[[str, str, Work], SystemCommand],
) -> Iterator[SystemCommand]:
    operating, name = app.operating, replica.name
    yield command(f"Restart {name}", "A fresh process", lambda: operating.restart(name))
    if replica.wanted:
        yield command(
            f"Drain {name}", "It goes when its sessions end", lambda: operating.drain(name)
        )
    else:
        yield command(f"Keep {name}", "Instead of letting it go", lambda: operating.drain(name))
    yield command(f"Kill {name}", "At once; it is started again", lambda: operating.kill(name))
