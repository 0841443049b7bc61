"""``whisperctl metrics``: a stack's figures for Prometheus."""

import asyncio
import signal
from typing import Annotated, Final

import typer
from prometheus_client import CollectorRegistry, start_http_server

from console.cli.common import EngineOption, NameOption, UserError, engine_for, run_async
from stack.engine import Engine
from stack.spec import DEFAULT_STACK_NAME

DEFAULT_LISTEN: Final = "127.0.0.1:9109"


def _metrics(
    listen: Annotated[
        str, typer.Option(help="Address and port to serve /metrics on.")
    ] = DEFAULT_LISTEN,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
) -> None:
    """Serve the stack's figures to Prometheus, until Ctrl-C.

    Replicas, balancer, machine and GPUs, looked at once a second. Whoever reaches the address can
    read them: it is this machine's own unless you name another.
    """
    host, port = _parse_listen(listen)
    run_async(_serve(engine_for(name, engine), host, port))


async def _serve(engine: Engine, host: str, port: int) -> None:
    # Here, because they load NVML and psutil.
    from stack.telemetry.prometheus import StackCollector  # noqa: PLC0415
    from stack.telemetry.watching import StackWatch, watched  # noqa: PLC0415

    watch = StackWatch(engine, lambda text: typer.echo(text, err=True))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StackCollector(engine.stack_name, lambda: watch.latest))
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise UserError(
            f"--listen {host}:{port} can't be opened: {(error.strerror or str(error)).lower()}; "
            "choose another port."
        ) from None
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    shown = f"[{host}]" if ":" in host else host
    typer.echo(
        f"Figures of stack '{engine.stack_name}' on http://{shown}:{server.server_port}/metrics; "
        "Ctrl-C ends this."
    )
    try:
        await watched(watch, stop)
    finally:
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        await asyncio.to_thread(thread.join, 5)


def _parse_listen(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; raises UserError (exit 2) for anything else."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UserError(
            f"--listen '{text}' is not usable; write it like {DEFAULT_LISTEN}.", exit_code=2
        )
    return host, int(port)


def register(app: typer.Typer) -> None:
    """Add the metrics command."""
    app.command("metrics")(_metrics)
