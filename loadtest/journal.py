"""The journal of a running step: every event, appended as it comes, so that a crash loses nothing.

One JSON object a line. The first is the step's header, then generator events and timeline rows
with the second they came in. The writer holds a lock on the file for as long as it lives, whatever
way it dies, so that a reader knows a dead writer's journal from a live one's.
"""

import errno
import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pydantic import ValidationError

from loadtest.events import GeneratorEvent, generator_event
from loadtest.recording import StepHeader, StepRecord
from loadtest.runfile import Run, RunStatus, TimelineRow

JOURNAL_SUFFIX: Final = ".journal"


class JournalError(Exception):
    """A journal that nothing can be recovered from; one sentence."""


class JournalInUseError(JournalError):
    """The journal's writer is alive."""


class JournalWriter:
    """Appends to one step's journal.

    Opening it raises OSError. Later on a full disk ends the journal, not the step: there may be
    room again when its run is saved.
    """

    def __init__(self, path: Path, header: StepHeader) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # It gets its name only once it is locked and has its header, so that nobody who recovers
        # journals ever takes it for a dead one.
        unborn = path.with_name(f".{path.name}.part")
        self._file = unborn.open("wb", buffering=0)
        self._whole = True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._write({"header": header.model_dump(mode="json", by_alias=True)})
            os.fsync(self._file.fileno())
            unborn.rename(path)
        except BaseException:
            self._file.close()
            unborn.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def event(self, event: GeneratorEvent, *, shard: int, elapsed: float) -> None:
        """Append one event of a shard."""
        self._append({"at": elapsed, "shard": shard, "event": event.model_dump(mode="json")})

    def row(self, row: TimelineRow) -> None:
        """Append one timeline row."""
        self._append({"at": row.time, "row": row.model_dump(mode="json")})

    def _append(self, entry: dict[str, Any]) -> None:
        if self._whole:
            try:
                self._write(entry)
            except OSError:
                # Anything behind half a line would be lost with it.
                self._whole = False

    def _write(self, entry: dict[str, Any]) -> None:
        # One unbuffered write a line: what was written outlives a killed process.
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def remove(self) -> None:
        """Delete the journal, once its run is safely saved."""
        self.path.unlink(missing_ok=True)


def recover_run(path: Path) -> Run:
    """Rebuild the run of a dead writer's journal, marked ``interrupted``.

    A last line cut short by the crash is left out. Raises JournalInUseError while the writer lives
    and JournalError when there is no usable header.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise JournalError(f"Journal {path.name} is unreadable: {error.strerror}.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalInUseError(f"Journal {path.name} is being written.") from None
        try:
            header = StepHeader.model_validate(json.loads(file.readline())["header"])
        except (ValueError, KeyError, TypeError):
            raise JournalError(f"Journal {path.name} has no usable first line.") from None
        record = StepRecord(header)
        elapsed = 0.0
        for line in file:
            try:
                entry = json.loads(line)
                at = float(entry["at"])
                if "row" in entry:
                    record.timeline.append(TimelineRow.model_validate(entry["row"]))
                else:
                    event = generator_event.validate_python(entry["event"])
                    record.apply(event, shard=int(entry["shard"]), elapsed=at)
            except (ValidationError, ValueError, KeyError, TypeError):
                continue
            elapsed = max(elapsed, at)
    return record.run(RunStatus.INTERRUPTED, elapsed)
