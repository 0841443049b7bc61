"""A run's summary in Prometheus' text format. Pure.

For the textfile collector of node_exporter, or a Pushgateway: a run is over, so there is nothing to
scrape. Every figure is a gauge or a summary in base units; what is unknown is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from loadtest.runfile import Distribution, Run
from loadtest.usage import PartKind, PartUse, is_total, part_uses
from stack.figures import (
    BALANCER_FIGURES,
    BALANCER_PARTED,
    GPU_FIGURES,
    GPU_WORDS,
    MACHINE_FIGURES,
    PART_WORDS,
    REPLICA_FIGURES,
    REPLICA_PARTED,
    REPLICA_WORDS,
    Figure,
    Parted,
)
from stack.status import BalancerSample, GpuSample, MachineSample, ReplicaSample

_DISTRIBUTIONS: Final = {
    "latency": "Seconds from the scheduled sending of the newest audio in an update to its text.",
    "final_latency": "Seconds from the scheduled sending of the newest audio to its final text.",
    "word_latency": "Seconds from the end of each word that came out right to when it was shown.",
    "word_final_latency": "Seconds from the end of each such word to when it was completed.",
    "first_result": "Seconds from the first audio of a session to its first text.",
    "finish": "Seconds from the last audio of a session to its last text.",
    "connection_time": "Seconds from TCP connect to SERVER_READY.",
    "slip": "Seconds by which the load generator sent later than scheduled.",
}
_QUANTILES: Final = (("0.5", "median"), ("0.95", "p95"), ("0.99", "p99"))
_PREFIX: Final = "whisperctl_run_"


def prometheus_text(run: Run) -> str:
    """Write the figures of a run's summary, each with its HELP and TYPE."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_RunCollector(run))
    return generate_latest(registry).decode()


