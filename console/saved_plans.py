"""Load plans kept under a name, in the configuration directory. No secret is ever in them."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs
from pydantic import ValidationError

from loadtest.plan import LoadPlan
from stack.files import write_atomically
from stack.validation import first_problem

MAX_NAME: Final = 40
_NAME: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 ._-]{{0,{MAX_NAME - 1}}}", re.ASCII)
_MAX_BYTES: Final = 64 * 1024
_MOST: Final = 500
_SCHEMA: Final = 1
_LEFT_OUT: Final = frozenset({"api_key", "audio_directory", "results_directory"})
"""A secret, and what is the console's own."""
_TARGET: Final = frozenset({"host", "port", "path", "tls", "ca_file", "verify"})


class PlanError(Exception):
    """A plan that can't be saved, read or deleted; one sentence."""


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """One file of the directory."""

    name: str
    plan: LoadPlan | None = None
    """None where there is a ``problem``."""
    elsewhere: bool = False
    """It names a server of its own, and not the console's stack."""
    problem: str = ""


def plans_directory() -> Path:
    """Return where plans are kept."""
    named = os.environ.get("WHISPERCTL_CONFIG_DIR")
    return (Path(named) if named else Path(platformdirs.user_config_dir("whisperctl"))) / "plans"


class PlanStore:
    """The saved plans of one directory. Every method does blocking file I/O."""

    def __init__(self, directory: Path, base: LoadPlan) -> None:
        self.directory = directory
        self._base = base
        """Says what is in no file: the console's directories, and its stack's address."""

    def entries(self) -> list[SavedPlan]:
        """Return all plans by name; what can't be read is there with its problem."""
        try:
            paths = sorted(
                path for path in self.directory.glob("*.json") if not path.name.startswith(".")
            )
        except OSError:
            return []
        return [self._read(path) for path in paths[:_MOST]]

    def _read(self, path: Path) -> SavedPlan:
        name = path.name.removesuffix(".json")
        try:
            with path.open("rb") as file:
                raw = file.read(_MAX_BYTES + 1)
        except OSError as error:
            return SavedPlan(name, problem=f"It is unreadable: {error.strerror}.")
        if len(raw) > _MAX_BYTES:
            return SavedPlan(name, problem="It is too long for a plan.")
        try:
            whole = json.loads(raw)
            found: Any = whole["plan"] if whole["schema"] == _SCHEMA else None
        except (ValueError, KeyError, TypeError, RecursionError):
            return SavedPlan(name, problem="It is not whole, or no plan.")
        if not isinstance(found, dict):
            return SavedPlan(name, problem="It is of another version.")
        found = {key: value for key, value in found.items() if key not in _LEFT_OUT}
        base = self._base.model_dump(exclude={"api_key"})
        try:
            plan = LoadPlan.model_validate(base | found)
        except ValidationError as error:
            where, what = first_problem(error)
            return SavedPlan(name, problem=f"Its {where or 'plan'} is not usable: {what}.")
        return SavedPlan(name, plan, elsewhere="host" in found)

    def save(self, name: str, plan: LoadPlan, *, elsewhere: bool) -> None:
        """Keep a plan, in the place of an older one of that name; raises PlanError."""
        left_out = _LEFT_OUT if elsewhere else _LEFT_OUT | _TARGET
        entry = {"schema": _SCHEMA, "plan": plan.model_dump(mode="json", exclude=set(left_out))}
        try:
            write_atomically(
                self._path(name), json.dumps(entry, indent=1).encode() + b"\n", mode=0o600
            )
        except OSError as error:
            raise PlanError(
                f"The plan can't be saved in {self.directory}: {error.strerror}."
            ) from None

    def delete(self, name: str) -> None:
        """Remove a plan, also a broken one; raises PlanError."""
        # What is listed may have a name that we would not give.
        path = self.directory / f"{name}.json"
        if path.parent != self.directory:
            raise PlanError(f"'{name}' is no saved plan.")
        try:
            path.unlink()
        except OSError as error:
            raise PlanError(f"'{name}' can't be deleted: {error.strerror}.") from None

    def _path(self, name: str) -> Path:
        if problem := name_problem(name):
            raise PlanError(problem)
        return self.directory / f"{name}.json"


def name_problem(name: str) -> str:
    """Say why a plan can't have this name; "" where it can."""
    if _NAME.fullmatch(name) and not name.endswith((" ", ".")):
        return ""
    return f"A name has 1 to {MAX_NAME} letters, digits, blanks, dots, dashes or underscores."
