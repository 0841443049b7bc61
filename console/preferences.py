"""What a person has set for the console: a TOML file in the configuration directory.

[console]
theme = "textual-light"
ascii = true

[keys]
stack.up = "b"
stack.more = ["plus", "ctrl+up"]
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import platformdirs
from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr, ValidationError

VARIABLE: Final = "WHISPERCTL_CONFIG_DIR"
_LARGEST: Final = 256 * 1024


class ConsoleTable(BaseModel):
    """The table ``[console]``."""

    model_config = ConfigDict(extra="forbid")

    theme: StrictStr | None = None
    """A theme's name."""
    ascii: StrictBool | None = None
    """Whether to draw with ASCII only; None: as the locale says."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was read; what can't be used is left out, and told."""

    console: ConsoleTable = field(default_factory=ConsoleTable)
    keys: dict[str, str] = field(default_factory=dict)
    """Keys with commas between, by the id of the action."""
    problems: tuple[str, ...] = ()
    """One sentence for each thing that can't be used."""


def path() -> Path:
    """Return where the file is, or would be."""
    named = os.environ.get(VARIABLE)
    directory = Path(named) if named else Path(platformdirs.user_config_dir("whisperctl"))
    return directory / "config.toml"


def read(file: Path | None = None) -> Preferences:
    """Read the file; where there is none, nothing is set. Blocking; raises nothing."""
    file = file or path()
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            return Preferences(problems=(f"{file} is larger than {_LARGEST // 1024} KiB.",))
        tables = tomllib.loads(data.decode("utf-8"))
    except FileNotFoundError:
        return Preferences()
    except OSError as error:
        return Preferences(problems=(f"{file} can't be read: {error.strerror or error}.",))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        return Preferences(problems=(f"{file} is no TOML: {error}.",))
    return understand(tables)


def understand(tables: dict[str, Any]) -> Preferences:
    """Take in what the file says. Pure."""
    problems = [
        f"There is no table or setting '{name}'; there are [console] and [keys]."
        for name in tables
        if name not in {"console", "keys"}
    ]
    console = _console(tables.get("console", {}), problems)
    keys = _keys(tables.get("keys", {}), problems)
    return Preferences(console, keys, tuple(problems))


def _console(table: object, problems: list[str]) -> ConsoleTable:
    if not isinstance(table, dict):
        problems.append("console is no table; write [console] on a line of its own.")
        return ConsoleTable()
    try:
        return ConsoleTable.model_validate(table)
    except ValidationError as error:
        wrong = {str(one["loc"][0]): one for one in error.errors()}
    wanted = {"theme": "a theme's name in quotes", "ascii": "true or false"}
    for name in wrong:
        if name in wanted:
            problems.append(f"console.{name} is {table[name]!r}; it should be {wanted[name]}.")
        else:
            problems.append(f"There is no setting 'console.{name}'; there are theme and ascii.")
    return ConsoleTable.model_validate({k: v for k, v in table.items() if k not in wrong})


def _keys(table: object, problems: list[str], before: str = "") -> dict[str, str]:
    """Flatten the table: ``stack.up = …`` is a table within a table to TOML."""
    if not isinstance(table, dict):
        problems.append("keys is no table; write [keys] on a line of its own.")
        return {}
    keys: dict[str, str] = {}
    for name, value in table.items():
        action = f"{before}{name}"
        if isinstance(value, dict):
            keys |= _keys(value, problems, f"{action}.")
        elif isinstance(value, str):
            keys[action] = value
        elif isinstance(value, list) and value and all(isinstance(key, str) for key in value):
            keys[action] = ",".join("comma" if key == "," else key for key in value)
        else:
            problems.append(
                f"keys.{action} is {value!r}; it should be a key in quotes, or a list of such."
            )
    return keys


def speaks_unicode(environment: Mapping[str, str]) -> bool:
    """Tell from the locale's variables whether the terminal shows UTF-8.

    Linux' own console has fonts of 512 characters at most. Python itself sets ``LC_CTYPE`` to UTF-8
    where no locale is set, so that this is no no.
    """
    if environment.get("TERM") == "linux":
        return False
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if locale := environment.get(name, ""):
            return "utf8" in locale.lower().replace("-", "")
    return True
