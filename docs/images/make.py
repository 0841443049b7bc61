"""Takes the pictures of the README: the real console over a real stack under real load.

``make pictures``. It needs a quiet minute and a half; the figures in the pictures are measured.
"""

import asyncio
import tempfile
from pathlib import Path

from console.cli.common import engine_for
from console.cli.view import make_app
from console.screens.compare import CompareScreen
from loadtest.plan import LoadPlan
from stack.spec import BalancerSpec, StackSpec
from test_audio import CLIPS_DIRECTORY

HERE = Path(__file__).parent


async def take(results: Path) -> None:
    """Bring a stack up, put load on it, and export two screens."""
    engine = engine_for("pictures")
    spec = StackSpec(name="pictures", replicas=3, balancer=BalancerSpec(port=0))
    plan = LoadPlan(
        clients=(6, 8),
        audio_directory=CLIPS_DIRECTORY,
        results_directory=results,
        duration=40.0,
        ramp=6.0,
        label="evening",
    )
    app = make_app(engine, spec, plan)
    try:
        async with app.run_test(size=(140, 40)) as pilot:
            await pilot.press("u")
            while app.live.status.ready_replicas < spec.replicas:
                await pilot.pause(0.2)
            await pilot.press("l")
            await pilot.pause(0.5)
            await pilot.press("enter")
            while app.live.load is None or app.live.load.step < 2 or app.live.load.elapsed < 36:
                await pilot.pause(0.2)
            (HERE / "dashboard.svg").write_text(app.export_screenshot(title="whisperctl tui"))
            while app.live.load is not None:
                await pilot.pause(0.2)
            runs = [app.store.load(f"run_{clients}_clients") for clients in plan.clients]
            app.push_screen(CompareScreen(runs))
            await pilot.pause(1.0)
            while "Comparing" in app.export_screenshot():
                await pilot.pause(0.2)
            (HERE / "comparison.svg").write_text(app.export_screenshot(title="whisperctl tui"))
    finally:
        await engine.down()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(take(Path(directory)))
