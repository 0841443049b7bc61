"""The charts that the dashboard offers, and what each of them shows. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from console.history import History
from console.live import Live
from console.rendering.drawing import Drawing, Line

Kind = Literal[
    "latency",
    "distribution",
    "words",
    "cpu",
    "memory",
    "gpu-memory",
    "gpu-utilisation",
    "queue",
]


@dataclass(frozen=True, slots=True)
class ChartKind:
    """One chart on offer."""

    name: Kind
    label: str
    """For lists."""
    figure: str = ""
    """The field of a replica's sample, where there is a line a replica."""
    title: str = ""
    """For the border; with the unit."""
    scale: float = 1.0
    lowest_top: float = 1.0


MIB: Final = 2.0**-20
GIB: Final = 2.0**-30
_GIB_FROM: Final = 2 * 2**30
"""Bytes from which memory is told in GiB."""

_COUNTS: Final = ("distribution", "queue")
"""Charts whose values are whole numbers."""

KINDS: Final = (
    ChartKind("latency", "Latency: p50, p95, p99", title="latency, s", lowest_top=0.5),
    ChartKind(
        "distribution",
        "Sessions per replica",
        "sessions",
        "sessions per replica",
        lowest_top=2.0,
    ),
    ChartKind("words", "Word error rate", title="word error rate, %", lowest_top=5.0),
    ChartKind("cpu", "CPU per replica", "cpu", "CPU, % of a core", 100.0, 20.0),
    ChartKind("memory", "Memory per replica", "memory", "memory", MIB, 100.0),
    ChartKind("gpu-memory", "GPU memory per replica", "gpu_memory", "GPU memory, GiB", GIB, 1.0),
    ChartKind(
        "gpu-utilisation",
        "GPU utilisation per replica",
        "gpu_utilisation",
        "GPU utilisation, %",
        100.0,
        20.0,
    ),
    ChartKind("queue", "Queue per replica", "queue_depth", "queue per replica", lowest_top=2.0),
)
BY_NAME: Final = {kind.name: kind for kind in KINDS}

Window = Literal["1 min", "5 min", "run"]
WINDOWS: Final[tuple[Window, ...]] = ("1 min", "5 min", "run")
"""What the charts may span; ``run`` is since the last load's first step began."""
_SECONDS: Final[dict[Window, float]] = {"1 min": 60.0, "5 min": 300.0}


def default_charts(history: History) -> list[Kind]:
    """Return what is shown until somebody chooses."""
    if history.knows("gpu_utilisation") or history.knows("gpu_memory"):
        return ["latency", "distribution", "gpu-memory", "gpu-utilisation"]
    return ["latency", "distribution", "words", "cpu"]


def span(history: History, window: Window) -> tuple[float, str]:
    """Return how many seconds a window goes back, and its words for a title."""
    if window != "run":
        return _SECONDS[window], window
    if history.run_span is None:
        return _SECONDS["5 min"], "5 min, no run yet"
    return max(1.0, history.run_span), "run"


def draw(
    kind: ChartKind,
    history: History,
    live: Live,
    *,
    window: Window = "5 min",
    slo: float | None = None,
    now: float = 0.0,
) -> tuple[str, Drawing]:
    """Return a chart's title, and what it shows; ``now`` is in seconds since the epoch."""
    seconds, words = span(history, window)
    title, lines = _lines(kind, history, seconds)
    return f"{title} ({words})", Drawing(
        lines=lines,
        empty=_empty(kind, live),
        limit=("SLO p95", slo) if kind.name == "latency" and slo is not None else None,
        lowest_top=kind.lowest_top * (GIB / MIB if title.endswith("GiB") and not _gpu(kind) else 1),
        window=min(seconds, history.span),
        whole=kind.name in _COUNTS,
        now=now,
    )


def _lines(kind: ChartKind, history: History, seconds: float) -> tuple[str, Sequence[Line]]:
    if kind.name == "latency":
        names = ("p50", "p95", "p99")
        return kind.title, [
            Line(name, history.latency(index, seconds)) for index, name in enumerate(names)
        ]
    if kind.name == "words":
        return kind.title, [Line("WER", history.wer(seconds))]
    title, scale = kind.title, kind.scale
    if kind.name == "memory":
        most = max((sample.memory or 0 for sample in history.samples.values()), default=0)
        unit, scale = ("GiB", GIB) if most >= _GIB_FROM else ("MiB", MIB)
        title = f"{title}, {unit}"
    # All that are remembered: a replica keeps its colour when another is gone.
    return title, [
        Line(
            name + _shared(kind, history, name), history.replica(name, kind.figure, scale, seconds)
        )
        for name in history.replicas()
    ]


def _gpu(kind: ChartKind) -> bool:
    return kind.figure.startswith("gpu")


def _shared(kind: ChartKind, history: History, replica: str) -> str:
    """Mark the figure of a whole card, which is not the replica's own."""
    sample = history.samples.get(replica)
    if sample is None or not _gpu(kind):
        return ""
    memory = kind.figure == "gpu_memory"
    shared = sample.gpu_memory_shared if memory else sample.gpu_utilisation_shared
    return " card" if shared else ""


def _empty(kind: ChartKind, live: Live) -> str:
    """Say why there is nothing to see, and what to do."""
    if kind.figure:
        if live.absent:
            return "Press u to bring the stack up."
        if _gpu(kind):
            if live.cards:
                return "No replica's part of the GPU is known; key 5 says what the machine has."
            return "No GPU was found: the replicas compute on the CPU."
        return "The replicas have not told this yet."
    if live.absent:
        return "Press u to bring the stack up, then l to put load on it."
    if live.load is not None:
        done = kind.name == "words"
        return "Known when the first session has ended." if done else "The first words are awaited."
    if live.open_sessions:
        return "Known for loads that are started here: press l."
    return "Press l to put load on the stack."
