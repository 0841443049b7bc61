"""Entry point: puts the commands together and turns errors into one sentence and an exit code.

Exit codes: 0 done, 1 failure, 2 usage, 3 what ``load --fail-on`` names, 130 interrupted from the
keyboard.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from console.cli import (
    analysis,
    audio,
    calibrate,
    config,
    doctor,
    export,
    images,
    load,
    metrics,
    rest,
    runs,
    serve,
    stacks,
    view,
)
from console.cli.common import INTERRUPTED, UserError, known_errors

app = typer.Typer(
    name="whisperctl",
    help="Run a stack of WhisperLive replicas, put load on it, and compare the runs.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"whisperctl {version('whisperctl')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Run a stack of WhisperLive replicas, put load on it, and compare the runs."""


view.register(app)
serve.register(app)
stacks.register(app)
images.register(app)
export.register(app)
doctor.register(app)
load.register(app)
calibrate.register(app)
metrics.register(app)
runs.register(app)
analysis.register(app)
app.add_typer(rest.app, name="rest")
app.add_typer(audio.app, name="audio")
app.add_typer(config.app, name="config")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. No traceback for what a user can cause."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="whisperctl")
    except SystemExit as end:
        # Typer has said what there is to say of wrong usage (2) and Ctrl-C (130).
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        _complain("Interrupted.")
        return INTERRUPTED
    except known_errors() as error:
        _complain(str(error))
        return error.exit_code if isinstance(error, UserError) else 1
    except BrokenPipeError:
        # The reader of our output (head, less) has gone: nothing is wrong. What is still buffered
        # must go nowhere, or the interpreter complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def _complain(sentence: str) -> None:
    typer.echo(f"whisperctl: {sentence}", err=True)


if __name__ == "__main__":
    sys.exit(main())
