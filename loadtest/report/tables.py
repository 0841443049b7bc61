"""The parts of a report that are read, not looked at: steps, lateness, failures, settings. Pure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from loadtest.analysis.cost import cost_table
from loadtest.analysis.words import STEP_HEADER, STEP_LEGEND, known_columns, step_cells
from loadtest.comparison.configuration import configuration_rows, shared_configuration
from loadtest.comparison.model import ConfigurationRow
from loadtest.figures import Unit, format_figure
from loadtest.plan import Slo
from loadtest.report.markup import Markup, joined, tag
from loadtest.report.subject import Subject, whole
from loadtest.runfile import Distribution, Outcome, Run

_KINDS: Final = 5
"""Error texts that are shown of each step; the others are counted."""
_TEXT: Final = 300
"""Letters of an error text, or of a setting."""
_OF_STEPS: Final = frozenset({"label", "status", "clients"})
"""What is said of each step elsewhere."""
_ENVIRONMENT: Final = "environment "
_DIRECTORY: Final = "audio directory"

_DEFINITIONS: Final = (
    (
        "latency",
        "for each message that moves the end of the transcript to a later second: time received "
        "minus the scheduled send time of the audio that it reaches. It is that of the newest "
        "audio; the words before it took longer.",
    ),
    (
        "word latency",
        "for each word that came out right, in clips with word times: from its end to when it was "
        "first shown. What a person feels.",
    ),
    (
        "median, p95, p99",
        "half, 95 and 99 of 100 samples are no larger. Over all samples of a step together, never "
        "averaged; p95 needs 20 samples, p99 needs 100, else “–”. Over time: those of the last "
        "5 seconds.",
    ),
    (
        "WER",
        "word error rate: words replaced, left out and put in, over the words of the reference.",
    ),
    (
        "success",
        "a session that the server took, that sent all its audio, and ended in order with text. "
        "All else is a failure with one reason.",
    ),
    ("capacity", "the largest client count that met the SLO, with none below it that missed it."),
    ("SLO", "the limits that a step must meet; those of this series stand at the top."),
    (
        "even",
        "sessions of the busiest replica over the mean of all; 1.00 is perfectly even.",
    ),
    (
        "CPU, GPU",
        "means over the seconds in which at least nine tenths of the clients were talking. A gap "
        "in a plot is something that is not known; it is never zero.",
    ),
    (
        "slip",
        "how much later than scheduled the load generator sent a message. Latencies count from the "
        "schedule, so a late generator makes a server look worse, never better.",
    ),
)


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, words: Sequence[int] = ()
) -> Markup:
    """Return figures below their names; columns in ``words`` hold sentences."""

    def kind(column: int) -> str:
        return "words" if column in words else "figure"

    head = [tag("th", name, scope="col", class_=kind(n)) for n, name in enumerate(header)]
    body = [
        tag("tr", *(tag("td", cell, class_=_class(cell, kind(n))) for n, cell in enumerate(row)))
        for row in rows
    ]
    name = caption.split(".", maxsplit=1)[0]
    # The table scrolls where it is too wide, what is said of it doesn't.
    return joined(
        tag("p", caption, class_="dim"),
        tag(
            "div",
            tag(
                "table",
                tag("thead", tag("tr", *head)),
                tag("tbody", *body),
                aria_label=name,
            ),
            class_="wide",
            role="region",
            tabindex=0,
            aria_label=name,
        ),
    )


def _class(cell: str, kind: str) -> str:
    return f"{kind} {cell[2:]}" if cell in {"✓ met", "✗ missed"} else kind


def steps_table(subject: Subject) -> Markup:
    """Return every step's figures, and why it missed the SLO."""
    cells = [step_cells(step) for step in subject.steps]
    columns = known_columns(cells)
    rows = []
    for step, run, values in zip(subject.steps, subject.runs, cells, strict=True):
        sign = {True: "✓ ", False: "✗ ", None: ""}[step.met]
        shown = [values[column] for column in columns]
        cut = [] if whole(run) else [f"cut off after {run.summary.total_duration:.1f} s"]
        rows.append([*shown[:-1], f"{sign}{shown[-1]}", "; ".join([*step.reasons, *cut])])
    header = [*(STEP_HEADER[column] for column in columns), "because"]
    if not any(row[-1] for row in rows):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return table(header, rows, caption=STEP_LEGEND, words=[len(columns)])


def cost(subject: Subject) -> Markup:
    """Return what every part used in every step; empty where nothing is known."""
    header, rows, legend = cost_table(subject.steps, wide=True)
    if not rows:
        return Markup()
    return table(header, rows, caption=legend, words=[1])


def lateness_table(subject: Subject) -> Markup:
    """Return how late the generator itself was, step by step."""
    rows = [_lateness(name, run) for name, run in zip(subject.names, subject.runs, strict=True)]
    return table(
        [
            "step",
            "messages",
            "median",
            "p95",
            "p99",
            "largest",
            "p99 of a message",
            "CPU",
            "judged",
        ],
        rows,
        caption=(
            "Slip in milliseconds: how much later than scheduled messages were sent. CPU: cores "
            "that the generator used. It is called late when the p99 of its lateness is over half "
            "a message, or over 20 ms and a tenth of the p95 latency."
        ),
        words=[8],
    )


def _lateness(name: str, run: Run) -> list[str]:
    slip = run.summary.slip
    chunk = run.test_configuration.chunk
    part = "–" if slip.p99 is None else format_figure(slip.p99 / chunk, Unit.FRACTION)
    verdicts = ["late: not to be trusted" if run.summary.generator_distorted else "on time"]
    if not slip.count:
        verdicts = ["not known"]
    if run.beyond_calibration:
        verdicts.append(f"calibrated for {run.summary.calibrated_clients} clients only")
    return [
        name,
        f"{slip.count:,}",
        *_milliseconds(slip),
        part,
        format_figure(run.summary.generator_cpu, Unit.CORES).removesuffix(" cores"),
        ", ".join(verdicts),
    ]


