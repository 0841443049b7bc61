"""Plots of a whole series: how figures change with the number of clients. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

from loadtest.figures import Unit
from loadtest.report.scale import Axis, Point, axis, count_axis, known, log_axis
from loadtest.report.subject import Subject, whole
from loadtest.report.svg import Line, Mark, Plot
from loadtest.report.words import at_clients, described
from loadtest.runfile import Distribution, Run

_WIDTH: Final = 350.0
"""Pixels of the horizontal axis, more or less: how many labels fit."""
_CURVE: Final = 1000
"""Places of a distribution that are drawn: a thousandth is less than a pixel."""

_CROWDED: Final = 40
"""How many times a step's median the longest latency is when that step has no room on one scale."""

Figure = Callable[[Run], float | None]


def overview(subject: Subject) -> list[Plot]:
    """Return the plots of a series, those left out of which nothing is known."""
    plots = [
        _plot(
            subject,
            "Latency by clients",
            _percentiles(lambda run: run.summary.latency),
            Unit.SECONDS,
            limit=subject.latency_limit,
        ),
        _plot(
            subject,
            "Word latency by clients",
            _percentiles(lambda run: run.summary.word_latency),
            Unit.SECONDS,
        ),
        _plot(
            subject,
            "Word error rate by clients",
            [("WER", lambda run: run.summary.wer.wer if run.summary.wer else None)],
            Unit.FRACTION,
            limit=_most_errors(subject),
        ),
        _plot(
            subject,
            "Successful sessions by clients",
            [("success", _success)],
            Unit.FRACTION,
            limit=_least_success(subject),
            up=axis([1.0], Unit.FRACTION),
        ),
        _curves(subject),
        _plot(
            subject,
            "Lateness of the generator by clients",
            [
                ("slip p99", lambda run: run.summary.slip.p99),
                ("largest", lambda run: run.summary.slip.max),
            ],
            Unit.SECONDS,
            limit=_half_a_message(subject),
        ),
    ]
    return [plot for plot in plots if any(_has_values(line) for line in plot.lines)]


def _has_values(line: Line) -> bool:
    return bool(line.hollow) or any(value is not None for _, value in line.points)


def _percentiles(of: Callable[[Run], Distribution | None]) -> list[tuple[str, Figure]]:
    def part(name: str) -> Figure:
        return lambda run: getattr(of(run), name, None)

    return [("p95", part("p95")), ("median", part("median")), ("p99", part("p99"))]


def _success(run: Run) -> float | None:
    ended = run.summary.successful_clients + run.summary.failed_clients
    return run.summary.successful_clients / ended if ended else None


def _least_success(subject: Subject) -> Mark | None:
    if subject.slo is None or subject.slo.success_rate is None:
        return None
    return Mark(subject.slo.success_rate, f"SLO {subject.slo.success_rate * 100:g} %")


def _half_a_message(subject: Subject) -> Mark | None:
    """Return the lateness from which on the generator is not to be trusted."""
    chunks = {run.test_configuration.chunk for run in subject.runs}
    return Mark(chunks.pop() / 2, "half a message") if len(chunks) == 1 else None


def _most_errors(subject: Subject) -> Mark | None:
    """Return the limit of word errors: so much over the series' first step."""
    first = min(subject.runs, key=lambda run: run.created_at).summary.wer
    over = subject.slo.wer_over_baseline if subject.slo else None
    if first is None or over is None:
        return None
    return Mark(first.wer + over, f"SLO {over * 100:g} points over the first step")


