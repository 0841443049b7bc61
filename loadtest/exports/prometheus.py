"""A run's summary in Prometheus' text format. Pure.

For the textfile collector of node_exporter, or a Pushgateway: a run is over, so there is nothing to
scrape. Every figure is a gauge or a summary in base units; what is unknown is left out.
"""

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from loadtest.runfile import Distribution, Run

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
_RESOURCES: Final = (
    ("cpu_cores", "cpu", "Cores' worth of CPU time that a replica used."),
    ("memory_bytes", "memory", "Memory of a replica."),
    ("gpu_memory_bytes", "gpu_memory", "GPU memory of a replica; see gpu_shared."),
    ("gpu_utilisation_ratio", "gpu_utilisation", "GPU utilisation of a replica, 0 to 1."),
)
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
        for name, field, text in _RESOURCES:
            yield from self._gauge(
                f"replica_{name}",
                text,
                [
                    ({"replica": replica, "statistic": part}, getattr(used, f"{field}_{part}"))
                    for replica, used in summary.resources.items()
                    for part in ("mean", "peak")
                ],
            )
        yield from self._gauge(
            "replica_gpu_shared",
            "1 if the GPU figures are the card's, not the replica's own.",
            [
                ({"replica": replica}, used.gpu_shared)
                for replica, used in summary.resources.items()
                if used.gpu_memory_peak is not None
            ],
        )