def _milliseconds(slip: Distribution) -> list[str]:
    return [
        "–" if value is None else f"{value * 1000:.1f}"
        for value in (slip.median, slip.p95, slip.p99, slip.max)
    ]


def failures_table(subject: Subject) -> Markup:
    """Return why sessions failed, with what was said; empty where none did."""
    rows = []
    for name, run in zip(subject.names, subject.runs, strict=True):
        kinds = Counter(
            (client.failure.value, shorter(client.errors[-1] if client.errors else "–"))
            for client in run.clients
            if client.outcome is Outcome.FAILED and client.failure is not None
        )
        most = kinds.most_common(_KINDS)
        rows += [[name, str(count), reason, said] for (reason, said), count in most]
        rest = kinds.total() - sum(count for _, count in most)
        if rest:
            rows.append([name, str(rest), "", "with other texts"])
    if not rows:
        return Markup()
    return table(
        ["step", "sessions", "reason", "last error"],
        rows,
        caption="Failed sessions, by reason and error text.",
        words=[2, 3],
    )


def configuration(subject: Subject) -> Markup:
    """Return what all steps share: how the load was made, on what stack, on what machine."""
    shared = shared_configuration(subject.runs)
    settings = {
        name: value
        for name, value in shared.items()
        if not name.startswith((_ENVIRONMENT, "slo ")) and name not in _OF_STEPS
    }
    machine = {
        name.removeprefix(_ENVIRONMENT): value
        for name, value in shared.items()
        if name.startswith(_ENVIRONMENT)
    }
    differing = [row for row in configuration_rows(subject.runs) if row.name not in _OF_STEPS]
    parts = [tag("h2", "Configuration"), _pairs(settings)]
    if differing:
        said = "; ".join(
            f"{row.name} ({shorter(', '.join(dict.fromkeys(_public(row))))})" for row in differing
        )
        parts.append(tag("p", f"Not the same in all steps: {said}.", class_="dim"))
    parts += [tag("h2", "Machine that the load came from"), _pairs(machine)]
    return joined(*parts)


def _pairs(values: Mapping[str, Any]) -> Markup:
    if not values:
        return tag("p", "Not known.")
    pairs = [
        tag("div", tag("dt", name), tag("dd", shown))
        for name, value in values.items()
        if (shown := _setting(name, value)) is not None
    ]
    return tag("dl", *pairs, class_="settings")


def _setting(name: str, value: Any) -> str | None:
    """Write a setting; None for one that need not be said."""
    match value:
        case None:
            return {"audio a session (s)": "whole clips", "language": "any"}.get(name)
        case bool():
            return "yes" if value else "no"
        case int() if name.endswith("memory"):
            return format_figure(value, Unit.BYTES)
        case float():
            return f"{value:g}"
        case list():
            return "; ".join(_card(one) for one in value) or "none"
        case str() if name == _DIRECTORY:
            return shorter(_last_part(value))
    return shorter(str(value))


def _public(row: ConfigurationRow) -> list[str]:
    if row.name == _DIRECTORY:
        return [_last_part(value) for value in row.values]
    return row.values


def _last_part(path: str) -> str:
    """Return a directory without the way there, which names people and their machines."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _card(value: Any) -> str:
    if not isinstance(value, dict):
        return shorter(str(value))
    memory = value.get("memory")
    parts = [
        str(value.get("name", "card")),
        format_figure(memory, Unit.BYTES) if isinstance(memory, int) else "",
        f"driver {value['driver']}" if value.get("driver") else "",
    ]
    return shorter(", ".join(part for part in parts if part))


def shorter(value: str, *, most: int = _TEXT) -> str:
    """Cut a text that a foreign file may have made endless."""
    return value if len(value) <= most else f"{value[: most - 1]}…"


def slo_sentence(slo: Slo | None) -> str:
    """Say which limits a step had to meet; None where the steps had different ones."""
    if slo is None:
        return "Not the same in all steps, so no plot shows it."
    limits = []
    if slo.p95_latency is not None:
        limits.append(f"p95 latency at most {slo.p95_latency:g} s")
    if slo.success_rate is not None:
        limits.append(f"success at least {slo.success_rate * 100:g} %")
    if slo.p95_word_latency is not None:
        limits.append(f"p95 word latency at most {slo.p95_word_latency:g} s")
    if slo.wer_over_baseline is not None:
        limits.append(f"WER at most {slo.wer_over_baseline * 100:g} points over the first step's")
    return f"{'; '.join(limits) or 'None'}."


def definitions() -> Markup:
    """Return what each figure means."""
    pairs = [part for name, said in _DEFINITIONS for part in (tag("dt", name), tag("dd", said))]
    return tag("dl", *pairs, class_="facts")


def texts(subject: Subject) -> Markup:
    """Return what was said and what was heard, session by session."""
    parts = []
    for name, run in zip(subject.names, subject.runs, strict=True):
        rows = [
            [
                str(client.client_id),
                client.replica or "–",
                client.outcome.value,
                "–" if client.wer is None else format_figure(client.wer.wer, Unit.FRACTION),
                client.reference or "–",
                client.transcript or "–",
            ]
            for client in run.clients
        ]
        header = ["client", "replica", "outcome", "WER", "reference", "transcript"]
        parts.append(table(header, rows, caption=f"{name}.", words=[1, 2, 4, 5]))
    return joined(*parts)