def _plot(
    subject: Subject,
    title: str,
    figures: Sequence[tuple[str, Figure]],
    unit: Unit,
    *,
    limit: Mark | None = None,
    up: Axis | None = None,
) -> Plot:
    lines = []
    for style, (name, figure) in enumerate(figures):
        points: list[Point] = []
        hollow = []
        for run in subject.runs:
            clients, value = float(run.test_configuration.num_clients), known(figure(run))
            # What was cut off was measured on part of a step: no line may lead there.
            if value is not None and not whole(run):
                hollow.append((clients, value))
            points.append((clients, value if whole(run) else None))
        lines.append(Line(name, points, style=style, markers=True, hollow=hollow))
    counts = [run.test_configuration.num_clients for run in subject.runs]
    capacity = subject.analysis.capacity
    return Plot(
        title=title,
        description=_description(lines, unit, limit, capacity),
        across=count_axis(counts, _WIDTH, always=[capacity] if capacity else []),
        unit=unit,
        lines=lines,
        limit=limit,
        marks=[Mark(capacity, f"capacity {capacity:,}")] if capacity else [],
        under="clients",
        up=up,
    )


def _description(
    lines: Sequence[Line], unit: Unit, limit: Mark | None, capacity: int | None
) -> str:
    parts = [described([(line.name, line.points) for line in lines], unit, at_clients)]
    cut = [(f"{line.name}, cut off", line.hollow) for line in lines if line.hollow]
    if cut:
        parts.append(described(cut, unit, at_clients))
    if limit is not None:
        parts.append(f"Limit: {limit.name}.")
    if capacity is not None:
        parts.append(f"Capacity: {capacity} clients.")
    return " ".join(parts)


def _curves(subject: Subject) -> Plot:
    """Return the distribution of all latencies of each step, none left out."""
    named = subject.named
    lines = []
    for place, run in enumerate(subject.runs):
        samples = [known(sample) for client in run.clients for sample in client.latency_samples]
        p95 = known(run.summary.latency.p95)
        name = subject.names[place]
        lines.append(
            Line(
                name if whole(run) else f"{run.test_configuration.num_clients}, cut off",
                cumulated([sample for sample in samples if sample is not None]),
                style=named.index(place) if place in named else 0,
                steps=True,
                dots=[] if p95 is None or place not in named else [(p95, 0.95)],
                faint=place not in named,
            )
        )
    limit = subject.latency_limit
    ends = [value for line in lines for value, _ in line.points]
    values = [*ends, limit.at] if limit else ends
    others = f" Grey: the {len(lines) - len(named)} other steps." if len(named) < len(lines) else ""
    across = axis(values, Unit.SECONDS, most=6)
    bodies = [body for run in subject.runs if (body := known(run.summary.latency.median))]
    if across.high > _CROWDED * min(bodies, default=across.high):
        across = log_axis(values)
    words = described(
        # Those that matter first: not all of many are read out.
        [(line.name, _turned(line.points)) for line in sorted(lines, key=lambda line: line.faint)],
        Unit.SECONDS,
        lambda share: f"{share * 100:.0f} %",
    )
    return Plot(
        title="Distribution of latency",
        description=f"Share of all updates that came within a time. {words}",
        across=across,
        unit=Unit.FRACTION,
        lines=lines,
        marks=[limit] if limit else [],
        under="came within (logarithmic scale)" if across.log else "came within",
        note=f"Share of a step's updates that came within a time. Marks: p95.{others}",
        up=Axis(
            low=0.0,
            high=1.0,
            ticks=(0.0, 0.25, 0.5, 0.75, 0.95, 1.0),
            labels=("0 %", "25 %", "50 %", "75 %", "95 %", "100 %"),
        ),
    )


def cumulated(samples: Sequence[float]) -> list[tuple[float, float]]:
    """Return which share of the samples is no larger than each of them, first and last included."""
    ordered = sorted(samples)
    count = len(ordered)
    if not count:
        return []
    most = min(count, _CURVE)
    chosen = [round(place * (count - 1) / max(most - 1, 1)) for place in range(most)]
    return [(ordered[0], 0.0), *((ordered[place], (place + 1) / count) for place in chosen)]


def _turned(points: Sequence[Point]) -> list[Point]:
    """Return the times at a few shares, for those who read."""
    if not points:
        return []
    found: list[Point] = []
    for share in (0.5, 0.95, 1.0):
        reached = (where for where, value in points if value is not None and value >= share - 1e-9)
        found.append((share, next(reached)))
    return found
