"""What the commands share: options, errors, the engine of a stack, one event loop a command."""

import asyncio
import json
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.console import Console

from loadtest.clips import ClipError
from loadtest.shards import LoadError
from loadtest.store import RunFileError
from stack.engine import Engine, StackError
from stack.spec import DEFAULT_STACK_NAME, EngineName
from stack.status import StackState

T = TypeVar("T")

DEFAULT_RESULTS: Final = Path("results")
INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""


class UserError(Exception):
    """Something the command line itself finds wrong: one sentence, and the exit code."""

    def __init__(self, sentence: str, *, exit_code: int = 1) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def run_index_directory() -> Path:
    """Return where what was read of run files is kept, so that lists of many open at once."""
    # Most commands list no runs, and need nothing of a stack's state.
    from stack.supervision.state import state_directory  # noqa: PLC0415

    return state_directory() / "runs"


def known_errors() -> tuple[type[Exception], ...]:
    """Return the errors whose text is a sentence for people."""
    return (UserError, StackError, LoadError, ClipError, RunFileError)


NameOption = Annotated[
    str, typer.Option("--name", help="Name of the stack.", envvar="WHISPERCTL_STACK")
]
EngineOption = Annotated[
    EngineName | None,
    typer.Option(
        "--engine",
        help="What runs the stack's parts; without it that of the running stack, else 'process'.",
        envvar="WHISPERCTL_ENGINE",
    ),
]
ImageOption = Annotated[
    str,
    typer.Option(
        "--image",
        help="docker: image of the replicas; upstream's will do, too.",
        envvar="WHISPERCTL_IMAGE",
    ),
]
BalancerImageOption = Annotated[
    str,
    typer.Option(
        "--balancer-image", help="docker: image with nginx.", envvar="WHISPERCTL_BALANCER_IMAGE"
    ),
]
GpusOption = Annotated[
    str,
    typer.Option(
        "--gpus",
        help="docker: all, none, indexes such as 0,1, or spread (one card a replica, in turn); "
        "auto: all where Docker can give them.",
    ),
]
MemoryOption = Annotated[
    str | None, typer.Option("--memory", help="docker: limit of one replica, such as 2g.")
]
UpstreamMetricsOption = Annotated[
    int | None,
    typer.Option(
        "--upstream-metrics-port",
        min=1024,
        max=65535,
        help="docker: have upstream's server, 0.10.0 or later, serve its Prometheus metrics on "
        "this port of the stack's network, and read them.",
    ),
]
ResultsOption = Annotated[
    Path,
    typer.Option("--results-dir", help="Directory of saved runs.", envvar="WHISPERCTL_RESULTS_DIR"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def engine_name(name: str, asked: EngineName | None) -> EngineName:
    """Return the engine that was asked for, else that of the running stack, else 'process'."""
    from stack.supervision.state import StackDirectory, state_root  # noqa: PLC0415

    if asked is not None:
        return asked
    desired = StackDirectory(state_root() / name).read_desired()
    return desired.spec.engine if desired is not None else EngineName.PROCESS


def engine_for(name: str = DEFAULT_STACK_NAME, engine: EngineName | None = None) -> Engine:
    """Return the engine that looks after the stack of this name."""
    # Only here, so that 'whisperctl runs' doesn't load what it doesn't need.
    match engine_name(name, engine):
        case EngineName.PROCESS:
            from stack.process.engine import ProcessEngine  # noqa: PLC0415

            return ProcessEngine(name)
        case EngineName.DOCKER:
            from stack.docker.engine import DockerEngine  # noqa: PLC0415

            return DockerEngine(name)


def engine_by_traces(name: str, asked: EngineName | None) -> Engine:
    """Return the engine of a stack whose state may be damaged: what of it can be read tells."""
    from stack.supervision.state import StackDirectory, state_root  # noqa: PLC0415

    return engine_for(name, asked or StackDirectory(state_root() / name).traces_of_engine())


async def what_is_left(engine: Engine) -> str:
    """Say what is left of a stack after a command on it was interrupted, and how to end that."""
    name = engine.stack_name
    try:
        status = await engine.status()
    except StackError as error:
        return str(error)
    if status.state is StackState.ABSENT or status.spec is None:
        return f"stack '{name}' was taken down again, nothing of it is left."
    option = "" if name == DEFAULT_STACK_NAME else f" --name {name}"
    if status.state is StackState.STOPPING:
        return f"stack '{name}' is still going down; 'whisperctl down{option}' waits for that."
    return (
        f"stack '{name}' goes on, {status.ready_replicas} of {status.spec.replicas} replicas are "
        f"ready; 'whisperctl status{option}' shows it, 'whisperctl down{option}' ends it."
    )


def parse_bytes(option: str, text: str | None) -> int | None:
    """Read a size such as ``512m`` or ``2g``; raises UserError that names the option."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if found is None:
        raise UserError(
            f"--{option} '{text}' is not a size; write it like 512m or 2g.", exit_code=2
        )
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " "))


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run one command's coroutine on an event loop of its own."""
    return asyncio.run(work)


def out() -> Console:
    """Return a console on standard output, made when used so that redirection is seen."""
    return Console(highlight=False)


def print_json(data: Any) -> None:
    """Print data as JSON on standard output."""
    typer.echo(json.dumps(data, indent=1, ensure_ascii=False, default=str))
