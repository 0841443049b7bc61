"""``whisperctl export``: saved runs for other tools; other modules add their own commands."""

from pathlib import Path
from typing import Annotated

import typer

from console.cli.common import DEFAULT_RESULTS, ResultsOption, UserError
from console.cli.runs import RunArgument, open_store
from loadtest.exports.events import json_lines
from loadtest.exports.tables import Table, csv_text
from stack.files import write_atomically

export_app = typer.Typer(
    name="export",
    help="Write runs for other tools, or files that run a stack without whisperctl.",
    no_args_is_help=True,
)

_OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write; standard output without it."),
]
_ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


@export_app.command("csv")
def _csv(
    run: RunArgument = "latest",
    what: Annotated[
        Table, typer.Option(help="One row a latency sample, a client, or a second and part.")
    ] = Table.SAMPLES,
    output: _OutputOption = None,
    force: _ForceOption = False,
    results_dir: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Write a run as a table for spreadsheets and data frames."""
    _put(csv_text(open_store(results_dir).load(run), what), output, force=force)


@export_app.command("jsonl")
def _jsonl(
    run: RunArgument = "latest",
    output: _OutputOption = None,
    force: _ForceOption = False,
    results_dir: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Write what happened in a run, one JSON object a line, in order of time."""
    _put(json_lines(open_store(results_dir).load(run)), output, force=force)


@export_app.command("prometheus")
def _prometheus(
    run: RunArgument = "latest",
    output: _OutputOption = None,
    force: _ForceOption = False,
    results_dir: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Write a run's figures in Prometheus' text format, for a textfile collector or Pushgateway."""
    # Only this command needs Prometheus' client.
    from loadtest.exports.prometheus import prometheus_text  # noqa: PLC0415

    _put(prometheus_text(open_store(results_dir).load(run)), output, force=force)


def _put(text: str, output: Path | None, *, force: bool) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    write_file(output, text, force=force)
    typer.echo(f"{output} is written.", err=True)


def write_file(path: Path, text: str, *, force: bool) -> None:
    """Write a file whole or not at all; raises UserError when it is there already or can't be."""
    if path.exists() and not force:
        raise UserError(f"{path} is there already; replace it with --force, or name another place.")
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UserError(f"{path} can't be written: {error.strerror}.") from None


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(export_app)
