"""The docker engine: a stack of containers behind nginx on this machine's Docker Engine."""

from pathlib import Path

from stack.docker.runtime import DockerRuntime
from stack.spec import EngineName
from stack.supervision.engine import SupervisedEngine
from stack.supervision.state import StackDirectory, state_root


class DockerEngine(SupervisedEngine):
    """Looks after one stack of containers. Implements ``stack.engine.Engine``."""

    def __init__(self, stack_name: str, state_directory: Path | None = None) -> None:
        root = state_directory / "stacks" if state_directory else state_root()
        directory = StackDirectory(root / stack_name)
        super().__init__(EngineName.DOCKER, directory, DockerRuntime(directory))
