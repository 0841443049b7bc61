"""``whisperctl config``: where the preferences are, which keys there are, what is wrong."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from console import preferences
from console.cli.common import JsonOption, UserError, out, print_json

app = typer.Typer(help="The console's preferences: keys, theme, ASCII.", no_args_is_help=True)


@app.command("path")
def _path() -> None:
    """Say where the file with preferences is, or would be."""
    typer.echo(preferences.path())


@app.command("keys")
def _keys(
    as_json: JsonOption = False,
    every: Annotated[bool, typer.Option("--toml", help="Print them as a [keys] table.")] = False,
) -> None:
    """List every action with its id, its keys and what it does."""
    from console.keymap import actions, check  # noqa: PLC0415 - Textual takes a while to load

    mapped, _ = check(preferences.read().keys)
    known = [
        (action, mapped[action.id].split(",") if action.id in mapped else list(action.keys))
        for action in actions()
    ]
    if as_json:
        print_json(
            [
                {"id": one.id, "keys": keys, "text": one.text, "places": list(one.places)}
                for one, keys in known
            ]
        )
        return
    if every:
        lines = [f'{one.id} = "{",".join(keys)}"  # {one.text}' for one, keys in known]
        typer.echo("\n".join(["[keys]", *lines]))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("action", "keys", "where", "what it does"):
        table.add_column(column, overflow="fold")
    for one, keys in known:
        marked = Text(" ".join(keys), style="bold" if one.id in mapped else "")
        table.add_row(one.id, marked, ", ".join(one.places), Text(one.text))
    out().print(table)


@app.command("check")
def _check() -> None:
    """Check the file with preferences; exit code 1 with a sentence for each thing that is wrong."""
    from textual.theme import BUILTIN_THEMES  # noqa: PLC0415 - Textual takes a while to load

    from console.keymap import check, no_such_theme  # noqa: PLC0415

    read = preferences.read()
    _, problems = check(read.keys)
    if read.console.theme is not None and read.console.theme not in BUILTIN_THEMES:
        problems.append(no_such_theme(read.console.theme))
    problems = [*read.problems, *problems]
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise UserError(f"{len(problems)} to mend in {preferences.path()}.")
    there = "is fine" if preferences.path().exists() else "is not there; nothing is set"
    typer.echo(f"{preferences.path()} {there}.")
