"""Saved REST measurements: ``rest/`` in the results directory, apart from the runs."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from loadtest.rest.plan import RestKind
from loadtest.rest.report import REST_SCHEMA_VERSION, RestReport
from loadtest.store import RunFileError, free_id, read_saved
from stack.files import write_atomically

DIRECTORY: Final = "rest"


@dataclass(frozen=True, slots=True)
class RestEntry:
    """One line of the list; either a report or what is wrong with the file, in a sentence."""

    path: Path
    report: RestReport | None = None
    problem: str | None = None


class RestStore:
    """The measurements of one results directory. Every method does blocking file I/O."""

    def __init__(self, results_directory: Path) -> None:
        self.directory = results_directory / DIRECTORY

    def free_id(self, kind: RestKind, created: datetime) -> str:
        """Return an id that no file has."""
        base = f"rest_{kind.value}_{created:%Y%m%d_%H%M%S}"
        return free_id(base, lambda candidate: self.path_for(candidate).exists())

    def path_for(self, report_id: str) -> Path:
        """Return where the measurement of this id is saved."""
        return self.directory / f"{report_id}.json"

    def save(self, report: RestReport) -> Path:
        """Write a measurement atomically and return its path; raises OSError."""
        path = self.path_for(report.report_id)
        write_atomically(path, report.model_dump_json(by_alias=True, indent=1).encode() + b"\n")
        return path

    def entries(self) -> list[RestEntry]:
        """Return all measurements, newest first; what can't be read comes last."""
        if not self.directory.is_dir():
            return []
        good: list[tuple[datetime, Path, RestReport]] = []
        bad: list[RestEntry] = []
        for path in self.directory.glob("*.json"):
            if path.name.startswith(".") or not path.is_file():
                continue
            try:
                report = read_report(path)
            except RunFileError as error:
                bad.append(RestEntry(path, problem=str(error)))
            else:
                good.append((report.created_at, path, report))
        good.sort(key=lambda one: one[:2], reverse=True)
        bad.sort(key=lambda one: one.path)
        return [RestEntry(path, report) for _, path, report in good] + bad

    def load(self, selector: str) -> tuple[Path, RestReport]:
        """Read one by path, file name, id, a unique beginning of it, or ``latest``.

        Raises RunFileError that says what to do.
        """
        named = Path(selector)
        if named.suffix == ".json":
            for path in (named, self.directory / named.name):
                if path.is_file():
                    return path, read_report(path)
        entries = self.entries()
        good = [(entry.path, entry.report) for entry in entries if entry.report is not None]
        if selector == "latest":
            if good:
                return good[0]
            raise RunFileError(
                f"There is no REST measurement in {self.directory} yet; 'whisperctl rest single' "
                "makes one."
            )
        exact = [one for one in good if one[0].stem == selector]
        matches = exact or [one for one in good if one[0].stem.startswith(selector)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise RunFileError(
                f"'{selector}' names {len(matches)} measurements; give more of the name."
            )
        for entry in entries:
            if entry.problem is not None and entry.path.stem == named.stem:
                raise RunFileError(entry.problem)
        raise RunFileError(
            f"There is no REST measurement '{selector}' in {self.directory}; "
            "'whisperctl rest list' lists them."
        )


def read_report(path: Path) -> RestReport:
    """Read a measurement; raises RunFileError with a sentence for whatever is wrong with it."""
    return read_saved(path, RestReport, schema=REST_SCHEMA_VERSION, what="a REST measurement")
