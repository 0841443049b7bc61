"""``whisperctl calibrate``: how far this machine's load generator can be trusted."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from console.calibration import calibration_path
from console.cli.common import JsonOption, UserError, print_json, run_async
from loadtest.calibration.record import Accuracy, Calibration, save
from loadtest.calibration.search import CalibrationPlan, calibrate
from loadtest.plan import MAX_CLIENTS
from test_audio import CLIPS_DIRECTORY


def _calibrate(
    max_clients: Annotated[
        int, typer.Option(min=1, max=MAX_CLIENTS, help="No more than these.")
    ] = 2000,
    duration: Annotated[
        float, typer.Option(min=1, max=600, help="Seconds of audio each client sends.")
    ] = 6.0,
    chunk_ms: Annotated[
        float, typer.Option(min=10, max=10_000, help="Milliseconds of audio a message.")
    ] = 100,
    audio_dir: Annotated[
        Path, typer.Option(help="Clips to send; what they say doesn't matter.")
    ] = CLIPS_DIRECTORY,
    as_json: JsonOption = False,
) -> None:
    """Find how many clients this machine drives before the load generator itself distorts.

    A server that answers after exactly known delays takes the place of WhisperLive; what is
    reported beyond them is the generator's own. Do it while nothing else runs. Later runs with more
    clients than this are marked.
    """
    try:
        plan = CalibrationPlan(audio_dir, max_clients, duration, chunk_ms / 1000)
    except ValueError as error:
        raise UserError(f"Such a calibration is not possible: {error}.", exit_code=2) from None
    calibration = run_async(_follow(plan, quiet=as_json))
    path = calibration_path()
    if calibration.clients:
        try:
            save(calibration, path)
        except OSError as error:
            raise UserError(
                f"The calibration can't be saved as {path}: {error.strerror}; name another "
                "directory with WHISPERCTL_STATE_DIR."
            ) from None
    if as_json:
        print_json(calibration.model_dump(mode="json", by_alias=True))
    else:
        typer.echo(_sentence(calibration))
        if calibration.clients:
            typer.echo(f"saved {path}")
    raise typer.Exit(0 if calibration.clients else 1)


async def _follow(plan: CalibrationPlan, *, quiet: bool) -> Calibration:
    # Here, because it loads NVML.
    from stack.telemetry.environment import environment  # noqa: PLC0415

    facts = (await asyncio.to_thread(environment)).model_dump(mode="json")
    if not quiet:
        typer.echo("Reported minus injected latency, by clients and injected delay:")
        typer.echo(
            f"{'clients':>8}  {'delay':>7}  {'median':>8}  {'p95':>8}  {'p99':>8}  {'slip p99':>8}"
            "  generator CPU"
        )
    async for event in calibrate(plan, facts):
        if isinstance(event, Calibration):
            return event
        if not quiet:
            typer.echo(_line(event))
    raise AssertionError("a calibration says what it came to")


def _line(step: Accuracy) -> str:
    errors = "  ".join(
        f"{'–' if value is None else f'{value * 1000:+.1f} ms':>8}"
        for value in (step.median_error, step.p95_error, step.p99_error)
    )
    slip = "–" if step.slip_p99 is None else f"{step.slip_p99 * 1000:.1f} ms"
    cpu = "–" if step.generator_cpu is None else f"{step.generator_cpu:.2f} cores"
    line = f"{step.clients:>8}  {step.delay * 1000:>4.0f} ms  {errors}  {slip:>8}  {cpu}"
    return line + "".join(f"\n{'':>10}distorts: {problem}" for problem in step.problems)


def _sentence(calibration: Calibration) -> str:
    if not calibration.clients:
        return (
            "Not even the smallest number of clients could be measured without distortion: is the "
            "machine busy with something else? Nothing was saved."
        )
    text = (
        f"This machine drives {calibration.clients} clients "
        f"({calibration.messages_a_second:,.0f} messages a second) before the load generator "
        "itself distorts."
    )
    if calibration.capped:
        text += " Nothing larger was tried, see --max-clients."
    return text + (
        " The server of known delay took its share of the machine; a real stack on it takes more, "
        "so look at the slip of every run."
    )


def register(app: typer.Typer) -> None:
    """Add the calibrate command."""
    app.command("calibrate")(_calibrate)
