"""Plots of one step, second by second, and of what each replica had to do. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from loadtest.figures import Unit, format_figure
from loadtest.report.scale import Axis, Point, axis, known, time_axis
from loadtest.report.subject import Subject, by_name
from loadtest.report.svg import Band, Bar, Bars, Line, Mark, Plot
from loadtest.report.words import at_second, described
from loadtest.runfile import Run, TimelineRow
from stack.status import ReplicaSample

_PAUSE: Final = 3.0
"""Seconds between two rows from which on something is missing: there is one a second."""
_REPLICAS: Final = 6
"""Replicas whose lines are told apart; of more only those that matter."""
_BARS: Final = 64
_SMALL: Final = (320.0, 180.0)
_MIDDLE: Final = (480.0, 220.0)

_PARTS: Final[Sequence[tuple[str, Unit, Callable[[ReplicaSample], float | None]]]] = (
    ("CPU of each replica, cores", Unit.CORES, lambda sample: sample.cpu),
    ("Memory of each replica", Unit.BYTES, lambda sample: sample.memory),
    ("GPU utilisation of each replica", Unit.FRACTION, lambda sample: sample.gpu_utilisation),
    ("GPU memory of each replica", Unit.BYTES, lambda sample: sample.gpu_memory),
    ("Open sessions of each replica", Unit.COUNT, lambda sample: sample.sessions),
    ("Sessions that wait for inference", Unit.COUNT, lambda sample: sample.queue_depth),
)


def course(run: Run, value: Callable[[TimelineRow], float | None]) -> list[Point]:
    """Return a figure second by second; a gap where rows are missing."""
    points: list[Point] = []
    for row in run.timeline:
        time = known(row.time)
        if time is None:
            continue
        if points and time - points[-1][0] > _PAUSE:
            points.append((time, None))
        points.append((time, known(value(row))))
    return points


def latency_courses(subject: Subject) -> list[Plot]:
    """Return latency over time, one plot a step, all on one scale."""
    limit = subject.latency_limit
    steps = [
        [
            Line("p95", course(run, lambda row: row.latency_p95), style=0),
            Line("median", course(run, lambda row: row.latency_p50), style=1),
        ]
        for run in subject.runs
    ]
    values = [value for lines in steps for value in _values(lines)]
    up = axis([*values, limit.at] if limit else values, Unit.SECONDS, most=4)
    across = _seconds([line for lines in steps for line in lines])
    return [
        Plot(
            title=subject.title(place),
            description=_said(lines, Unit.SECONDS),
            across=across,
            unit=Unit.SECONDS,
            lines=[line for line in lines if _values([line])],
            limit=limit,
            up=up,
            size=_SMALL,
        )
        for place, lines in enumerate(steps)
        if _values(lines)
    ]


def _values(lines: Sequence[Line]) -> list[float]:
    return [value for line in lines for _, value in line.points if value is not None]


def _seconds(lines: Sequence[Line]) -> Axis:
    return time_axis(max((time for line in lines for time, _ in line.points), default=1.0))


def _said(lines: Sequence[Line], unit: Unit) -> str:
    return described([(line.name, line.points) for line in lines], unit, at_second)


def replica_courses(subject: Subject, place: int) -> list[Plot]:
    """Return what each replica of a step used over time, and what the machine did."""
    run = subject.runs[place]
    plots = [
        _replicas(subject, place, title, unit, value)
        for title, unit, value in _PARTS
        if any(
            known(value(sample)) is not None
            for row in run.timeline
            for sample in row.replicas.values()
        )
    ]
    machine = _machine(run)
    return [*plots, machine] if _values(machine.lines) else plots


def replicas_shown(subject: Subject, place: int) -> tuple[list[str], list[str]]:
    """Return the replicas of a step that are told apart, and the others.

    Of many those are told apart that findings name, and the slowest and the fastest.
    """
    run, step = subject.runs[place], subject.steps[place]
    names = by_name({name for row in run.timeline for name in row.replicas})
    if len(names) <= _REPLICAS:
        return names, []
    found = [subject.analysis.bottleneck, *subject.analysis.others]
    chosen = {one.replica for one in found if one is not None and one.replica in names}
    chosen = set(sorted(name for name in chosen if name is not None)[: _REPLICAS - 2])
    rated = sorted(
        (one.worst, one.name)
        for one in step.replicas
        if one.worst is not None and one.name in names
    )
    chosen |= {name for _, name in (*rated[:1], *rated[-1:])}
    return [name for name in names if name in chosen], [
        name for name in names if name not in chosen
    ]


def _replicas(
    subject: Subject,
    place: int,
    title: str,
    unit: Unit,
    value: Callable[[ReplicaSample], float | None],
) -> Plot:
    run = subject.runs[place]
    shown, others = replicas_shown(subject, place)

    def of(name: str) -> Callable[[TimelineRow], float | None]:
        return lambda row: known(value(row.replicas[name])) if name in row.replicas else None

    def extreme(which: Callable[[list[float]], float]) -> Callable[[TimelineRow], float | None]:
        def found(row: TimelineRow) -> float | None:
            values = [one for name in others if (one := of(name)(row)) is not None]
            return which(values) if values else None

        return found

    lines = [Line(name, course(run, of(name)), style=style) for style, name in enumerate(shown)]
    bands = []
    if others:
        low, high = course(run, extreme(min)), course(run, extreme(max))
        bands = [Band(f"{len(others)} others", low, high)]
    values = _values(lines)
    values += [value for band in bands for _, value in band.high if value is not None]
    shared = unit in {Unit.BYTES, Unit.FRACTION} and title.startswith("GPU") and _shared(run)
    words = [(line.name, line.points) for line in lines]
    words += [(f"{band.name}, highest", band.high) for band in bands]
    return Plot(
        title=f"{title} (the whole card's, shared)" if shared else title,
        description=described(words, unit, at_second),
        across=_seconds(lines),
        unit=unit,
        lines=lines,
        bands=bands,
        # Half of a card looks like half only beside a whole one.
        up=axis([*values, 1.0] if unit is Unit.FRACTION else values, unit, most=4),
        size=_MIDDLE,
    )


def _shared(run: Run) -> bool:
    return any(sample.gpu_shared for row in run.timeline for sample in row.replicas.values())


def _machine(run: Run) -> Plot:
    """Return where the machine's cores went; all in cores, so that one scale holds them."""
    machines = [row.machine for row in run.timeline if row.machine is not None]
    cores = next((one.cores for one in machines if one.cores), None)

    def machine(row: TimelineRow) -> float | None:
        cpu = known(row.machine.cpu) if row.machine else None
        return None if cpu is None or cores is None else cpu * cores

    def replicas(row: TimelineRow) -> float | None:
        used = [known(sample.cpu) for sample in row.replicas.values()]
        # A sum without one of its parts would be another figure.
        return None if not used or None in used else sum(one for one in used if one is not None)

    figures: list[tuple[str, Callable[[TimelineRow], float | None]]] = [
        ("machine", machine),
        ("replicas", replicas),
        ("balancer", lambda row: row.machine.balancer_cpu if row.machine else None),
        ("generator", lambda row: row.generator_cpu),
    ]
    lines = [
        Line(name, course(run, figure), style=style) for style, (name, figure) in enumerate(figures)
    ]
    lines = [line for line in lines if _values([line])]
    said = _said(lines, Unit.CORES)
    return Plot(
        title="CPU of the machine and who used it, cores",
        description=f"{said} The machine has {cores} cores." if cores else said,
        across=_seconds(lines),
        unit=Unit.CORES,
        lines=lines,
        limit=Mark(cores, f"all {cores} cores") if cores else None,
        size=_MIDDLE,
    )


