"""A series as one HTML page: the answer first, then what it rests on. Pure.

The page loads nothing, runs no script, and holds no time of its making: the same runs make the same
page.
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from loadtest.analysis.cost import COST_TITLE
from loadtest.analysis.series import HEADROOM
from loadtest.analysis.words import bottleneck_sentence, failures_sentence
from loadtest.figures import Unit, format_figure
from loadtest.report.by_clients import overview
from loadtest.report.document import document, figures
from loadtest.report.markup import Markup, joined, tag
from loadtest.report.over_time import (
    latency_courses,
    replica_bars,
    replica_courses,
)
from loadtest.report.subject import Subject, subject, whole
from loadtest.report.tables import (
    configuration,
    cost,
    definitions,
    failures_table,
    lateness_table,
    shorter,
    slo_sentence,
    steps_table,
    texts,
)
from loadtest.runfile import Run
from loadtest.verdict import clients_text

_NOT_KNOWN: Final = "Not known."
_FEW_ROWS: Final = 3
"""Seconds under which plots over time are mostly empty."""


def series_page(
    runs: Sequence[Run], *, headroom: float = HEADROOM, with_texts: bool = False
) -> str:
    """Return the report on a series as an HTML document.

    ``with_texts`` adds what was said and heard, which is as private as the audio. Raises ValueError
    for no runs at all or for runs of two series.
    """
    about = subject(runs, headroom=headroom)
    # In one place, so that no two plots share an id.
    identities = (f"plot-{number}" for number in count(1))
    body = tag(
        "main",
        *_answer(about),
        *_overview(about, identities),
        *_over_time(about, identities),
        *_inside(about, identities),
        tag("h2", "Steps"),
        steps_table(about),
        *_cost(about),
        *_failures(about),
        tag("h2", "Can the figures be trusted?"),
        tag("p", _trust(about)),
        lateness_table(about),
        configuration(about),
        tag("h2", "What the figures mean"),
        definitions(),
        *([tag("h2", "References and transcripts"), texts(about)] if with_texts else []),
        _footer(about, with_texts=with_texts),
    )
    return document(f"{_short_answer(about)} – {about.analysis.series_id}", body)


def _short_answer(about: Subject) -> str:
    analysis = about.analysis
    if analysis.capacity is None:
        if about.examined is None:
            return "Nothing to judge"
        return "No client count met the SLO"
    more = "" if analysis.limit_found else " or more"
    return f"{clients_text(analysis.capacity)}{more} at once"


def _answer(about: Subject) -> Iterator[Markup]:
    analysis = about.analysis
    yield tag("p", _about(about), class_="above")
    yield tag("h1", _short_answer(about))
    yield tag("p", analysis.headline, class_="headline")
    yield _tiles(about)
    broke = bottleneck_sentence(analysis)
    label = "Broke first" if analysis.limit_found else "Limits"
    facts = [
        (label, [f"{broke[:1].upper()}{broke[1:]}"]),
        ("Also at its limit", [one.sentence for one in analysis.others]),
        ("Next", analysis.advice),
        ("Inflection", [analysis.inflection_sentence]),
        ("Failed sessions", [failures_sentence(analysis)]),
        ("SLO", [slo_sentence(about.slo)]),
    ]
    parts = [
        joined(tag("dt", name), *(tag("dd", sentence) for sentence in said))
        for name, said in facts
        if said
    ]
    yield tag("dl", *parts, class_="facts")
    if analysis.warnings:
        warnings = [tag("li", f"⚠ {warning}") for warning in analysis.warnings]
        yield tag("ul", *warnings, class_="warnings", aria_label="Warnings")


def _about(about: Subject) -> str:
    times = sorted(run.created_at for run in about.runs)
    first, last = (f"{time:%Y-%m-%d %H:%M}" for time in (times[0], times[-1]))
    targets = {f"{run.test_configuration.host}:{run.test_configuration.port}" for run in about.runs}
    parts = [
        "Load test of WhisperLive",
        shorter(about.analysis.label),
        about.analysis.series_id,
        f"{first} to {last.removeprefix(first[:11])} UTC" if first != last else f"{first} UTC",
        shorter(", ".join(sorted(targets)), most=100),
    ]
    return " · ".join(part for part in parts if part)


def _tiles(about: Subject) -> Markup:
    analysis = about.analysis
    more = "" if analysis.limit_found else " or more"
    tiles = [
        (
            "capacity",
            "none" if analysis.capacity is None else f"{analysis.capacity:,}{more}",
        )
    ]
    if analysis.recommended is not None:
        room = f"{analysis.headroom * 100:.0f} %"
        tiles.append((f"with {room} head-room", f"{analysis.recommended:,}"))
    place = about.best if about.best is not None else about.examined
    if place is not None:
        step = about.steps[place]
        ended = f"{step.sessions - step.failed:,} of {step.sessions:,}"
        where = f"at {about.names[place]}"
        tiles += [
            (f"p95 latency {where}", format_figure(step.p95, Unit.SECONDS)),
            (f"WER {where}", format_figure(step.wer, Unit.FRACTION)),
            (f"succeeded {where}", ended),
        ]
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", figure)) for name, figure in tiles),
        class_="tiles",
    )


def _overview(about: Subject, identities: Iterator[str]) -> Iterator[Markup]:
    yield tag("h2", "By clients")
    if not all(whole(run) for run in about.runs):
        yield tag("p", "Open marks: steps that were cut off before their end.", class_="dim")
    yield figures(overview(about), identities)


def _over_time(about: Subject, identities: Iterator[str]) -> Iterator[Markup]:
    yield tag("h2", "Latency over time, step by step")
    plots = latency_courses(about)
    if not plots:
        yield tag("p", _NOT_KNOWN)
        return
    yield tag(
        "p", "Of the updates of the last 5 seconds; all steps on the same scale.", class_="dim"
    )
    yield figures(plots, identities, small=True)


def _inside(about: Subject, identities: Iterator[str]) -> Iterator[Markup]:
    for place in about.looked_into:
        yield tag("h2", f"Inside the step with {about.title(place)}")
        run = about.runs[place]
        if not whole(run):
            yield tag("p", _cut(run), class_="dim")
        bars, courses = replica_bars(about, place), replica_courses(about, place)
        if bars:
            yield figures(bars, identities)
        if courses and place != about.looked_into[-1] and len(run.timeline) < _FEW_ROWS:
            yield tag("p", "It was too short to be shown second by second.", class_="dim")
        elif courses:
            yield tag("h3", "Second by second")
            yield figures(courses, identities)
        if not courses:
            why = "" if run.test_configuration.stack else ": the server is none of our stacks"
            yield tag("p", f"What the replicas used is not known{why}.")


def _cut(run: Run) -> str:
    why = f", as {run.summary.stopped_because}" if run.summary.stopped_because else ""
    return f"It was {run.status.value} after {run.summary.total_duration:.1f} s{why}."


def _cost(about: Subject) -> Iterator[Markup]:
    found = cost(about)
    if found:
        yield tag("h2", COST_TITLE)
        yield found


def _failures(about: Subject) -> Iterator[Markup]:
    found = failures_table(about)
    if found:
        yield tag("h2", "Failed sessions")
        yield found


def _trust(about: Subject) -> str:
    late = [
        name
        for name, run in zip(about.names, about.runs, strict=True)
        if run.summary.generator_distorted
    ]
    if late:
        return (
            f"Not those of {', '.join(late)}: the load generator itself was late, so these "
            "latencies are too large, and not by the server's doing."
        )
    known = [run.summary.slip.max for run in about.runs if run.summary.slip.max is not None]
    if not known:
        return "Not known: no message was timed."
    return (
        f"The load generator was on time in every step: no {_message(about)} left more than "
        f"{max(known) * 1000:.1f} ms late."
    )


def _message(about: Subject) -> str:
    chunks = {run.test_configuration.chunk for run in about.runs}
    shown = " or ".join(f"{chunk * 1000:.0f} ms" for chunk in sorted(chunks))
    return f"message of {shown}"


def _footer(about: Subject, *, with_texts: bool) -> Markup:
    versions = sorted({shorter(str(run.environment.get("whisperctl", "?"))) for run in about.runs})
    private = (
        "References and transcripts are included: this page is as private as the audio."
        if with_texts
        else "References and transcripts are left out."
    )
    return tag(
        "footer",
        tag("p", f"Made by whisperctl from runs of version {', '.join(versions)}. {private}"),
        tag("p", f"Runs: {', '.join(run.run_id for run in about.runs)}"),
    )
