"""The figures of a comparison and how they are written as tables. Pure."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.table import Table

from loadtest.runfile import Distribution, Run

LEGEND = (
    "median, p95: latency in seconds; final: the same of text that is certain; word: from a word's "
    "end to when it was shown; max: the largest, of fewer than 20; CPU: seconds of CPU time of the "
    "server's processes, user and system, per second of audio sent in the run."
)
DISTORTED = "load generator was late: doesn't count"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run of one client count came to. Seconds and fractions; None is unknown."""

    clients: int
    latency: Distribution
    final_latency: Distribution
    word_latency: Distribution
    wer: float | None
    success: float | None
    cpu_per_audio: float | None
    """CPU seconds of the server's processes per second of audio sent."""
    audio: float
    """Mean seconds of audio a session."""
    distorted: bool
    """The load generator itself was late: the run says nothing of the server."""
    misses: tuple[str, ...] = ()
    """Why the run misses the limits."""

    @property
    def met(self) -> bool:
        """Whether the run counts, and meets the limits."""
        return not self.distorted and not self.misses


@dataclass(slots=True)
class ServerResult:
    """What was measured of one server."""

    name: str
    """For the tables."""
    runs: dict[int, list[Figures]] = field(default_factory=dict)
    """By client count, in the order in which they were made."""
    largest: int | None = None
    """The largest client count within the limits; None: none, or not looked for to the end."""
    capped: bool = False
    """No count that was tried failed."""
    searched: bool = False
    """The search came to its end."""
    problem: str = ""
    """Why it was not, or not wholly, measured; a sentence."""


def figures_of(run: Run, *, cpu_seconds: float | None, misses: Sequence[str]) -> Figures:
    """Take the figures of a comparison out of a run."""
    summary = run.summary
    ended = summary.successful_clients + summary.failed_clients
    known = cpu_seconds is not None and summary.audio_sent > 0
    return Figures(
        clients=run.test_configuration.num_clients,
        latency=summary.latency,
        final_latency=summary.final_latency,
        word_latency=summary.word_latency or Distribution(count=0),
        wer=summary.wer.wer if summary.wer else None,
        success=summary.successful_clients / ended if ended else None,
        cpu_per_audio=cpu_seconds / summary.audio_sent if known and cpu_seconds else None,
        audio=summary.average_audio_duration,
        distorted=summary.generator_distorted,
        misses=tuple(misses),
    )


def capacity_table(results: Iterable[ServerResult]) -> Table:
    """Return the table of the largest client counts; of both their runs the worse is shown."""
    table = _table("largest N", "p95", "WER", "CPU")
    table.add_column("what ended the search")
    for result in results:
        runs = result.runs.get(result.largest or 0, [])
        largest = "–" if not result.searched else str(result.largest or 0)
        table.add_row(
            result.name,
            f"≥ {largest}" if result.capped and result.largest else largest,
            _p95(_slowest(runs).latency) if runs else "–",
            _percent(_worst(run.wer for run in runs)),
            _decimals(_worst(run.cpu_per_audio for run in runs), 3),
            _end_of(result),
        )
    return table


def figures_table(results: Iterable[ServerResult], counts: Sequence[int]) -> Table:
    """Return the table of the figures at fixed client counts; the first run of each is shown."""
    table = _table(
        *("N", "median", "p95", "word median", "word p95", "final median", "final p95"),
        *("WER", "success", "CPU"),
    )
    table.add_column("within limits")
    for result in results:
        for count in counts:
            for run in result.runs.get(count, [])[:1]:
                table.add_row(
                    result.name,
                    str(count),
                    _decimals(run.latency.median, 2),
                    _p95(run.latency),
                    _decimals(run.word_latency.median, 2),
                    _p95(run.word_latency),
                    _decimals(run.final_latency.median, 2),
                    _p95(run.final_latency),
                    _percent(run.wer),
                    "–" if run.success is None else f"{run.success:.0%}",
                    _decimals(run.cpu_per_audio, 3),
                    verdict(run),
                )
    return table


def _table(*headings: str) -> Table:
    table = Table(box=box.MARKDOWN)
    table.add_column("server")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def verdict(run: Figures) -> str:
    """Say whether a run is within the limits, and if not why."""
    if run.distorted:
        return DISTORTED
    return "no: " + "; ".join(run.misses) if run.misses else "yes"


def markdown(table: Table) -> str:
    """Write a table as Markdown, one line a row."""
    out = io.StringIO()
    Console(file=out, width=10_000, color_system=None).print(table)
    lines = (line.strip() for line in out.getvalue().splitlines())
    return "\n".join(line for line in lines if line) + "\n"


def _end_of(result: ServerResult) -> str:
    if result.problem:
        return result.problem
    if not result.searched:
        return "stopped before its end"
    failed = [
        run
        for count, runs in sorted(result.runs.items())
        for run in runs
        if not run.met and count >= (result.largest or 0)
    ]
    if result.capped or not failed:
        return "no larger N was tried"
    return f"N = {failed[0].clients}: " + (
        DISTORTED if failed[0].distorted else "; ".join(failed[0].misses)
    )


def _p95(distribution: Distribution) -> str:
    """Write a 95th percentile; of too few samples the largest, marked so."""
    if distribution.p95 is None and distribution.max is not None:
        return f"max {distribution.max:.2f}"
    return _decimals(distribution.p95, 2)


def _slowest(runs: Sequence[Figures]) -> Figures:
    return max(runs, key=lambda run: run.latency.p95 or run.latency.max or 0.0)


def _worst(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _decimals(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:.{places}f}"
