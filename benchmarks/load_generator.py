"""How many clients this machine's load generator drives before its own lateness shows.

``make bench``. A sink in a process of its own answers each second of audio after exactly DELAY
seconds. What is reported above DELAY is what generator, sink and machine add together; slip is what
the generator alone is late.
"""

import argparse
import asyncio
import multiprocessing
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console
from rich.table import Table

from loadtest.calibration.sink import Sink, serving
from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.plan import LoadPlan
from test_audio import CLIPS_DIRECTORY

DELAY = 0.2


def _serve(pipe: Connection) -> None:
    async def serve() -> None:
        async with serving(Sink(delay=DELAY)) as sink:
            pipe.send(sink.port)
            await asyncio.to_thread(pipe.recv)

    asyncio.run(serve())


async def measure(port: int, counts: list[int], seconds: float) -> Table:
    """Run one step for each client count and return a table of what was reported."""
    table = Table(
        "clients",
        "latency − injected, median (ms)",
        "p99 (ms)",
        "slip p99 (ms)",
        "generator CPU (cores)",
        "CPU a client (%)",
        "distorted",
        title=f"{seconds:g} s of audio a client, 100 ms chunks, answers after {DELAY * 1000:g} ms",
    )
    with tempfile.TemporaryDirectory() as results:
        plan = LoadPlan(
            clients=tuple(counts),
            port=port,
            audio_directory=CLIPS_DIRECTORY,
            results_directory=Path(results),
            duration=seconds,
        )
        async for event in LoadController(plan).run():
            if not isinstance(event, StepFinished):
                continue
            summary, clients = event.run.summary, event.run.test_configuration.num_clients
            latency, cpu = summary.latency, summary.generator_cpu or 0.0
            slip = summary.slip.p99 if summary.slip.p99 is not None else summary.slip.max
            table.add_row(
                str(clients),
                *(
                    "–" if v is None else f"{(v - DELAY) * 1000:.1f}"
                    for v in (latency.median, latency.p99)
                ),
                "–" if slip is None else f"{slip * 1000:.1f}",
                f"{cpu:.2f}",
                f"{cpu / clients * 100:.2f}",
                "yes" if summary.generator_distorted else "no",
            )
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", default="1,10,50,100,200", help="client counts")
    parser.add_argument("--seconds", type=float, default=8.0, help="audio a client")
    arguments = parser.parse_args()
    here, there = multiprocessing.Pipe()
    sink = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    sink.start()
    try:
        port = here.recv()
        counts = [int(count) for count in arguments.clients.split(",")]
        Console().print(asyncio.run(measure(port, counts, arguments.seconds)))
    finally:
        here.send(None)
        sink.join(5)


if __name__ == "__main__":
    main()
