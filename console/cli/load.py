"""``whisperctl load``: put load on a server and save every step."""

import asyncio
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import aclosing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Protocol

import typer

from console.cli.common import (
    DEFAULT_RESULTS,
    INTERRUPTED,
    EngineOption,
    NameOption,
    ResultsOption,
    UserError,
    engine_for,
    run_async,
)
from console.cli.load_options import make_plan, read_address, read_counts
from console.cli.progress import ProgressView, progress_view
from console.signals import ending_signals
from console.target import at_balancer, inside_place, target_of
from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.plan import DEFAULT_MAX_CLIENTS, MAX_CLIENTS, LoadPlan, Slo
from loadtest.runfile import Run
from loadtest.store import run_bytes
from loadtest.verdict import failures_sentence, meets_slo, outcome
from stack.engine import Engine
from stack.files import write_atomically
from stack.protocol import AudioFormat
from stack.spec import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_STACK_NAME, KEY_VARIABLE
from test_audio import CLIPS_DIRECTORY

FAILED_ON: Final = 3
"""Exit code when what ``--fail-on`` names came about."""


class FailOn(StrEnum):
    """What makes a load end with an exit code of its own."""

    SLO = "slo"
    FAILURES = "failures"


def _load(
    num_clients: Annotated[
        int | None, typer.Option("--num-clients", min=1, help="One step of this many clients.")
    ] = None,
    clients: Annotated[
        str | None, typer.Option("--clients", help="Steps, such as 5,10,20,30.")
    ] = None,
    host: Annotated[str, typer.Option(help="Where the server listens.")] = DEFAULT_HOST,
    port: Annotated[int, typer.Option(min=1, max=65535)] = DEFAULT_PORT,
    url: Annotated[
        str | None,
        typer.Option(help="The same as one address: ws://HOST:PORT/PATH, or wss:// for TLS."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option(help="wss: trust these certificates (PEM) instead.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="wss: don't check the certificate.")
    ] = False,
    audio_dir: Annotated[
        Path, typer.Option(help="Clips: 16 kHz mono WAV with reference texts.")
    ] = CLIPS_DIRECTORY,
    results_dir: ResultsOption = DEFAULT_RESULTS,
    output_file: Annotated[
        Path | None,
        typer.Option(
            help="Write the run here too; of several steps each gets _N_clients in its name."
        ),
    ] = None,
    chunk_ms: Annotated[
        float, typer.Option(min=10, max=10_000, help="Milliseconds of audio a message.")
    ] = 100,
    ramp: Annotated[
        float, typer.Option(min=0, help="Seconds over which the clients of a step start.")
    ] = 0.0,
    duration: Annotated[
        float | None,
        typer.Option(min=0.5, help="Seconds of audio each client sends; one clip each without."),
    ] = None,
    gap: Annotated[
        float,
        typer.Option(min=0, help="Mean seconds of silence between a client's clips."),
    ] = 0.0,
    reconnect: Annotated[
        bool,
        typer.Option(
            "--reconnect",
            help="Clients whose connection is lost come back with the same uid and go on.",
        ),
    ] = False,
    cool_down: Annotated[
        float, typer.Option(min=0, help="Seconds between steps; 15 times that after a miss.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Chooses the clips; same seed, same audio.")] = 1,
    label: Annotated[str, typer.Option(help="A name for these runs.")] = "",
    language: Annotated[str, typer.Option(help="Language code, or 'auto' to detect.")] = "en",
    vad: Annotated[bool, typer.Option("--vad/--no-vad", help="Ask for voice detection.")] = True,
    audio_format: Annotated[
        AudioFormat, typer.Option(help="Encoding of the samples sent.")
    ] = AudioFormat.FLOAT32,
    connect_timeout: Annotated[float, typer.Option(min=0.1, help="Seconds.")] = 30.0,
    finish_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds a server may take after the last audio.")
    ] = 30.0,
    slo_p95: Annotated[
        float | None, typer.Option(min=0.001, help="Largest p95 latency allowed, seconds.")
    ] = None,
    slo_word_p95: Annotated[
        float | None,
        typer.Option(min=0.001, help="Largest p95 word latency allowed, seconds; else no limit."),
    ] = None,
    slo_success: Annotated[
        float | None, typer.Option(min=0, max=1, help="Smallest fraction of successes allowed.")
    ] = None,
    slo_wer: Annotated[
        float | None,
        typer.Option(min=0, help="How much WER may exceed the first step's, as a fraction."),
    ] = None,
    find_capacity: Annotated[
        bool,
        typer.Option(
            "--find-capacity",
            help="Look for the largest number of clients that meets the SLO: double, bisect, "
            "confirm.",
        ),
    ] = False,
    max_clients: Annotated[
        int, typer.Option(min=1, max=MAX_CLIENTS, help="No more than these in that search.")
    ] = DEFAULT_MAX_CLIENTS,
    trials: Annotated[
        int,
        typer.Option(
            min=1, max=9, help="Runs at most that decide about a count near the limit, in a search."
        ),
    ] = 3,
    stop_early: Annotated[
        bool,
        typer.Option(
            "--stop-early",
            help="End a step once it is certain to miss the SLO, as that search does.",
        ),
    ] = False,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(
            help="Exit with code 3 when a run missed its SLO, or when any session failed; may be "
            "given twice."
        ),
    ] = None,
    inside: Annotated[
        bool,
        typer.Option(
            "--inside", help="Run the generator in a container on the stack's own network."
        ),
    ] = False,
    name: NameOption = DEFAULT_STACK_NAME,
    engine: EngineOption = None,
) -> None:
    """Stream clips to a WhisperLive server as people talk, and measure what comes back.

    A server that wants a key gets it from the environment: WHISPERCTL_API_KEY. Our own stacks' keys
    are known.

    Exit code 1 when an SLO named on the command line isn't met or not one session succeeded; 3 for
    what --fail-on names.
    """
    if fail_on and find_capacity:
        raise UserError(
            "--find-capacity goes on until a step misses the SLO, so --fail-on says nothing of it; "
            "leave --fail-on away: exit code 1 says that no count met the SLO.",
            exit_code=2,
        )
    counts = read_counts(num_clients, clients, find_capacity=find_capacity)
    named = {
        "p95_latency": slo_p95,
        "p95_word_latency": slo_word_p95,
        "success_rate": slo_success,
        "wer_over_baseline": slo_wer,
    }
    slo = Slo(**{key: value for key, value in named.items() if value is not None})
    plan = make_plan(
        clients=counts,
        find_capacity=max_clients if find_capacity else None,
        trials=trials,
        stop_early=stop_early,
        **read_address(url, host, port, ca_file=ca_file, insecure=insecure),
        api_key=os.environ.get(KEY_VARIABLE) or None,
        audio_directory=audio_dir,
        results_directory=results_dir,
        chunk=chunk_ms / 1000,
        ramp=ramp,
        duration=duration,
        gap=gap,
        reconnect=reconnect,
        cool_down=cool_down,
        seed=seed,
        label=label,
        language=None if language == "auto" else language,
        use_vad=vad,
        audio_format=audio_format,
        connect_timeout=connect_timeout,
        finish_timeout=finish_timeout,
        slo=slo,
    )
    strict = any(value is not None for value in named.values())
    code = run_async(
        run_load(
            plan,
            engine=engine_for(name, engine),
            output=output_file,
            strict=strict,
            inside=inside,
            fail_on=fail_on or (),
        )
    )
    raise typer.Exit(code)


