"""``whisperctl doctor``: what this machine has and lacks, in a table."""

from typing import Annotated

import typer

from console.cli.common import (
    DEFAULT_RESULTS,
    BalancerImageOption,
    ImageOption,
    JsonOption,
    ResultsOption,
    out,
    print_json,
)
from console.rendering.doctor import findings_table
from stack.doctor import Health, examine
from stack.spec import DEFAULT_BALANCER_IMAGE, DEFAULT_IMAGE, DEFAULT_PORT, EngineName


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
        out().print(findings_table(findings))
    missing = [finding for finding in findings if finding.health is Health.BAD]
    if any(finding.engine is None or finding.engine is engine for finding in missing):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(_doctor)