class _RunCollector(Collector):
    """Gives one run's figures."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._labels = {
            "run_id": run.run_id,
            "series_id": run.series_id,
            "label": run.label,
            "clients": str(run.test_configuration.num_clients),
        }

    def collect(self) -> Iterator[Metric]:
        """Yield the figures, family by family."""
        yield from self._of_the_run()
        for name, text in _DISTRIBUTIONS.items():
            yield from self._distribution(name, text)
        yield from self._words()
        yield from self._replicas()
        yield from self._usage()

    def _gauge(
        self, name: str, text: str, values: list[tuple[dict[str, str], float | None]]
    ) -> Iterator[Metric]:
        names = [*self._labels, *(values[0][0] if values else ())]
        family = GaugeMetricFamily(_PREFIX + name, text, labels=names)
        for labels, value in values:
            if value is not None:
                family.add_metric([*self._labels.values(), *labels.values()], float(value))
        if family.samples:
            yield family

    def _of_the_run(self) -> Iterator[Metric]:
        run, summary = self._run, self._run.summary
        created = run.created_at.timestamp()
        yield from self._gauge("created_timestamp_seconds", "When the run began.", [({}, created)])
        yield from self._gauge(
            "status",
            "1 for how the run ended: completed, stopped or interrupted.",
            [({"status": run.status.value}, 1)],
        )
        yield from self._gauge(
            "duration_seconds", "Seconds the run took.", [({}, summary.total_duration)]
        )
        yield from self._gauge(
            "sessions",
            "Sessions by how they ended.",
            [
                ({"outcome": "success"}, summary.successful_clients),
                ({"outcome": "failed"}, summary.failed_clients),
                ({"outcome": "incomplete"}, summary.incomplete_clients),
            ],
        )
        yield from self._gauge(
            "failures",
            "Failed sessions by reason.",
            [({"reason": reason}, count) for reason, count in sorted(summary.failures.items())],
        )
        yield from self._gauge(
            "audio_sent_seconds",
            "Seconds of audio sent by all clients.",
            [({}, summary.audio_sent)],
        )
        yield from self._gauge(
            "audio_mean_seconds",
            "Mean seconds of audio a session.",
            [({}, summary.average_audio_duration)],
        )
        yield from self._gauge(
            "generator_cpu_cores",
            "Cores' worth of CPU time that the load generator used.",
            [({}, summary.generator_cpu)],
        )
        yield from self._gauge(
            "generator_distorted",
            "1 if the load generator itself was late, so that latencies are too large.",
            [({}, summary.generator_distorted)],
        )
        if summary.slo is not None:
            yield from self._gauge("slo_met", "1 if the run met its SLO.", [({}, summary.slo.met)])

    def _distribution(self, name: str, text: str) -> Iterator[Metric]:
        found: Distribution | None = getattr(self._run.summary, name)
        if found is None or not found.count:
            return
        whole = _PREFIX + (name if name != "connection_time" else "connection") + "_seconds"
        family = Metric(whole, text, "summary")
        for quantile, part in _QUANTILES:
            value = getattr(found, part)
            if value is not None:
                family.add_sample(whole, {**self._labels, "quantile": quantile}, value)
        family.add_sample(f"{whole}_sum", self._labels, (found.mean or 0.0) * found.count)
        family.add_sample(f"{whole}_count", self._labels, found.count)
        yield family
        largest = whole.removeprefix(_PREFIX).removesuffix("_seconds")
        yield from self._gauge(f"{largest}_max_seconds", f"The largest. {text}", [({}, found.max)])

    def _words(self) -> Iterator[Metric]:
        words = self._run.summary.wer
        if words is None:
            return
        yield from self._gauge(
            "word_error_ratio", "Edits over reference words; may exceed 1.", [({}, words.wer)]
        )
        yield from self._gauge(
            "word_errors",
            "Words that were substituted, deleted or inserted.",
            [
                ({"kind": "substitution"}, words.substitutions),
                ({"kind": "deletion"}, words.deletions),
                ({"kind": "insertion"}, words.insertions),
            ],
        )
        yield from self._gauge(
            "reference_words", "Words of the references.", [({}, words.reference_words)]
        )

    def _replicas(self) -> Iterator[Metric]:
        summary = self._run.summary
        spread = summary.load_distribution
        yield from self._gauge(
            "replica_sessions",
            "Sessions that went to a replica.",
            [({"replica": name}, count) for name, count in spread.sessions.items()],
        )
        yield from self._gauge(
            "replica_sessions_max_over_mean_ratio",
            "Sessions of the busiest replica over the mean; 1 is perfectly even.",
            [({}, spread.max_over_mean)],
        )

    def _usage(self) -> Iterator[Metric]:
        """Yield what every part used, from the timeline: mean, p95 and peak of its seconds."""
        found = part_uses(self._run.timeline, self._run.timeline)
        for kind, named in _PARTS.items():
            parts = [(_labels(part), part) for part in found if part.kind is kind]
            flags = {name for name, field in named.model.model_fields.items() if _is_flag(field)}
            for field, (name, text) in named.figures.items():
                whole = f"{kind.value}_{_RENAMED.get((kind, field), name)}"
                if field in flags:
                    yield from self._gauge(whole, text, _told_at_all(parts, field))
                elif is_total(field):
                    yield from self._gauge(*_grown(whole, text), _growth(parts, field))
                else:
                    yield from self._gauge(whole, text, _statistics(parts, field))
            for field, (name, label, text) in named.parted.items():
                whole = f"{kind.value}_{name}"
                if is_total(field):
                    values = _growth(parts, field, label)
                    yield from self._gauge(*_grown(whole, text), values)
                else:
                    yield from self._gauge(whole, text, _statistics(parts, field, label))
            for field, (name, label, text) in named.words.items():
                yield from self._gauge(
                    f"{kind.value}_{name}_ratio",
                    f"Fraction of the seconds with it. {text}",
                    [
                        (labels | {label: word}, share)
                        for labels, part in parts
                        for word, share in part.told.get(field, {}).items()
                    ],
                )


_RENAMED: Final = {(PartKind.REPLICA, "sessions"): "open_sessions"}
"""``replica_sessions`` are those that it served in the whole run."""


class _Named(NamedTuple):
    """What the figures of one kind of part are called."""

    model: type[BaseModel]
    figures: Mapping[str, Figure]
    parted: Mapping[str, Parted]
    words: Mapping[str, Parted]


_PARTS: Final[Mapping[PartKind, _Named]] = {
    PartKind.REPLICA: _Named(ReplicaSample, REPLICA_FIGURES, REPLICA_PARTED, REPLICA_WORDS),
    PartKind.BALANCER: _Named(BalancerSample, BALANCER_FIGURES, BALANCER_PARTED, PART_WORDS),
    PartKind.MACHINE: _Named(MachineSample, MACHINE_FIGURES, {}, {}),
    PartKind.GPU: _Named(GpuSample, GPU_FIGURES, {}, GPU_WORDS),
}
_Labels = dict[str, str]
_Parts = Sequence[tuple[_Labels, PartUse]]
_Values = list[tuple[_Labels, float | None]]


def _labels(part: PartUse) -> _Labels:
    match part.kind:
        case PartKind.REPLICA:
            return {"replica": part.name}
        case PartKind.GPU:
            return {"gpu": part.name, "name": part.label}
        case _:
            return {}


def _is_flag(field: FieldInfo) -> bool:
    return field.annotation is bool


def _keys(of: Mapping[str, object], field: str, label: str) -> Iterator[tuple[str, _Labels]]:
    """Yield where a field stands, and its labels: itself, or each of its keys."""
    if not label and field in of:
        yield field, {}
    for name in of if label else ():
        owner, _, key = name.partition(".")
        if owner == field:
            yield name, {label: key}


def _statistics(parts: _Parts, field: str, label: str = "") -> _Values:
    return [
        (labels | more | {"statistic": statistic}, getattr(part.figures[name], statistic))
        for labels, part in parts
        for name, more in _keys(part.figures, field, label)
        for statistic in ("mean", "p95", "peak")
    ]


def _growth(parts: _Parts, field: str, label: str = "") -> _Values:
    return [
        (labels | more, part.grown[name])
        for labels, part in parts
        for name, more in _keys(part.grown, field, label)
    ]


def _told_at_all(parts: _Parts, field: str) -> _Values:
    """Say 1 of a flag that was ever up; of parts without GPU figures it says nothing."""
    return [
        (labels, float(field in part.told))
        for labels, part in parts
        if part.kind is PartKind.GPU or {"gpu_memory", "gpu_utilisation"} & set(part.figures)
    ]


def _grown(name: str, text: str) -> tuple[str, str]:
    """Name what a counter grew by: a gauge, as the run is over."""
    return name.removesuffix("_total"), f"By how much this grew in the run: {text}"
