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
)
from console.render import run_details, run_table
from console.rendering.comparison import comparison_tables
from loadtest.comparison.runs import compare
from loadtest.store import RunStore


def open_store(results_dir: ResultsOption) -> RunStore:
    """Open a results directory; runs whose writer died are recovered first."""
    if results_dir.exists() and not results_dir.is_dir():
        raise UserError(
            f"{results_dir} is no directory; name the one that holds the runs.", exit_code=2
        )
    store = RunStore(results_dir)
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


_RunArgument = Annotated[str, typer.Argument(help="Id, file, a beginning of the id, or 'latest'.")]


def _show(
    run: _RunArgument = "latest",
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
    runs: Annotated[list[str], typer.Argument(help="Two or more runs; the first is the measure.")],
    results_dir: ResultsOption = DEFAULT_RESULTS,
    as_json: JsonOption = False,
) -> None:
    """Show runs side by side: what was configured differently, then every figure."""
    if len(runs) < 2:
        raise UserError(
            "compare needs two or more runs; 'whisperctl runs' lists them.", exit_code=2
        )
    store = open_store(results_dir)
    comparison = compare([store.load(run) for run in runs])
    if as_json:
        print_json(comparison.as_json())
        return
    out().print(comparison_tables(comparison))


def register(app: typer.Typer) -> None:
    """Add the commands on saved runs."""
    app.command("runs")(_runs)
    app.command("show")(_show)
    app.command("compare")(_compare)
