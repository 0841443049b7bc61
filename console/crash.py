"""Reports of crashes: files in the state directory that tell what happened, and no secret."""

import os
import platform
import re
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from loadtest.store import free_id
from stack.files import write_atomically
from stack.supervision.state import state_directory

REPORTS_KEPT: Final = 20
_LONGEST: Final = 200_000
"""Characters of a report; the end of a traceback says most."""
_SECRET_NAME: Final = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE|CREDENTIAL", re.IGNORECASE)
_SHORTEST_SECRET: Final = 6


def crash_directory() -> Path:
    """Return where reports are."""
    return state_directory() / "crashes"


def crash_sentence(
    crash: BaseException | str,
    events: Iterable[str],
    *,
    size: tuple[int, int],
    secrets: Iterable[str] = (),
) -> str:
    """Write a report and return the sentence that names it; raises nothing.

    ``events``: lines of what happened before, oldest first. ``size``: of the terminal, columns and
    rows. ``secrets`` are left out of the report,
    as are the values of environment variables that are named like one.
    """
    hidden = [*secrets, *_secret_values(os.environ)]
    what = without_secrets(_name(crash), hidden)
    try:
        path = _write(without_secrets(report(crash, events, size), hidden))
    except OSError as error:
        return (
            f"The console crashed ({what}), and its report can't be written to "
            f"{crash_directory()}: {error.strerror or error}."
        )
    return f"The console crashed ({what}); what happened is in {path}."


def report(crash: BaseException | str, events: Iterable[str], size: tuple[int, int]) -> str:
    """Return the text of a report: versions, terminal, last events, traceback without variables."""
    story = (
        "".join(traceback.format_exception(crash)) if isinstance(crash, BaseException) else crash
    )
    lines = [
        f"time:       {datetime.now(UTC).isoformat(timespec='seconds')}",
        f"whisperctl: {version('whisperctl')}",
        f"Python:     {platform.python_version()}",
        f"Textual:    {version('textual')}",
        f"platform:   {platform.platform()}",
        f"terminal:   {size[0]}x{size[1]}, TERM={os.environ.get('TERM', '')}",
        "",
        "Last events:",
        *(f"  {line}" for line in events),
        "",
        # The end of it names what went wrong.
        story[-_LONGEST:],
    ]
    return "\n".join(lines)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return the text with every secret in it blotted out."""
    # Longest first: one may be a part of another.
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[secret]")
    return text


def _secret_values(environment: Mapping[str, str]) -> list[str]:
    return [value for name, value in environment.items() if _SECRET_NAME.search(name)]


def _name(crash: BaseException | str) -> str:
    if isinstance(crash, str):
        return (crash.strip().splitlines() or ["unknown"])[-1].strip()[:200]
    text = " ".join(str(crash).split())
    return f"{type(crash).__name__}: {text[:200]}" if text else type(crash).__name__


def _write(text: str) -> Path:
    directory = crash_directory()
    stamp = datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    name = free_id(f"crash-{stamp}", lambda one: (directory / f"{one}.txt").exists())
    path = directory / f"{name}.txt"
    data = text.encode("utf-8", "backslashreplace")
    write_atomically(path, data, mode=0o600)
    with suppress(OSError):
        reports = sorted(directory.glob("crash-*.txt"), key=lambda one: one.stat().st_mtime_ns)
        for old in reports[:-REPORTS_KEPT]:
            old.unlink(missing_ok=True)
    return path
