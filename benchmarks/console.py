"""What drawing the console costs: ``python -m benchmarks.console``.

The real console in a terminal of its own (a pseudo-terminal whose other end is read and thrown
away), over a stack and a load on paper, with twenty minutes behind it. What counts is how long the
event loop was held by one callback: that is how long a key can wait, and no picture can come. Each
of those is measured in passed time and in CPU time of the thread; on a machine that others use,
too, the first holds what the others took.
"""

import argparse
import asyncio
import fcntl
import gc
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from benchmarks import console_plots
from benchmarks.console_parts import PaperController, PaperEngine, fill
from console.app import WhisperctlApp
from console.chart_choice import ChartPreferences, save_charts
from console.rendering.live_charts import KINDS
from console.widgets.chart import Chart
from loadtest.controller import LoadController
from loadtest.plan import LoadPlan
from loadtest.store import RunStore
from stack.spec import StackSpec

FRAME: Final = 0.05
"""Seconds that the event loop may be held at most."""
IDLE: Final = 0.03
"""Share of a core that an idle console may use."""
REPLICAS: Final = 8
CLIENTS: Final = 1000
BEHIND: Final = 1200
"""Seconds of history that the charts begin with."""
WARMING: Final = 6.0
"""Seconds before anything counts: what is drawn for the first time is slower."""
SCENES: Final = {
    "dashboard": "8 charts, 1,000 clients",
    "maximised": "one chart alone, 1,000 clients",
    "load": "the load view, 1,000 clients",
    "idle": "4 charts, no load",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one scene cost; seconds, shares of one core, bytes a second."""

    redraws: int
    redraw_median: float
    redraw_most: float
    held_p99: float
    """Of the callbacks of at least a millisecond."""
    held_most: float
    held_most_cpu: float
    """The largest CPU time of a callback."""
    cpu: float
    written: float = 0.0


class Stopwatch:
    """Times every callback of the event loop, and every redraw of a chart."""

    def __init__(self) -> None:
        self.running = False
        self.held: list[tuple[float, float]] = []
        self.redraws: list[float] = []

    def install(self) -> None:
        """Begin to look; nothing is kept before ``running``."""
        run, redraw = asyncio.Handle._run, Chart.redraw

        def timed_run(handle: asyncio.Handle) -> Any:
            cpu, at = time.thread_time(), time.perf_counter()
            run(handle)
            passed = time.perf_counter() - at
            if self.running and passed >= 0.001:
                self.held.append((passed, time.thread_time() - cpu))

        def timed_redraw(chart: Chart) -> None:
            at = time.thread_time()
            redraw(chart)
            if self.running:
                self.redraws.append(time.thread_time() - at)

        asyncio.Handle._run = timed_run  # type: ignore[assignment, method-assign]
        Chart.redraw = timed_redraw  # type: ignore[assignment, method-assign]


async def play(
    app: WhisperctlApp, scene: str, seconds: float, watch: Stopwatch, warming: float
) -> Cost:
    """Bring the scene about, and return what it costs."""
    if scene != "idle":
        app.loading.start(app.plan)
    if scene == "load":
        app.action_show("load")
    if scene == "maximised":
        chart = app.screen.query_one("#cpu", Chart)
        app.screen.maximize(chart, container=False)
    await asyncio.sleep(warming)
    watch.running = True
    at, cpu = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    share = (time.process_time() - cpu) / (time.monotonic() - at)
    watch.running = False
    held = sorted(passed for passed, _ in watch.held) or [0.0]
    redraws = sorted(watch.redraws) or [0.0]
    return Cost(
        redraws=len(watch.redraws),
        redraw_median=redraws[len(redraws) // 2],
        redraw_most=redraws[-1],
        held_p99=held[int(0.99 * (len(held) - 1))],
        held_most=held[-1],
        held_most_cpu=max((cpu for _, cpu in watch.held), default=0.0),
        cpu=share,
    )


def child(scene: str, seconds: float, warming: float, output: Path) -> int:
    """Run the console for one scene, in this terminal."""
    busy = scene != "idle"
    if busy:
        save_charts(ChartPreferences(charts=tuple(kind.name for kind in KINDS), window="run"))
    spec = StackSpec(name="bench-console", replicas=REPLICAS)
    engine = PaperEngine(spec, busy=busy)
    here = output.parent
    app = WhisperctlApp(
        engine=engine,
        spec=spec,
        plan=LoadPlan(clients=(CLIENTS,), audio_directory=here, results_directory=here),
        store=RunStore(here),
        make_controller=lambda plan: cast("LoadController", PaperController(plan)),
    )
    fill(app.history, engine.names, BEHIND, busy=busy)
    watch = Stopwatch()
    watch.install()

    async def measure() -> None:
        cost = await play(app, scene, seconds, watch, warming)
        await asyncio.to_thread(output.write_text, json.dumps(asdict(cost)))
        app.exit()

    def begin() -> None:
        app.run_worker(measure(), group="bench")

    app.call_later(begin)
    gc.collect()  # as whisperctl tui does
    gc.freeze()
    app.run()
    return app.return_code or 0


def measure(scene: str, size: tuple[int, int], seconds: float, warming: float = WARMING) -> Cost:
    """Run one scene in a terminal of this size; raises RuntimeError when it does not end well."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    written = 0

    def drain() -> None:
        nonlocal written
        while True:
            try:
                data = os.read(main, 65536)
            except OSError:
                return  # the console has closed its end
            if not data:
                return
            written += len(data)

    with tempfile.TemporaryDirectory() as directory:
        output = Path(directory) / "cost.json"
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.console", "--child", scene),
                *("--seconds", str(seconds), "--warming", str(warming), "--output", str(output)),
            ],
            stdin=other,
            stdout=other,
            stderr=other,
            env=os.environ
            | {
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                "WHISPERCTL_ASCII": "0",
                "WHISPERCTL_STATE_DIR": directory,
            },
            start_new_session=True,
        )
        os.close(other)
        reader = threading.Thread(target=drain, daemon=True)
        reader.start()
        try:
            process.wait(timeout=warming + seconds + 60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(timeout=5)
        os.close(main)
        if not output.exists():
            raise RuntimeError(f"Scene {scene} did not end (exit code {process.returncode}).")
        values = json.loads(output.read_text())
    values["written"] = written / (warming + seconds)
    return Cost(**values)


def table(costs: Sequence[tuple[tuple[int, int], str, Cost]]) -> str:
    """Return the figures in Markdown."""
    lines = [
        "| terminal | scene | redraws | redraw median | most | held p99 | most | of that CPU "
        "| CPU | written |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for (width, height), scene, cost in costs:
        milliseconds = " | ".join(
            f"{1000 * value:.1f}"
            for value in (
                cost.redraw_median,
                cost.redraw_most,
                cost.held_p99,
                cost.held_most,
                cost.held_most_cpu,
            )
        )
        lines.append(
            f"| {width}x{height} | {SCENES[scene]} | {cost.redraws} | {milliseconds} "
            f"| {cost.cpu:.1%} | {cost.written / 1000:.1f} kB/s |"
        )
    return "\n".join(lines)


def size_of(text: str) -> tuple[int, int]:
    """Read a size such as 140x45."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size like 140x45")
    return int(width), int(height)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="measured of each scene")
    parser.add_argument("--warming", type=float, default=WARMING, help="seconds before that")
    parser.add_argument("--size", type=size_of, nargs="+", default=[(140, 45), (250, 70)])
    parser.add_argument("--scene", nargs="+", choices=list(SCENES), default=list(SCENES))
    parser.add_argument("--child", choices=list(SCENES), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return child(options.child, options.seconds, options.warming, options.output)
    costs = []
    for size in options.size:
        for scene in options.scene:
            cost = measure(scene, size, options.seconds, options.warming)
            costs.append((size, scene, cost))
            print(f"{size[0]}x{size[1]} {scene}: {cost}", file=sys.stderr)
    print(table(costs))
    print()
    print(console_plots.table())
    slow = [scene for _, scene, cost in costs if cost.held_most_cpu > FRAME]
    dear = [size for size, scene, cost in costs if scene == "idle" and cost.cpu > IDLE]
    if slow:
        print(f"Over {FRAME * 1000:.0f} ms of CPU time in one go: {', '.join(slow)}.")
    if dear:
        print(f"Idle over {IDLE:.0%} of a core: {', '.join(f'{w}x{h}' for w, h in dear)}.")
    return 1 if slow or dear else 0


if __name__ == "__main__":
    sys.exit(main())
