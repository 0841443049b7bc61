"""Command line of the replica: ``python -m stack.replica``."""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from stack.replica.hardware import calm_libraries
from stack.spec import KEY_VARIABLE

FLUSH_DEADLINE: Final = 5.0
"""Seconds for flushing sessions after SIGTERM."""


def parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    made = argparse.ArgumentParser(
        prog="python -m stack.replica",
        description="Serve the WhisperLive protocol: WebSocket sessions at /, and /health, /ready, "
        "/metrics, /status and POST /drain over HTTP, all on one port.",
        epilog="The API key, if any, is taken from the environment variable WHISPERCTL_API_KEY.",
        allow_abbrev=False,
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    made.add_argument(
        "--port", type=_whole(0, 65535), default=9090, help="0: a free one (%(default)s)"
    )
    made.add_argument(
        "--model",
        default="offline",
        help="'offline' (the shipped demonstration model), a Whisper size, a hub id or a directory",
    )
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    made.add_argument(
        "--compute-type", default="auto", help="a CTranslate2 compute type; auto: 8 bits"
    )
    made.add_argument(
        "--threads", type=_whole(1, 256), default=1, help="CPU threads of one inference"
    )
    made.add_argument("--max-sessions", type=_whole(1, 100_000), default=64)
    made.add_argument(
        "--max-connection-time",
        type=_number(0.01, 1e9),
        default=3600.0,
        help="seconds (%(default)s)",
    )
    made.add_argument(
        "--min-chunk",
        type=_number(0.01, 60),
        default=1.0,
        help="seconds of new audio that make a session due (%(default)s)",
    )
    made.add_argument(
        "--idle-chunk",
        type=_number(0.1, 60),
        default=0.3,
        help="the same while the model has time to spare (%(default)s)",
    )
    made.add_argument(
        "--max-batch",
        type=_whole(1, 256),
        default=None,
        help="passes in one call of the model (GPU: 16; CPU: 4 with fitted windows, else 1)",
    )
    made.add_argument(
        "--max-wait",
        type=_number(0, 10),
        default=0.0,
        help="seconds that a call of the model is held back to fill (%(default)s)",
    )
    made.add_argument(
        "--max-queue-wait",
        type=_number(0.01, 1e9),
        default=5.0,
        help="seconds that sessions wait for their passes above which new ones are told to WAIT "
        "(%(default)s)",
    )
    made.add_argument(
        "--vad-threshold",
        type=_number(0.01, 0.99),
        default=0.4,
        help="probability from which a sound is speech (%(default)s)",
    )
    made.add_argument(
        "--sentence-pause",
        type=_number(0.1, 0.8),
        default=0.4,
        help="seconds of silence after which a sentence is complete (%(default)s); raise it for a "
        "model that ends whatever it hears with a full stop",
    )
    made.add_argument(
        "--final-pass",
        action="store_true",
        help="hear each session a second time, at leisure and accurately, and send that text at "
        "its end",
    )
    made.add_argument("--name", default="replica-1", help="sent as the X-Replica header")
    made.add_argument(
        "--encoder-window",
        choices=["auto", "fitted", "full"],
        default="auto",
        help="full: always 30 s, as Whisper models were trained; fitted: as long as the audio, "
        "right only for models trained for it; auto: fitted for the offline model",
    )
    return made


def _whole(low: int, high: int) -> Any:
    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {low} to {high}")
        return value

    return convert


def _number(low: float, high: float) -> Any:
    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {low:g} to {high:g}")
        return value

    return convert


def fail(sentence: str) -> NoReturn:
    """End with one sentence on stderr and exit code 1."""
    sys.stderr.write(sentence + "\n")
    raise SystemExit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the replica until SIGTERM or SIGINT and give the exit code."""
    options = parser().parse_args(arguments)
    if not options.name or len(options.name) > 64 or not options.name.isascii():
        parser().error("--name must be 1 to 64 ASCII characters")
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    # uvicorn names the whole address of each connection, and with it a key in the query.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("faster_whisper").setLevel(logging.WARNING)
    calm_libraries(options.threads)
    model = options.model
    if model == "offline":
        from stack.offline import MODEL_DIRECTORY  # noqa: PLC0415 - only when asked for

        model = str(MODEL_DIRECTORY)
    if (model != options.model or model.startswith((".", "/"))) and not Path(model).is_dir():
        fail(f"The model directory {model} is not there; give --model another one.")
    return asyncio.run(serve(options, model))


async def serve(options: argparse.Namespace, model: str) -> int:
    """Serve until SIGTERM or SIGINT, or until the model can't be loaded; give the exit code."""
    # Imported here so that --help and usage errors are fast.
    from stack.replica.hardware import DeviceUnavailableError, choose  # noqa: PLC0415
    from stack.replica.scheduler import Pace  # noqa: PLC0415
    from stack.replica.server import Replica, Settings  # noqa: PLC0415
    from stack.replica.serving import PortUnavailableError, listen, make_server  # noqa: PLC0415

    fitted = options.encoder_window == "fitted" or (
        options.encoder_window == "auto" and options.model == "offline"
    )
    try:
        hardware = choose(options.device, options.compute_type, fitted=fitted)
    except DeviceUnavailableError as error:
        fail(str(error))
    try:
        opened = listen(options.host, options.port)
    except PortUnavailableError as error:
        fail(str(error))
    replica = Replica(
        Settings(
            model=model,
            device=hardware.device,
            compute_type=hardware.compute_type,
            threads=options.threads,
            max_sessions=options.max_sessions,
            max_connection_time=options.max_connection_time,
            max_queue_wait=options.max_queue_wait,
            pace=Pace(
                min_chunk=options.min_chunk,
                idle_chunk=options.idle_chunk,
                max_batch=options.max_batch or hardware.max_batch,
                max_wait=options.max_wait,
            ),
            vad_threshold=options.vad_threshold,
            sentence_pause=options.sentence_pause,
            final_pass=options.final_pass,
            name=options.name,
            fitted=fitted,
            model_label=options.model,
            api_key=os.environ.get(KEY_VARIABLE) or None,
        )
    )
    server = make_server(replica)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.create_task(server.serve(sockets=[opened]))
    host, port = opened.getsockname()[:2]
    logging.getLogger("stack.replica").info("%s listens on %s:%d.", options.name, host, port)
    code = await _until_stopped(replica, stop, serving)
    if code == 0:
        await replica.shut_down(FLUSH_DEADLINE)
    server.should_exit = True
    await serving
    return code


async def _until_stopped(replica: Any, stop: asyncio.Event, serving: asyncio.Task[None]) -> int:
    while True:
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(replica.changed.wait())]
        await asyncio.wait({*waits, serving}, return_when="FIRST_COMPLETED")
        for wait in waits:
            wait.cancel()
        replica.changed.clear()
        if replica.failure is not None:
            sys.stderr.write(f"{replica.failure}\n")
            return 1
        if stop.is_set():
            return 0
        if serving.done():
            return 1


if __name__ == "__main__":
    sys.exit(main())
