"""A run as CSV: one row a latency sample, a client, or a second of some part. Pure.

Comma-separated with a header, lines end with a line feed, empty means unknown. Times are seconds,
memory is bytes, shares are fractions.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Final

from loadtest.exports.seconds import Cell, gpu_rows, machine_rows, timeline_rows
from loadtest.runfile import ClientResult, Run

SAMPLE_KINDS: Final[Mapping[str, str]] = {
    "latency": "latency_samples",
    "final": "final_latency_samples",
    "word": "word_latency_samples",
    "word_final": "word_final_latency_samples",
}
"""Kinds of samples, and where a client keeps them."""

_FORMULA: Final = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")
"""What a spreadsheet takes for the beginning of a formula; the last four are full-width."""


class Table(StrEnum):
    """Which table of a run is written."""

    SAMPLES = "samples"
    CLIENTS = "clients"
    TIMELINE = "timeline"
    MACHINE = "machine"
    GPUS = "gpus"


def csv_text(run: Run, table: Table) -> str:
    """Write a table of a run."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    # The csv module quotes only the line ends it writes itself; a bare carriage return is one, too.
    careful = csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    for row in _ROWS[table](run):
        cells = [_plain(cell) for cell in row]
        broken = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (careful if broken else writer).writerow(cells)
    return written.getvalue()


def _plain(cell: Cell) -> str | int | float | None:
    """Make a cell one that a spreadsheet shows and never computes; numbers stay numbers.

    An apostrophe goes before text that would be a formula
    (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if not isinstance(cell, str):
        return cell
    # Spreadsheets may drop white space first, and a tab or line end can begin a cell of its own.
    bare = cell.lstrip()
    if cell[:1] in {"\t", "\r", "\n"} or bare[:1] in _FORMULA:
        return f"'{cell}"
    return cell


_CLIENT_COLUMNS: Final[Mapping[str, Callable[[ClientResult], Cell]]] = {
    "client_id": lambda client: client.client_id,
    "replica": lambda client: client.replica,
    "outcome": lambda client: client.outcome.value,
    "failure": lambda client: client.failure.value if client.failure else None,
    "error": lambda client: client.errors[-1] if client.errors else None,
    "message_count": lambda client: client.message_count,
    "audio_file": lambda client: client.audio_file,
    "audio_duration_seconds": lambda client: client.audio_duration,
    "audio_sent_seconds": lambda client: client.audio_sent,
    "started_at_seconds": lambda client: client.started_at,
    "connection_time_seconds": lambda client: client.connection_time,
    "first_result_seconds": lambda client: client.first_result,
    "finish_seconds": lambda client: client.finish,
    "processing_time_seconds": lambda client: client.processing_time,
    "wer": lambda client: client.wer.wer if client.wer else None,
    "substitutions": lambda client: client.wer.substitutions if client.wer else None,
    "deletions": lambda client: client.wer.deletions if client.wer else None,
    "insertions": lambda client: client.wer.insertions if client.wer else None,
    "reference_words": lambda client: client.wer.reference_words if client.wer else None,
    "latency_count": lambda client: client.latency.count,
    "latency_median_seconds": lambda client: client.latency.median,
    "latency_p95_seconds": lambda client: client.latency.p95,
    "latency_max_seconds": lambda client: client.latency.max,
    "final_latency_count": lambda client: client.final_latency.count,
    "final_latency_median_seconds": lambda client: client.final_latency.median,
    "final_latency_p95_seconds": lambda client: client.final_latency.p95,
    "final_latency_max_seconds": lambda client: client.final_latency.max,
    "slip_p99_seconds": lambda client: client.slip.p99,
    "slip_max_seconds": lambda client: client.slip.max,
    "transcript": lambda client: client.transcript,
    "reference": lambda client: client.reference,
}


def _sample_rows(run: Run) -> Iterator[Sequence[Cell]]:
    yield "run_id", "client_id", "replica", "kind", "value_seconds"
    for client in run.clients:
        for kind, name in SAMPLE_KINDS.items():
            for value in getattr(client, name):
                yield run.run_id, client.client_id, client.replica, kind, value


def _client_rows(run: Run) -> Iterator[Sequence[Cell]]:
    yield "run_id", "series_id", "label", *_CLIENT_COLUMNS
    for client in run.clients:
        values = [value(client) for value in _CLIENT_COLUMNS.values()]
        yield run.run_id, run.series_id, run.label, *values


_ROWS: Final[Mapping[Table, Callable[[Run], Iterable[Sequence[Cell]]]]] = {
    Table.SAMPLES: _sample_rows,
    Table.CLIENTS: _client_rows,
    Table.TIMELINE: timeline_rows,
    Table.MACHINE: machine_rows,
    Table.GPUS: gpu_rows,
}
"""Each yields its header first."""
