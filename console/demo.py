"""What the demonstration is: its stack, its plan, and how it goes on the terminal."""

from pathlib import Path
from typing import Final

from rich.console import Console

from console.cli.common import INTERRUPTED, UserError, engine_for
from console.cli.load import follow, stopping_in_order
from console.cli.progress import progress_view
from console.render import status_table
from console.rendering.comparison import comparison_tables
from console.target import target_of
from loadtest.comparison.runs import compare
from loadtest.controller import LoadController
from loadtest.plan import LoadPlan
from loadtest.verdict import Verdict, demo_verdict
from stack.engine import Engine
from stack.spec import BalancerSpec, StackSpec
from test_audio import CLIPS_DIRECTORY

DEMO_NAME: Final = "demo"
DEMO_CLIENTS: Final = (1, 2, 4)
DEMO_SECONDS: Final = 15.0
"""Audio of each client."""


def demo_spec(port: int = 0) -> StackSpec:
    """Return the demonstration's stack: two replicas of the offline model on a free port."""
    return StackSpec(name=DEMO_NAME, replicas=2, balancer=BalancerSpec(port=port))


def demo_plan(results: Path, address: str) -> LoadPlan:
    """Return the demonstration's series against the balancer at ``address`` (``host:port``)."""
    host, _, port = address.rpartition(":")
    return LoadPlan(
        clients=DEMO_CLIENTS,
        host=host,
        port=int(port),
        audio_directory=CLIPS_DIRECTORY,
        results_directory=results,
        duration=DEMO_SECONDS,
        label="demo",
    )


async def run_demo(results: Path) -> Verdict:
    """Bring the stack up, run the series, say what came of it, take the stack down again."""
    console = Console(highlight=False)
    engine: Engine = engine_for(DEMO_NAME)
    console.print("[bold]1[/]  A stack of two replicas with the offline model comes up.")
    try:
        await engine.up(demo_spec())
        status = await engine.status()
        console.print(status_table(status, {}))
        assert status.balancer is not None  # noqa: S101 - an up stack has one
        plan = demo_plan(results, status.balancer.address)
        steps = ", ".join(str(count) for count in plan.clients)
        console.print(f"\n[bold]2[/]  {steps} clients talk to it, {DEMO_SECONDS:.0f} s each.")
        controller = LoadController(plan, target=target_of(engine, plan))
        with progress_view() as view, stopping_in_order(controller, view) as stopped:
            runs = await follow(controller, view)
        if stopped():
            raise UserError("The demonstration was interrupted.", exit_code=INTERRUPTED)
        if len(runs) > 1:
            console.print("\n[bold]3[/]  The runs side by side.")
            console.print(comparison_tables(compare(runs), width=console.width))
    finally:
        await engine.close()
        await engine.down()
    verdict = demo_verdict(runs)
    console.print()
    console.print(verdict.sentence, style="bold green" if verdict.passed else "bold red")
    console.print("The stack is down again. Next: 'whisperctl tui', or 'whisperctl compare'.")
    return verdict