async def run_load(
    plan: LoadPlan,
    *,
    engine: Engine,
    output: Path | None = None,
    strict: bool = False,
    inside: bool = False,
    fail_on: Collection[FailOn] = (),
) -> int:
    """Run a plan with progress on the terminal; returns the exit code."""
    place = None
    if inside:
        status = await engine.status()
        plan = at_balancer(plan, status)
        place = await asyncio.to_thread(inside_place, status, plan)
    controller = LoadController(plan, target=target_of(engine, plan), place=place)
    with progress_view() as view, stopping_in_order(controller, view) as stopped:
        steps = 2 if plan.find_capacity else len(plan.clients)
        try:
            runs = await follow(controller, view, output=output, steps=steps)
        finally:
            await engine.close()
    found = controller.capacity
    verdict = outcome(runs, found)
    typer.echo(verdict.sentence)
    failed = failures_sentence(runs)
    if failed:
        typer.echo(failed)
    if stopped():
        return INTERRUPTED
    if FailOn.SLO in fail_on and not all(meets_slo(run) for run in runs):
        return FAILED_ON
    if FailOn.FAILURES in fail_on and failed:
        return FAILED_ON
    if found is not None:
        return 0 if verdict.passed else 1
    if strict and not all(run.summary.slo and run.summary.slo.met for run in runs):
        return 1
    return 0 if any(run.summary.successful_clients for run in runs) else 1


class Stoppable(Protocol):
    """What ends in order when it is told to."""

    def stop(self) -> None:
        """End, and keep what was measured."""
        ...


class Notes(Protocol):
    """Shows sentences."""

    def note(self, text: str) -> None:
        """Show one."""
        ...


@contextmanager
def stopping_in_order(
    controller: Stoppable, view: Notes, *, again: Callable[[], None] | None = None
) -> Iterator[Callable[[], bool]]:
    """Make Ctrl-C, SIGTERM and a closed terminal stop the series in order.

    A second one calls ``again``, or gives up at once. Yields a function that says whether that was
    asked for.
    """
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked and again is not None:
            again()
            return
        if asked:
            raise KeyboardInterrupt
        asked = True
        # First, for the terminal that would show the sentence may be gone.
        controller.stop()
        view.note("Stopping; what was measured is kept (Ctrl-C again to give up at once).")

    loop = asyncio.get_running_loop()
    ending = ending_signals()
    for number in ending:
        loop.add_signal_handler(number, stop)
    try:
        yield lambda: asked
    finally:
        for number in ending:
            loop.remove_signal_handler(number)


async def follow(
    controller: LoadController, view: ProgressView, *, output: Path | None = None, steps: int = 1
) -> list[Run]:
    """Show a controller's events on ``view`` until the series ends; returns its runs."""
    runs: list[Run] = []
    async with aclosing(controller.run()) as events:
        async for event in events:
            view.show(event)
            if isinstance(event, StepFinished):
                runs.append(event.run)
                if output is not None:
                    await asyncio.to_thread(_write_copy, event, output, steps)
    return runs


def _write_copy(finished: StepFinished, output: Path, steps: int) -> None:
    if steps > 1:
        number = finished.run.test_configuration.num_clients
        output = output.with_name(f"{output.stem}_{number}_clients{output.suffix or '.json'}")
    try:
        write_atomically(output, run_bytes(finished.run))
    except OSError as error:
        itself = f"; the run itself is saved as {finished.path}" if finished.path else ""
        raise UserError(
            f"--output-file {output} can't be written: {error.strerror}{itself}."
        ) from None


def register(app: typer.Typer) -> None:
    """Add the load command."""
    app.command("load")(_load)
