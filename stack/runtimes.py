"""Which runtime an engine's name stands for; each is loaded only when it is used."""

from stack.spec import EngineName
from stack.supervision.runtime import Runtime
from stack.supervision.state import StackDirectory


def runtime_of(engine: EngineName, directory: StackDirectory) -> Runtime:
    """Return the runtime of one stack; ``directory`` is where its state is kept."""
    match engine:
        case EngineName.PROCESS:
            from stack.process.runtime import ProcessRuntime  # noqa: PLC0415

            return ProcessRuntime(directory)
        case EngineName.DOCKER:
            from stack.docker.runtime import DockerRuntime  # noqa: PLC0415

            return DockerRuntime(directory)
