"""``whisperctl audio``: check clips, import recordings."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from console.cli.common import out
from loadtest.audio_import import import_audio
from loadtest.clips import check_directory
from test_audio import CLIPS_DIRECTORY

app = typer.Typer(help="Check and import clips.", no_args_is_help=True)


@app.command("check")
def _check(
    directory: Annotated[Path, typer.Argument(help="Directory of clips.")] = CLIPS_DIRECTORY,
) -> None:
    """List each clip and what is wrong with it; exit code 1 when anything is."""
    reports = check_directory(directory)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("clip", no_wrap=True)
    table.add_column("seconds", justify="right")
    table.add_column("word times")
    table.add_column("state")
    for report in reports:
        clip = report.clip
        table.add_row(
            report.path.name,
            "–" if report.duration is None else f"{report.duration:.1f}",
            "yes" if clip and clip.words else "no",
            "[green]ok[/]" if not report.problems else "[red]" + "; ".join(report.problems) + "[/]",
        )
    out().print(table)
    bad = sum(bool(report.problems) for report in reports)
    typer.echo(f"{len(reports)} clips, {bad} with something wrong." if bad else "All is well.")
    raise typer.Exit(1 if bad else 0)


@app.command("import")
def _import(
    sources: Annotated[list[Path], typer.Argument(help="Audio files, or directories of them.")],
    into: Annotated[Path, typer.Option("--into", help="Directory for the clips.")] = Path("clips"),
    metadata: Annotated[
        Path | None,
        typer.Option(help="An LJSpeech metadata.csv (name|text|normalised text) with references."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace clips already there.")] = False,
) -> None:
    """Convert recordings of any usual format to 16 kHz mono WAV, with their reference texts."""
    outcomes = import_audio(sources, into, metadata=metadata, replace=force)
    for outcome in outcomes:
        typer.echo(f"{outcome.source}: {outcome.sentence}")
    failed = sum(not outcome.imported for outcome in outcomes)
    typer.echo(f"{len(outcomes) - failed} of {len(outcomes)} imported into {into}.")
    raise typer.Exit(1 if failed else 0)
