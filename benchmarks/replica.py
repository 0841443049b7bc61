"""How many sessions our replica and upstream's server carry on the same cores, model and audio.

``make bench-replica``. The servers run one after another on loopback, each with the offline model,
and are driven by our own load client. See docs/benchmarks.md.
"""

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from benchmarks.figures import LEGEND, capacity_table, figures_table, markdown
from benchmarks.measuring import REPORTED, Comparison, Settings
from benchmarks.options import count, counts, fraction, keys, seconds
from benchmarks.servers import BASELINE, KEYS, Server, end_in_order, make
from loadtest.capacity import rungs
from loadtest.clips import ClipError
from stack.telemetry.environment import environment

LADDER = "1,2,4,8,12,16,24,32,48,64,96,128,192,256"


def parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.replica",
        description="Compare our replica with upstream's server under paced load; see "
        "docs/benchmarks.md.",
        epilog="WHISPERCTL_UPSTREAM_SERVER_ENVIRONMENT names a virtual environment with upstream's "
        "server; without it .upstream-server-venv is made.",
        allow_abbrev=False,
    )
    made.add_argument(
        "--servers", type=keys("server", KEYS), default=list(KEYS), help=f"of {','.join(KEYS)}"
    )
    made.add_argument(
        "--clients",
        type=counts,
        default=LADDER,
        help="client counts to climb, beside 1, 2, 4 and 8 (%(default)s)",
    )
    made.add_argument("--max-clients", type=count, default=256, help="none above (%(default)s)")
    made.add_argument("--seconds", type=seconds, default=15.0, help="audio a session (%(default)s)")
    made.add_argument(
        "--ramp",
        type=seconds,
        default=1.0,
        help="seconds over which the sessions of a run start (%(default)s)",
    )
    made.add_argument("--seed", type=int, default=1, help="chooses the clips (%(default)s)")
    made.add_argument(
        "--baseline-sessions",
        type=count,
        default=4,
        help="single sessions with upstream's default mode that give the WER to hold (%(default)s)",
    )
    made.add_argument(
        "--baseline-wer",
        type=fraction,
        metavar="FRACTION",
        help="the WER to hold, where upstream's default mode isn't to be measured for it",
    )
    made.add_argument(
        "--replica-option",
        action="append",
        default=[],
        metavar="OPTION",
        help="an option more for our replica, such as --replica-option=--threads=2; repeatable",
    )
    made.add_argument(
        "--upstream-option",
        action="append",
        type=_setting,
        default=[],
        metavar="NAME=JSON",
        help="an argument more for upstream's TranscriptionServer.run, such as "
        "--upstream-option=batch_window_ms=100; repeatable",
    )
    made.add_argument(
        "--results",
        type=Path,
        default=Path("results/replica"),
        help="directory for run files and the servers' logs (%(default)s)",
    )
    made.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there, too")
    return made


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=JSON") from None


async def measure(comparison: Comparison, servers: Sequence[Server]) -> None:
    """Measure all servers, the one that gives the baseline first; SIGTERM cancels like Ctrl-C."""
    end_in_order()
    for server in sorted(servers, key=lambda server: server.key != BASELINE):
        await comparison.measure(server)


def report(comparison: Comparison, keys: Sequence[str]) -> str:
    """Return the tables, and under what conditions they came about, as Markdown."""
    results = [comparison.results[key] for key in keys if key in comparison.results]
    counts = rungs(REPORTED, comparison.settings.max_clients)
    tables = [capacity_table(results), figures_table(results, counts)]
    return "\n".join([*(markdown(table) for table in tables), conditions(comparison)]) + "\n"


def conditions(comparison: Comparison) -> str:
    """Say under what conditions the figures came about."""
    settings, limits = comparison.settings, comparison.settings.limits
    machine = environment()
    audio = [
        run.audio
        for result in comparison.results.values()
        for runs in result.runs.values()
        for run in runs
    ]
    lengths = sorted({f"{value:.1f}" for value in audio or [settings.seconds]}, key=float)
    length = " to ".join(dict.fromkeys((lengths[0], lengths[-1])))
    if comparison.baseline_wer is None:
        wer = "WER not limited, as upstream's default mode gave no baseline"
    else:
        allowed = comparison.baseline_wer + (limits.wer_over_baseline or 0.0)
        words = f", {comparison.baseline_words} words" if comparison.baseline_words else ""
        wer = f"WER at most {allowed:.1%} (baseline {comparison.baseline_wer:.1%}{words})"
    return (
        f"{LEGEND}\n\nSessions of {length} s of audio on average, in paced messages of 0.1 s, "
        f"started over {settings.ramp:g} s, after one session to warm up. Limits: p95 latency at "
        f"most {limits.p95_latency:g} s, success 100 %, {wer}; for the largest N in two runs. "
        f"{psutil.cpu_count()} cores of {machine.cpu}, {platform.system()}, "
        f"Python {machine.python}; servers and load generator share them."
    )


def main() -> int:
    """Measure and print; returns the exit code."""
    options = parser().parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    progress = Console(stderr=True)
    comparison = Comparison(
        Settings(
            results=options.results,
            ladder=options.clients,
            max_clients=options.max_clients,
            seconds=options.seconds,
            ramp=options.ramp,
            seed=options.seed,
            baseline_sessions=options.baseline_sessions,
        ),
        say=lambda line: progress.print(line, markup=False, highlight=False, soft_wrap=True),
        baseline_wer=options.baseline_wer,
    )
    servers = [
        make(
            key,
            replica_options=options.replica_option,
            upstream_options=dict(options.upstream_option),
        )
        for key in options.servers
    ]
    code = 0
    try:
        asyncio.run(measure(comparison, servers))
    except (KeyboardInterrupt, asyncio.CancelledError):
        comparison.say("Stopped; this is what was measured until then.")
        code = 130
    except ClipError as error:
        comparison.say(str(error))
        code = 1
    text = report(comparison, options.servers)
    sys.stdout.write(f"\n{text}")
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if code == 0 and any(result.problem for result in comparison.results.values()):
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
