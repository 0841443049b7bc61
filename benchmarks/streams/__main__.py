"""Our load generator beside Locust and a plain script: the same streams, the same sink, one core.

``make bench-load``. See docs/benchmarks.md.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel
from rich import box
from rich.console import Console

from benchmarks.figures import markdown
from benchmarks.options import count, counts, fraction, keys, seconds
from benchmarks.streams.figures import (
    GENERATORS,
    LEGEND,
    LOCUST,
    Measured,
    check_table,
    cost_table,
    ratio_table,
    verdicts,
)
from benchmarks.streams.running import GeneratorError, Settings, locust_command, measure
from benchmarks.streams.usage import wait_until_quiet
from stack.telemetry.environment import Environment, environment

CLIENTS = "50,200,500,1000,1500,2000"


class Comparison(BaseModel):
    """All of one run, for ``--json``."""

    created_at: datetime
    command: str
    environment: Environment
    requirements: list[str]
    """Versions of Locust and what it stands on, and of the script's websockets."""
    seconds: float
    """Seconds of audio a stream, at most."""
    measured: list[Measured] = []
    discarded: list[Measured] = []
    """Attempts that others disturbed more than the one that counts."""
    notes: list[str] = []


def parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.streams",
        description="Compare our load generator with Locust and a plain asyncio script, each on "
        "one core; see docs/benchmarks.md.",
        epilog="WHISPERCTL_LOCUST_ENVIRONMENT names a virtual environment with Locust; without it "
        "that of 'make bench-load' is used, and without that Locust is left out.",
        allow_abbrev=False,
    )
    made.add_argument(
        "--generators",
        type=keys("generator", GENERATORS),
        default=list(GENERATORS),
        help=f"of {','.join(GENERATORS)}",
    )
    made.add_argument("--clients", type=counts, default=CLIENTS, help="streams (%(default)s)")
    made.add_argument("--seconds", type=seconds, default=20.0, help="audio a stream (%(default)s)")
    made.add_argument(
        "--attempts",
        type=count,
        default=3,
        help="measure again, up to so often, while others use the cores (%(default)s)",
    )
    made.add_argument(
        "--quiet",
        type=fraction,
        default=0.05,
        metavar="FRACTION",
        help="share of a core that others may use without that (%(default)s)",
    )
    made.add_argument(
        "--patience",
        type=seconds,
        default=30.0,
        metavar="SECONDS",
        help="how long to wait for such quiet before each measurement (%(default)s)",
    )
    made.add_argument("--generator-core", type=int, help="number of a core (the first)")
    made.add_argument("--sink-core", type=int, help="number of another core (the second)")
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there, too")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return made


def chosen_cores(options: argparse.Namespace) -> tuple[int, int]:
    """Return the cores of generator and sink; raises GeneratorError where there aren't two."""
    if not hasattr(os, "sched_getaffinity"):
        raise GeneratorError("This system can't hold a process to a core; run this on Linux.")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise GeneratorError("There is only one core to use: generator and sink need one each.")
    first, second = options.generator_core, options.sink_core
    first = next(core for core in cores if core != second) if first is None else first
    second = next(core for core in cores if core != first) if second is None else second
    if first == second or not {first, second} <= set(cores):
        raise GeneratorError(
            f"Cores {first} and {second} are not two of those that there are: "
            f"{', '.join(map(str, cores))}."
        )
    return first, second


def compare(
    comparison: Comparison,
    generators: Sequence[str],
    clients: Sequence[int],
    *,
    play: Callable[[str, int], Measured],
    attempts: int,
    quiet: float,
    say: Callable[[str], None],
) -> None:
    """Play count by count, each generator up to where it collapses."""
    standing = list(generators)
    for number in clients:
        for generator in list(standing):
            tries: list[Measured] = []
            while len(tries) < attempts:
                say(f"{generator}, {number} streams …")
                tries.append(play(generator, number))
                if (tries[-1].others or 0.0) <= quiet:
                    break
            # Chosen by what others did, never by what came out.
            best = min(tries, key=lambda one: 1.0 if one.others is None else one.others)
            best.attempts = len(tries)
            comparison.measured.append(best)
            comparison.discarded += [one for one in tries if one is not best]
            # Strangers can bring down anybody once.
            if all(one.collapsed for one in tries):
                standing.remove(generator)
                say(f"{generator} collapsed at {number} streams: no more of it.")


def report(comparison: Comparison) -> str:
    """Return tables and conditions as Markdown."""
    parts = [
        markdown(cost_table(comparison.measured, looks=box.MARKDOWN)),
        markdown(check_table(comparison.measured, looks=box.MARKDOWN)),
        LEGEND + "\n",
        markdown(ratio_table(comparison.measured, looks=box.MARKDOWN)),
        "\n".join(f"- {line}" for line in verdicts(comparison.measured)) + "\n",
        conditions(comparison) + "\n",
    ]
    return "\n".join(parts)


def conditions(comparison: Comparison) -> str:
    """Say when, where and with what the figures came about."""
    machine = comparison.environment
    notes = "".join(f" {note}" for note in comparison.notes)
    return (
        f"{comparison.created_at:%Y-%m-%d}, {psutil.cpu_count()} cores of {machine.cpu}, "
        f"{machine.system}, Python {machine.python}, {', '.join(comparison.requirements)}; "
        f"streams of up to {comparison.seconds:g} s in messages of 0.1 s (6,400 bytes); "
        f"`{comparison.command}`.{notes}"
    )


def requirements() -> list[str]:
    """Return the versions of what is compared."""
    pinned = Path(__file__).with_name("requirements.txt").read_text(encoding="utf-8")
    lines = [line for line in pinned.splitlines() if line and not line.startswith("#")]
    return [line.replace("==", " ") for line in lines] + [f"websockets {version('websockets')}"]


def main() -> int:
    """Measure and print; returns the exit code."""
    options = parser().parse_args()
    progress = Console(stderr=True)

    def say(line: str) -> None:
        progress.print(line, markup=False, highlight=False, soft_wrap=True)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    comparison = Comparison(
        created_at=datetime.now(UTC),
        command=" ".join(["python -m benchmarks.streams", *sys.argv[1:]]),
        environment=environment(),
        requirements=requirements(),
        seconds=options.seconds,
    )
    generators = options.generators
    code = 0
    try:
        generator_core, sink_core = chosen_cores(options)
        if LOCUST in generators:
            try:
                locust_command()
            except GeneratorError as error:
                generators = [key for key in generators if key != LOCUST]
                comparison.notes.append(f"Without Locust: {error}")
                say(f"Locust is left out: {error}")
        settings = Settings(options.seconds, generator_core, sink_core)

        def play(generator: str, clients: int) -> Measured:
            wait_until_quiet((generator_core, sink_core), options.quiet, options.patience)
            return measure(generator, clients, settings)

        compare(
            comparison,
            generators,
            options.clients,
            play=play,
            attempts=options.attempts,
            quiet=options.quiet,
            say=say,
        )
    except KeyboardInterrupt:
        say("Stopped; this is what was measured until then.")
        code = 130
    except GeneratorError as error:
        say(str(error))
        code = 1
    if comparison.measured:
        out = Console()
        for table in (cost_table, check_table, ratio_table):
            out.print(table(comparison.measured))
        for line in [LEGEND, *verdicts(comparison.measured), conditions(comparison)]:
            out.print(line, markup=False, highlight=False)
    if options.markdown:
        options.markdown.write_text(report(comparison), encoding="utf-8")
    if options.json:
        options.json.write_text(comparison.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
