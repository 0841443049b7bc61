"""``python -m loadtest.calibration``: a sink in a process of its own.

Its first line of output is ``{"port": N}``; when its input ends, a last line says what it injected:
``{"injected": [seconds, …], "late": [seconds, …]}``.
"""

import argparse
import asyncio
import gc
import json
import sys

from loadtest.calibration.sink import Sink, serving


async def _serve(sink: Sink) -> None:
    async with serving(sink):
        print(json.dumps({"port": sink.port}), flush=True)
        # A collection in the middle of a measurement would make every answer late at once.
        gc.collect()
        gc.freeze()
        gc.disable()
        await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({"injected": sink.injected, "late": sink.late}), flush=True)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.calibration", description=__doc__)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds")
    parser.add_argument("--jitter", type=float, default=0.0, help="seconds, either way")
    parser.add_argument("--step", type=float, default=1.0, help="seconds of audio to an answer")
    parser.add_argument(
        "--change",
        nargs=2,
        type=float,
        metavar=("SECOND", "DELAY"),
        help="from this second of a session on, this delay",
    )
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    asyncio.run(
        _serve(
            Sink(
                delay=options.delay,
                jitter=options.jitter,
                step=options.step,
                change=tuple(options.change) if options.change else None,
                port=options.port,
            )
        )
    )


if __name__ == "__main__":
    main()
