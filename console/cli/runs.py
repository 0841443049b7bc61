"""Commands on saved runs: runs, show, compare."""

from typing import Annotated

import typer

from console.cli.common import (
    DEFAULT_RESULTS,
    JsonOption,
    ResultsOption,
    UserError,
    out,
    print_json,
    run_index_directory,
)
from console.render import run_table
from console.rendering.comparison import comparison_tables
from console.rendering.markdown import comparison_markdown, series_markdown
from console.rendering.run import run_details
from console.rendering.series import series_tables
from loadtest.comparison.runs import compare
from loadtest.comparison.series import compare_series
from loadtest.store import RunStore


def open_store(results_dir: ResultsOption) -> RunStore:
    """Open a results directory; runs whose writer died are recovered first."""
    if results_dir.exists() and not results_dir.is_dir():
        raise UserError(
            f"{results_dir} is no directory; name the one that holds the runs.", exit_code=2
        )
    store = RunStore(results_dir, index_directory=run_index_directory())
    for path in store.recover():
        typer.echo(f"Recovered the interrupted run {path.name}.", err=True)
    return store


def _runs(results_dir: ResultsOption = DEFAULT_RESULTS, as_json: JsonOption = False) -> None:
    """List the saved runs, newest first; broken or foreign files are listed as such."""
    entries = open_store(results_dir).entries()
    if as_json:
        print_json(
            [
                {slot: getattr(entry, slot) for slot in entry.__dataclass_fields__}
                for entry in entries
            ]
        )
        return
    if not entries:
        typer.echo(f"There is no run in {results_dir} yet; 'whisperctl load' makes one.")
        return
    out().print(run_table(entries))


RunArgument = Annotated[str, typer.Argument(help="Id, file, a beginning of the id, or 'latest'.")]


def _show(
    run: RunArgument = "latest",
    results_dir: ResultsOption = DEFAULT_RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Show one run: latencies, words, replicas, failures."""
    found = open_store(results_dir).load(run)
    if as_json:
        typer.echo(found.model_dump_json(by_alias=True, indent=1))
        return
    out().print(run_details(found))


def _compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Two or more runs, or two or more series; the first is the measure."),
    ],
    series: Annotated[
        bool,
        typer.Option("--series", help="Compare the whole series of the runs that are named."),
    ] = False,
    results_dir: ResultsOption = DEFAULT_RESULTS,
    as_json: JsonOption = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print GitHub Markdown, for issues and reports.")
    ] = False,
) -> None:
    """Show runs or series side by side: configuration, then every figure with its interval.

    A series is named by its id or a beginning of it, or with --series by any of its runs.

    Better and worse are said only where the interval leaves out 0.
    """
    if len(runs) < 2:
        raise UserError(
            "compare needs two or more runs; 'whisperctl runs' lists them.", exit_code=2
        )
    if as_json and markdown:
        raise UserError("Give either --json or --markdown.", exit_code=2)
    store = open_store(results_dir)
    if series or _are_series(store, runs):
        _print_series(store, runs, as_json=as_json, markdown=markdown)
        return
    comparison = compare([store.load(run) for run in runs])
    if as_json:
        print_json(comparison.as_json())
    elif markdown:
        typer.echo(comparison_markdown(comparison), nl=False)
    else:
        console = out()
        console.print(comparison_tables(comparison, width=console.width))


def _are_series(store: RunStore, selectors: list[str]) -> bool:
    """Tell whether series are named; raises UserError when runs and series are mixed."""
    found = [bool(store.series_ids(selector)) for selector in selectors]
    if any(found) and not all(found):
        run = selectors[found.index(False)]
        raise UserError(
            f"'{run}' is no series but the others are; --series compares the series it is of.",
            exit_code=2,
        )
    return all(found)


def _print_series(store: RunStore, selectors: list[str], *, as_json: bool, markdown: bool) -> None:
    ids = [store.find_series(selector) for selector in selectors]
    if len(set(ids)) < len(ids):
        raise UserError(
            f"The same series is named twice ({max(ids, key=ids.count)}); name another one.",
            exit_code=2,
        )
    comparison = compare_series([store.load_series(series_id) for series_id in ids])
    if as_json:
        print_json(comparison.as_json())
    elif markdown:
        typer.echo(series_markdown(comparison), nl=False)
    else:
        console = out()
        console.print(series_tables(comparison, width=console.width))


def register(app: typer.Typer) -> None:
    """Add the commands on saved runs."""
    app.command("runs")(_runs)
    app.command("show")(_show)
    app.command("compare")(_compare)
