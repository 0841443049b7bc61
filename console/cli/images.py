"""Commands on images and files: build, export."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from console.cli.common import UserError, out
from stack.spec import DEFAULT_IMAGE


def _build(
    tag: Annotated[str, typer.Option(help="Name of the image.")] = DEFAULT_IMAGE,
    base: Annotated[
        str | None,
        typer.Option(
            help="Image it is built on; without it a slim Python, or with --cuda a CUDA runtime."
        ),
    ] = None,
    cuda: Annotated[bool, typer.Option("--cuda", help="For hosts with NVIDIA cards.")] = False,
    wheels: Annotated[
        Path | None,
        typer.Option(help="Directory of wheels; pip then asks no package index."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(help="Network of the build, such as 'host'.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print all that the builder says.")
    ] = False,
) -> None:
    """Build the image of replica, collector and load generator."""
    # Docker's SDK takes a while to load; only these commands need it.
    from stack.docker.client import connect  # noqa: PLC0415
    from stack.images.build import CUDA_BASE, DEFAULT_BASE, build_image  # noqa: PLC0415

    if wheels is not None and not wheels.is_dir():
        raise UserError(f"Directory {wheels} of --wheels is missing.", exit_code=2)
    chosen = base or (CUDA_BASE if cuda else DEFAULT_BASE)
    lines = build_image(connect(), tag=tag, base=chosen, wheels=wheels, network=network)
    if verbose:
        for line in lines:
            typer.echo(line)
    else:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=out(), transient=True) as progress:
            task = progress.add_task("Building …")
            for line in lines:
                progress.update(task, description=line[:100])
    typer.echo(f"Image {tag} is built on {chosen}.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("build")(_build)
