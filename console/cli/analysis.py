"""Commands that say what a series of runs means: analyze, report."""

from typing import Annotated

import typer

from console.cli.common import (
    DEFAULT_RESULTS,
    JsonOption,
    ResultsOption,
    UserError,
    out,
    print_json,
)
from console.cli.runs import open_store
from console.rendering.analysis import analysis_markdown, analysis_tables
from loadtest.analysis.series import HEADROOM, analyse

SeriesArgument = Annotated[
    str, typer.Argument(help="A series' id, a beginning of it, any of its runs, or 'latest'.")
]
HeadroomOption = Annotated[
    float,
    typer.Option(min=0, max=0.9, help="Fraction of the capacity that the advice leaves free."),
]


def _analyze(
    series: SeriesArgument = "latest",
    headroom: HeadroomOption = HEADROOM,
    results_dir: ResultsOption = DEFAULT_RESULTS,
    as_json: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print GitHub Markdown, for issues and reports.")
    ] = False,
) -> None:
    """Say what a series found: how many clients hold, what breaks first, and what to change."""
    if as_json and markdown:
        raise UserError("Give either --json or --markdown.", exit_code=2)
    store = open_store(results_dir)
    analysis = analyse(store.load_series(store.find_series(series)), headroom=headroom)
    if as_json:
        print_json(analysis.as_json())
    elif markdown:
        typer.echo(analysis_markdown(analysis), nl=False)
    else:
        out().print(analysis_tables(analysis))


def register(app: typer.Typer) -> None:
    """Add the commands on series."""
    app.command("analyze")(_analyze)
