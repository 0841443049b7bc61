"""The results directory: saved runs, listed, read, written and recovered. Nothing is ever lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from loadtest.entries import RunEntry, RunFileError
from loadtest.journal import JOURNAL_SUFFIX, JournalError, JournalInUseError, recover_run
from loadtest.runfile import SCHEMA_VERSION, Run, served_model
from loadtest.shelf import Shelf
from stack.files import write_atomically
from stack.validation import first_problem

__all__ = [
    "MAX_RUN_BYTES",
    "RunEntry",
    "RunFileError",
    "RunStore",
    "free_id",
    "read_run",
    "read_saved",
    "summarise",
]

MAX_RUN_BYTES: Final = 512 * 1024 * 1024

Saved = TypeVar("Saved", bound=BaseModel)


class RunStore:
    """The runs of one directory. Every method does blocking file I/O."""

    def __init__(self, directory: Path, *, index_directory: Path | None = None) -> None:
        self.directory = directory
        self.index_directory = index_directory
        """Where what was read of the files is kept; see ``Shelf``."""
        self.shelf = Shelf(
            directory,
            lambda path: summarise(path, read_run(path)),
            index_directory=index_directory,
        )

    def entries(self) -> list[RunEntry]:
        """Return all runs, newest first; what can't be read is listed last, with its problem.

        Raises RunFileError if the directory can't be read.
        """
        return self.shelf.entries()

    def load(self, selector: str) -> Run:
        """Read one run by path, file name, run id, a unique beginning of it, or ``latest``.

        Raises RunFileError that says what to do.
        """
        return read_run(self.find(selector))

    def find(self, selector: str) -> Path:
        """Return the path of the run that ``selector`` names; see ``load``."""
        named = Path(selector)
        if named.suffix == ".json":
            for path in (named, self.directory / named.name):
                if path.is_file():
                    return path
        entries = [entry for entry in self.entries() if entry.problem is None]
        if selector == "latest":
            if entries:
                return entries[0].path
            raise RunFileError(
                f"There is no run in {self.directory} yet; 'whisperctl load' makes one."
            )
        exact = [entry.path for entry in entries if entry.run_id == selector]
        matches = exact or [
            entry.path for entry in entries if (entry.run_id or "").startswith(selector)
        ]
        if len(matches) == 1:
            return matches[0]
        if matches:
            some = ", ".join(path.stem for path in matches[:3])
            raise RunFileError(
                f"'{selector}' names {len(matches)} runs ({some}, …); give more of the name."
            )
        # Also a beginning of its name: "there is no such run" would hide what is wrong with it.
        broken = [
            one
            for one in self.entries()
            if one.problem and (one.path.stem == named.stem or one.path.name.startswith(selector))
        ]
        if broken:
            raise RunFileError(broken[0].problem or "")
        raise RunFileError(
            f"There is no run '{selector}' in {self.directory}; 'whisperctl runs' lists them."
        )

    def series_ids(self, selector: str) -> list[str]:
        """Return the ids of the series that begin with ``selector``, or the one that is it."""
        found = {entry.series_id for entry in self.entries() if entry.series_id is not None}
        if selector in found:
            return [selector]
        return sorted(one for one in found if one.startswith(selector))

    def find_series(self, selector: str) -> str:
        """Return the id of the series that ``selector`` names; raises RunFileError.

        It is the id, a unique beginning of it, or any of its runs, named as for ``find``.
        """
        found = self.series_ids(selector)
        if len(found) > 1:
            raise RunFileError(
                f"'{selector}' names {len(found)} series ({', '.join(found[:3])}, …); give more of "
                "the name."
            )
        return found[0] if found else self.load(selector).series_id

    def load_series(self, series_id: str) -> list[Run]:
        """Read the runs of a series, oldest first; raises RunFileError."""
        runs = [
            read_run(entry.path)
            for entry in reversed(self.entries())
            if entry.series_id == series_id
        ]
        if not runs:
            raise RunFileError(f"There is no run of series '{series_id}' in {self.directory}.")
        return runs

    def path_for(self, run_id: str) -> Path:
        """Return where the run of this id is saved."""
        return self.directory / f"{run_id}.json"

    def journal_for(self, run_id: str) -> Path:
        """Return where the journal of this run is kept while it goes on."""
        return self.directory / f"{run_id}.json{JOURNAL_SUFFIX}"

    def save(self, run: Run) -> Path:
        """Write a run atomically and return its path."""
        path = self.path_for(run.run_id)
        write_atomically(path, run_bytes(run))
        return path

    def recover(self) -> list[Path]:
        """Turn the journals of dead writers into runs marked ``interrupted``; return their paths.

        A journal that nothing can be read from is kept under another name, never deleted.
        """
        recovered: list[Path] = []
        if not self.directory.is_dir():
            return recovered
        for journal in sorted(self.directory.glob(f"*.json{JOURNAL_SUFFIX}")):
            target = journal.with_name(journal.name.removesuffix(JOURNAL_SUFFIX))
            try:
                # The run may have been saved just before its writer died.
                if not _is_saved(target):
                    run = recover_run(journal)
                    recovered.append(self.save(run))
                journal.unlink(missing_ok=True)
            except (JournalInUseError, OSError):
                # On a full disk it waits for the next time.
                continue
            except JournalError:
                journal.rename(journal.with_name(journal.name + ".broken"))
        return recovered


def free_id(base: str, taken: Callable[[str], bool]) -> str:
    """Return ``base`` or, where that is taken, the first free of ``base_2`` and so on.

    Two may begin within the second that their ids are made of.
    """
    candidate, number = base, 2
    while taken(candidate):
        candidate, number = f"{base}_{number}", number + 1
    return candidate


def _is_saved(path: Path) -> bool:
    try:
        read_run(path)
    except RunFileError:
        return False
    return True


def run_bytes(run: Run) -> bytes:
    """Return what is in the file of a run."""
    return run.model_dump_json(by_alias=True, indent=1).encode() + b"\n"


def read_run(path: Path) -> Run:
    """Read a run file; raises RunFileError with a sentence for whatever is wrong with it."""
    return read_saved(path, Run, schema=SCHEMA_VERSION, what="a run")


def read_saved(path: Path, model: type[Saved], *, schema: int, what: str) -> Saved:
    """Read a file that carries a schema number; raises RunFileError with a sentence."""
    try:
        if path.stat().st_size > MAX_RUN_BYTES:
            raise RunFileError(f"{path.name} is too large for {what} file.")
        raw: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunFileError(f"{path.name} is gone: it was moved or deleted.") from None
    except OSError as error:
        raise RunFileError(f"{path.name} is unreadable: {error.strerror}.") from None
    except RecursionError:
        raise RunFileError(f"{path.name} is broken: its JSON is nested too deep.") from None
    except ValueError as error:
        raise RunFileError(f"{path.name} is broken: {_json_problem(error)}") from None
    if not isinstance(raw, dict) or "schema" not in raw:
        kind = what.removeprefix("a ")
        raise RunFileError(f"{path.name} is not a whisperctl {kind}: it has no schema number.")
    if raw["schema"] != schema:
        raise RunFileError(
            f"{path.name} has schema {raw['schema']!r}; this version reads {schema}."
        )
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        field, what = first_problem(error)
        raise RunFileError(f"{path.name} is broken at {field}: {what}.") from None


def _json_problem(error: ValueError) -> str:
    """Say what keeps a file from being JSON."""
    if isinstance(error, json.JSONDecodeError):
        if not error.doc.strip():
            return "it is empty."
        where = f"line {error.lineno}, column {error.colno}"
        return f"it is not whole JSON ({error.msg}, {where})."
    return "it is not whole JSON (it is no UTF-8 text)."


def summarise(path: Path, run: Run) -> RunEntry:
    """Return a run's line in the list of runs."""
    return RunEntry(
        path=path,
        run_id=run.run_id,
        series_id=run.series_id,
        created_at=run.created_at,
        status=run.status.value,
        label=run.label,
        clients=run.test_configuration.num_clients,
        audio_duration=run.summary.average_audio_duration,
        p95_latency=run.summary.latency.p95,
        wer=run.summary.wer.wer if run.summary.wer else None,
        successful=run.summary.successful_clients,
        failed=run.summary.failed_clients,
        met=run.summary.slo.met if run.summary.slo else None,
        note=run.note,
        host=f"{run.test_configuration.host}:{run.test_configuration.port}",
        model=served_model(run),
    )
