"""Commands that say what a series of runs means: analyze, report."""

from pathlib import Path
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
from console.cli.export import write_file
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


def _report(
    series: SeriesArgument = "latest",
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, or - for standard output; without it report_<series>.html "
            "beside the runs.",
        ),
    ] = None,
    headroom: HeadroomOption = HEADROOM,
    with_texts: Annotated[
        bool,
        typer.Option(
            "--with-texts",
            help="Put in what was said and what was heard: as private as the audio.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    results_dir: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Write one HTML page on a series, to read, print, or attach: answer, plots, every figure.

    It needs nothing but a browser. Without --output the last report on the series is replaced.
    """
    # Only this command draws.
    from loadtest.report.page import series_page  # noqa: PLC0415

    store = open_store(results_dir)
    series_id = store.find_series(series)
    page = series_page(store.load_series(series_id), headroom=headroom, with_texts=with_texts)
    if output == "-":
        typer.get_binary_stream("stdout").write(page.encode())
        return
    path = Path(output) if output is not None else results_dir / f"report_{series_id}.html"
    write_file(path, page, force=force or output is None)
    typer.echo(str(path))


def register(app: typer.Typer) -> None:
    """Add the commands on series."""
    app.command("analyze")(_analyze)
    app.command("report")(_report)
