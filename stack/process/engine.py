"""The process engine: a stack of processes on loopback, which needs nothing installed."""

from pathlib import Path

from stack.process.runtime import ProcessRuntime
from stack.spec import EngineName
from stack.supervision.engine import SupervisedEngine
from stack.supervision.state import StackDirectory, state_root


class ProcessEngine(SupervisedEngine):
    """Looks after one stack of processes. Implements ``stack.engine.Engine``."""

    def __init__(self, stack_name: str, state_directory: Path | None = None) -> None:
        root = state_directory / "stacks" if state_directory else state_root()
        directory = StackDirectory(root / stack_name)
        super().__init__(EngineName.PROCESS, directory, ProcessRuntime(directory))
