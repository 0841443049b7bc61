"""The console and the demonstration: ``whisperctl tui`` and ``whisperctl demo``."""

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

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
    engine_for,
    engine_name,
    run_async,
    run_index_directory,
)
from console.cli.stacks import make_spec
from console.preferences import Preferences, speaks_unicode
from console.preferences import read as read_preferences
from console.target import target_of
from loadtest.controller import LoadController
from loadtest.plan import LoadPlan
from loadtest.store import RunStore
from stack.engine import Engine
from stack.spec import (
    DEFAULT_BALANCER_IMAGE,
    DEFAULT_HOST,
    DEFAULT_IMAGE,
    DEFAULT_PORT,
    DEFAULT_STACK_NAME,
    StackSpec,
)
from test_audio import CLIPS_DIRECTORY

if TYPE_CHECKING:
    from console.app import WhisperctlApp

_EVENTS: Final = 30
"""Lines of the events list that the report of a crash holds."""


AsciiOption = Annotated[
    bool | None,
    typer.Option(
        "--ascii/--unicode",
        help="Draw with ASCII only; without it as the preferences say, else as the locale does.",
    ),
]


def _tui(
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas that 'u' brings up.")] = 2,
    model: Annotated[str, typer.Option(help="Model that 'u' brings up.")] = "offline",
    port: Annotated[int, typer.Option(min=0, max=65535)] = DEFAULT_PORT,
    image: ImageOption = DEFAULT_IMAGE,
    balancer_image: BalancerImageOption = DEFAULT_BALANCER_IMAGE,
    gpus: GpusOption = "auto",
    audio_dir: Annotated[Path, typer.Option(help="Clips for load.")] = CLIPS_DIRECTORY,
    results_dir: ResultsOption = DEFAULT_RESULTS,
    ascii_only: AsciiOption = None,
) -> None:
    """Open the console: watch the stack, scale it, put load on it, compare runs."""
    chosen = engine_name(name, engine)
    spec = make_spec(
        name=name,
        engine=chosen,
        replicas=replicas,
        model=model,
        port=port,
        containers={"image": image, "balancer_image": balancer_image, "gpus": gpus},
    )
    plan = LoadPlan(
        clients=(1, 2, 4),
        host=DEFAULT_HOST,
        port=port or DEFAULT_PORT,
        audio_directory=audio_dir,
        results_directory=results_dir,
        duration=20.0,
    )
    raise typer.Exit(_open(spec, plan, demo=False, ascii_only=ascii_only))


def _demo(
    results_dir: ResultsOption = DEFAULT_RESULTS,
    tui: Annotated[bool, typer.Option("--tui", help="Show it in the console.")] = False,
    ascii_only: AsciiOption = None,
) -> None:
    """Show the whole job: a stack comes up, 1, 2 and 4 clients talk, the runs are compared.

    Exit code 0 only if every session succeeded and WER is under 15 %.
    """
    from console.demo import demo_plan, demo_spec, run_demo  # noqa: PLC0415 - loads the engine

    if tui:
        spec = demo_spec()
        plan = demo_plan(results_dir, f"{DEFAULT_HOST}:{DEFAULT_PORT}")
        raise typer.Exit(_open(spec, plan, demo=True, ascii_only=ascii_only))
    raise typer.Exit(0 if run_async(run_demo(results_dir)).passed else 1)


def make_app(
    engine: Engine,
    spec: StackSpec,
    plan: LoadPlan,
    *,
    demo: bool = False,
    preferences: Preferences | None = None,
    ascii_only: bool = False,
) -> "WhisperctlApp":
    """Put a console together over this engine and the plan's results directory."""
    # Textual takes a while to load; only the console needs it.
    from console.app import WhisperctlApp  # noqa: PLC0415
    from stack.telemetry.gpu import GpuReader  # noqa: PLC0415 - NVML, likewise

    return WhisperctlApp(
        engine=engine,
        spec=spec,
        plan=plan,
        store=RunStore(plan.results_directory, index_directory=run_index_directory()),
        make_controller=lambda plan: LoadController(plan, target=target_of(engine, plan)),
        cards=GpuReader().cards,
        demo=demo,
        preferences=preferences,
        ascii_only=ascii_only,
    )


def _open(spec: StackSpec, plan: LoadPlan, *, demo: bool, ascii_only: bool | None) -> int:
    wishes = read_preferences()
    if ascii_only is None:
        ascii_only = wishes.console.ascii
    if ascii_only is None:
        ascii_only = not speaks_unicode(os.environ)
    app = make_app(
        engine_for(spec.name, spec.engine),
        spec,
        plan,
        demo=demo,
        preferences=wishes,
        ascii_only=ascii_only,
    )
    app.store.recover()
    return run_console(app)


def run_console(app: "WhisperctlApp") -> int:
    """Run a console and return its exit code; raises UserError that names the report of a crash."""
    from console.crash import crash_sentence  # noqa: PLC0415 - as Textual
    from console.terminal import terminal_kept  # noqa: PLC0415 - likewise

    crash: BaseException | str | None
    try:
        # What is loaded by now stays: looking through it for garbage held a screen up for 0.1 s.
        gc.collect()
        gc.freeze()
        with terminal_kept():
            app.run()
        crash = app.crash
    except Exception as error:
        crash = error
    if crash is None:
        return app.return_code or 0
    # The series that ran has lost its console: what was measured is a run from now on.
    app.store.recover()
    events = [f"{one.clock}  {one.subject}: {one.text}" for one in app.live.happenings[-_EVENTS:]]
    key = app.plan.api_key
    raise UserError(
        crash_sentence(
            crash, events, size=app.size, secrets=[key.get_secret_value()] if key else []
        )
    )


def register(app: typer.Typer) -> None:
    """Add the console and the demonstration."""
    app.command("tui")(_tui)
    app.command("demo")(_demo)