def replica_bars(subject: Subject, place: int) -> list[Bars]:
    """Return the sessions of each replica of a step, and how slow it was with them."""
    run, step = subject.runs[place], subject.steps[place]
    spread = run.summary.load_distribution
    failed = {one.name: one.failed for one in step.replicas}
    bottleneck = subject.analysis.bottleneck
    broken = bottleneck.replica if bottleneck is not None and place == subject.examined else None

    def bar(name: str, value: float | None, said: str) -> Bar:
        striking = name == broken
        return Bar(name, known(value), f"{said} ← broke first" if striking else said, striking)

    def count(name: str) -> str:
        lost = f", {failed[name]} failed" if failed.get(name) else ""
        return f"{spread.sessions[name]}{lost}"

    sessions = [bar(name, spread.sessions[name], count(name)) for name in by_name(spread.sessions)]
    if spread.unknown and sessions:
        sessions.append(Bar("not named", float(spread.unknown), str(spread.unknown)))
    latencies = [
        bar(one.name, one.worst, format_figure(one.worst, Unit.SECONDS)) for one in step.replicas
    ]
    even = format_figure(spread.max_over_mean, Unit.RATIO)
    plots = [
        _bars(
            Bars(
                title="Sessions served by each replica",
                description="",
                unit=Unit.COUNT,
                bars=sessions,
                note=f"The busiest had {even} the mean." if spread.max_over_mean else "",
            )
        ),
        _bars(
            Bars(
                title="p95 latency of each replica",
                description="",
                unit=Unit.SECONDS,
                bars=latencies,
                limit=subject.latency_limit,
                note="Or the largest, where a replica has under 20 samples.",
            )
        ),
    ]
    return [plot for plot in plots if any(bar.value is not None for bar in plot.bars)]


def _bars(plot: Bars) -> Bars:
    """Describe bars, and leave out some where there are too many to be read."""
    bars, note = plot.bars, plot.note
    if len(bars) > _BARS:
        # The largest and the one that is named stay: they are what one looks for.
        order = sorted(bars, key=lambda bar: (not bar.striking, -(bar.value or 0.0), bar.name))
        kept = {bar.name for bar in order[:_BARS]}
        note = f"{note} Shown are the {_BARS} largest of {len(bars)}.".strip()
        bars = [bar for bar in bars if bar.name in kept]
    said = ", ".join(f"{bar.name}: {bar.text}" for bar in bars)
    return replace(plot, bars=bars, note=note, description=f"{said}.")
