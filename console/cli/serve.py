"""``whisperctl serve``: the console in a browser."""

import asyncio
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from console.cli.common import (
    DEFAULT_RESULTS,
    BalancerImageOption,
    EngineOption,
    GpusOption,
    ImageOption,
    NameOption,
    ResultsOption,
    UserError,
    engine_name,
    run_async,
)
from console.cli.stacks import make_spec
from console.signals import ending_signals
from stack.spec import (
    DEFAULT_BALANCER_IMAGE,
    DEFAULT_HOST,
    DEFAULT_IMAGE,
    DEFAULT_PORT,
    DEFAULT_STACK_NAME,
)
from test_audio import CLIPS_DIRECTORY

SERVE_PORT: Final = 8992
_SHORTEST_TOKEN: Final = 16


def _serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond this machine only if you say so.")
    ] = DEFAULT_HOST,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")
    ] = SERVE_PORT,
    sessions: Annotated[
        int, typer.Option(min=1, max=32, help="Consoles that may be open at once.")
    ] = 4,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas that 'u' brings up.")] = 2,
    model: Annotated[str, typer.Option(help="Model that 'u' brings up.")] = "offline",
    balancer_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the balancer that 'u' brings up.")
    ] = DEFAULT_PORT,
    image: ImageOption = DEFAULT_IMAGE,
    balancer_image: BalancerImageOption = DEFAULT_BALANCER_IMAGE,
    gpus: GpusOption = "auto",
    audio_dir: Annotated[Path, typer.Option(help="Clips for load.")] = CLIPS_DIRECTORY,
    results_dir: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Show the console in a browser, until Ctrl-C; the stack goes on.

    Prints an address with a token, without which nobody comes in. WHISPERCTL_SERVE_TOKEN holds a
    token of your own.
    """
    make_spec(
        name=name,
        engine=engine_name(name, engine),
        replicas=replicas,
        model=model,
        port=balancer_port,
        containers={"image": image, "balancer_image": balancer_image, "gpus": gpus},
    )
    options: dict[str, object] = {
        "name": name,
        "replicas": replicas,
        "model": model,
        "port": balancer_port,
        "image": image,
        "balancer-image": balancer_image,
        "gpus": gpus,
        "audio-dir": audio_dir,
        "results-dir": results_dir,
    }
    if engine is not None:
        options["engine"] = engine.value
    command = [sys.executable, "-m", "console", "tui"]
    command += [f"--{option}={value}" for option, value in options.items()]
    run_async(_run(command, name, host, port, sessions))


async def _run(command: list[str], name: str, host: str, port: int, sessions: int) -> None:
    # Here, because aiohttp takes a while to load.
    from console.serving.access import Access, is_loopback  # noqa: PLC0415
    from console.serving.server import ConsoleServer  # noqa: PLC0415

    given = _given_token()
    token = given or secrets.token_urlsafe(32)
    access = Access(token, host=host)
    server = ConsoleServer(command, access=access, name=f"whisperctl: {name}", sessions=sessions)
    stop = asyncio.Event()

    def end() -> None:
        if stop.is_set():
            server.give_up()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in ending_signals():
        loop.add_signal_handler(number, end)
    try:
        bound = await server.start(host, port)
    except OSError as error:
        raise UserError(
            f"--host {host} --port {port} can't be opened: "
            f"{(os.strerror(error.errno) if error.errno else str(error)).lower()}; "
            "choose another port, or 0 for any."
        ) from None
    shown = f"[{host}]" if ":" in host else host
    try:
        if not is_loopback(host):
            typer.echo(
                f"whisperctl: whoever reaches {shown}:{bound} with the token operates the stack, "
                "and the way there is not encrypted; an SSH tunnel to this machine is safer.",
                err=True,
            )
        typer.echo(
            f"The console of stack '{name}': http://{shown}:{bound}/?token="
            f"{'… (the one in WHISPERCTL_SERVE_TOKEN)' if given else token}"
        )
        typer.echo("Ctrl-C ends this, and the consoles that are open; the stack goes on.")
        await stop.wait()
        typer.echo("Ending the open consoles; Ctrl-C again to give up at once.")
    finally:
        await server.close()


def _given_token() -> str | None:
    from console.serving.session import TOKEN_VARIABLE  # noqa: PLC0415 - aiohttp

    given = os.environ.get(TOKEN_VARIABLE)
    if given is not None and len(given) < _SHORTEST_TOKEN:
        raise UserError(
            f"{TOKEN_VARIABLE} is too short to keep anybody out; take at least {_SHORTEST_TOKEN} "
            "characters, or leave it away for a random one.",
            exit_code=2,
        )
    return given


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(_serve)
