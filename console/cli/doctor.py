"""``whisperctl doctor``: what this machine has and lacks, in a table."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from console.cli.common import (
    DEFAULT_RESULTS,
    BalancerImageOption,
    ImageOption,
    JsonOption,
    ResultsOption,
    out,
    print_json,
)
from stack.doctor import Finding, Health, examine
from stack.spec import DEFAULT_BALANCER_IMAGE, DEFAULT_IMAGE, DEFAULT_PORT, EngineName

_HEALTH_STYLE = {Health.GOOD: "green", Health.NOTE: "yellow", Health.BAD: "red"}


def _table(findings: Sequence[Finding]) -> RenderableType:
    """Show what a machine has and lacks, and what to do."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("looked at", "", "engine", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(
            finding.what,
            Text(finding.health.value, style=_HEALTH_STYLE[finding.health]),
            finding.engine.value if finding.engine else "",
            escape(finding.text),
        )
    return table


def _doctor(
    engine: Annotated[
        EngineName | None, typer.Option("--engine", help="The engine one means to use.")
    ] = None,
    image: ImageOption = DEFAULT_IMAGE,
    balancer_image: BalancerImageOption = DEFAULT_BALANCER_IMAGE,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of the balancer.")
    ] = DEFAULT_PORT,
    results_dir: ResultsOption = DEFAULT_RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Look at what a stack needs: Python, memory, port, GPUs, Docker, images.

    Exit code 1 when something is missing that the engine named with --engine needs, or, without
    --engine, that both need.
    """
    findings = list(
        examine(results=results_dir, image=image, balancer_image=balancer_image, port=port)
    )
    if as_json:
        print_json(
            [
                {
                    "what": finding.what,
                    "health": finding.health.value,
                    "text": finding.text,
                    "engine": finding.engine.value if finding.engine else None,
                }
                for finding in findings
            ]
        )
    else:
        out().print(_table(findings))
    missing = [finding for finding in findings if finding.health is Health.BAD]
    if any(finding.engine is None or finding.engine is engine for finding in missing):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(_doctor)
