"""Everything that is saved in a results directory: runs and REST measurements, in one list."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from loadtest.entries import Kind, RunEntry
from loadtest.rest.report import RestReport
from loadtest.rest.store import DIRECTORY, read_report
from loadtest.shelf import Shelf
from loadtest.store import RunStore


class Catalogue:
    """The runs of a store and the REST measurements beside them. Blocking file I/O."""

    def __init__(self, store: RunStore) -> None:
        self._runs = store.shelf
        self._rest = Shelf(
            store.directory / DIRECTORY, _rest_entry, index_directory=store.index_directory
        )

    def listings(self, pause: float) -> Iterator[list[RunEntry]]:
        """Yield what is known about every ``pause`` seconds while files are read, at last all.

        Raises RunFileError if a directory can't be read.
        """
        runs: list[RunEntry] = []
        for runs in self._runs.listings(pause):
            yield runs
        for rest in self._rest.listings(pause):
            if rest:
                yield [*runs, *rest]


def _rest_entry(path: Path) -> RunEntry:
    return rest_entry(path, read_report(path))


def rest_entry(path: Path, report: RestReport) -> RunEntry:
    """Return a REST measurement's line.

    p95 and WER are those of the step at the best concurrency, or else of the last.
    """
    best = report.single.best_concurrency if report.single else None
    steps = [step for step in report.steps if best in {None, step.concurrency}]
    last = steps[-1].summary if steps else None
    plan = report.configuration
    name = f"{plan.kind.value}  {plan.label}".rstrip()
    return RunEntry(
        path=path,
        run_id=report.report_id,
        created_at=report.created_at,
        status=report.status.value,
        label=name,
        clients=max((step.concurrency for step in report.steps), default=None),
        audio_duration=None,
        p95_latency=last.latency.p95 if last else None,
        wer=last.wer.wer if last and last.wer else None,
        successful=sum(step.summary.successful for step in report.steps),
        failed=sum(step.summary.failed for step in report.steps),
        kind=Kind.REST,
        host=urlsplit(plan.url).netloc,
        model=plan.model,
    )
