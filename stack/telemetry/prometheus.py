"""A stack's figures for Prometheus: gauges in base units; what is unknown is left out. Pure."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel

from stack.status import ReplicaSample, ReplicaState, StackState
from stack.telemetry.watching import Look

MAX_AGE: Final = 5.0
"""Seconds after which figures are left out: old ones would look like present ones."""
PART_FIGURES: Final = {
    "cpu": ("cpu_cores", "Cores' worth of CPU time."),
    "cpu_limit": ("cpu_limit_cores", "Cores that it may use at most."),
    "throttled": ("cpu_throttled_ratio", "Seconds a second in which its CPU limit held it back."),
    "memory": ("memory_bytes", "Memory without page cache."),
    "memory_limit": ("memory_limit_bytes", "Memory that it may use at most."),
    "network_received": ("network_received_bytes_per_second", "Bytes received a second."),
    "network_sent": ("network_sent_bytes_per_second", "Bytes sent a second."),
    "disk_read": ("disk_read_bytes_per_second", "Bytes read from block devices a second."),
    "disk_written": ("disk_written_bytes_per_second", "Bytes written to block devices a second."),
}
"""By the name of the field in a sample: the metric's name and what it says."""
REPLICA_FIGURES: Final = PART_FIGURES | {
    "gpu_memory": ("gpu_memory_bytes", "GPU memory; see gpu_memory_shared."),
    "gpu_memory_total": ("gpu_memory_total_bytes", "GPU memory of the cards that it uses."),
    "gpu_utilisation": ("gpu_utilisation_ratio", "GPU time; see gpu_utilisation_shared."),
    "gpu_encoder": ("gpu_encoder_ratio", "Fraction of the video encoder's time."),
    "gpu_memory_shared": ("gpu_memory_shared", "1 where gpu_memory is the whole card's."),
    "gpu_utilisation_shared": ("gpu_utilisation_shared", "1 where the utilisation is the card's."),
    "gpu_shared": ("gpu_shared", "1 where either of the two is the card's."),
    "sessions": ("sessions", "Open sessions."),
    "queue_depth": ("queue_depth", "Sessions that wait for inference."),
    "batch_size": ("batch_size", "Passes in one call of the model, mean of the last second."),
    "real_time_factor": ("real_time_factor", "Seconds of inference a second of live audio."),
    "rejected_total": ("rejected_sessions_total", "Sessions refused since its start."),
}
BALANCER_FIGURES: Final = PART_FIGURES | {
    "active_connections": ("active_connections", "Connections with a request in progress."),
    "accepted_total": ("accepted_connections_total", "Connections accepted since its start."),
    "handled_total": ("handled_connections_total", "Connections of those that were not dropped."),
    "requests_total": ("requests_total", "Requests since its start."),
}
MACHINE_FIGURES: Final = {
    "cpu": ("cpu_ratio", "Fraction of all cores that is not idle."),
    "cores": ("cores", "Cores of the machine."),
    "memory": ("memory_bytes", "Memory of the machine."),
    "memory_available": ("memory_available_bytes", "Memory that a new process could get."),
}
GPU_FIGURES: Final = {
    "memory": ("memory_bytes", "Memory of the card."),
    "memory_used": ("memory_used_bytes", "Memory in use, by whomever."),
    "utilisation": ("utilisation_ratio", "Fraction of time in which anything ran."),
    "encoder": ("encoder_ratio", "Fraction of the video encoder's time."),
    "temperature": ("temperature_celsius", "Temperature."),
    "power": ("power_watts", "Power drawn."),
    "power_limit": ("power_limit_watts", "Power that it may draw."),
    "clock": ("clock_hertz", "Clock of the streaming multiprocessors."),
    "clock_limit": ("clock_limit_hertz", "Clock that they could reach."),
    "mig": ("mig", "1 where the card is split into MIG instances."),
}
Samples = Mapping[tuple[str, ...], BaseModel]
"""By the values of the labels that tell one from another."""
_PREFIX: Final = "whisperctl_"


class StackCollector(Collector):
    """Gives the figures of the latest look at a stack."""

    def __init__(self, stack: str, latest: Callable[[], Look | None]) -> None:
        self._stack = stack
        self._latest = latest

    def collect(self) -> Iterator[Metric]:
        """Yield the figures, family by family."""
        look = self._latest()
        if look is None:
            return  # nothing is known yet: 0 would be a false alarm
        age = time.monotonic() - look.taken_at
        fresh = age <= MAX_AGE
        yield self._gauge(
            "up", "1 while the stack can be looked at; 0 once that fails.", [((), float(fresh))]
        )
        yield self._gauge("sample_age_seconds", "Seconds since the last look.", [((), age)])
        if not fresh:
            return
        present = float(look.status.state is not StackState.ABSENT)
        yield self._gauge("stack_up", "1 where there is such a stack.", [((), present)])
        yield from self._status(look)
        replicas: Samples = {(name,): sample for name, sample in look.replicas.items()}
        yield from self._figures("replica", REPLICA_FIGURES, replicas, ("replica",))
        yield from self._stages(look.replicas)
        if look.machine.balancer is not None:
            yield from self._figures("balancer", BALANCER_FIGURES, {(): look.machine.balancer})
        yield from self._figures("machine", MACHINE_FIGURES, {(): look.machine})
        cards: Samples = {(str(card.index), card.name): card for card in look.machine.gpus}
        yield from self._figures("gpu", GPU_FIGURES, cards, ("gpu", "name"))

    def _status(self, look: Look) -> Iterator[Metric]:
        status = look.status
        if status.spec is not None:
            wanted = float(status.spec.replicas)
            yield self._gauge("stack_replicas_wanted", "Replicas asked for.", [((), wanted)])
        ready = float(status.ready_replicas)
        yield self._gauge("stack_replicas_ready", "Replicas that take sessions.", [((), ready)])
        if status.balancer is not None:
            alive = float(status.balancer.alive)
            yield self._gauge("balancer_up", "1 while the balancer runs.", [((), alive)])
        states = [
            ((replica.name, state.value), float(replica.state is state))
            for replica in status.replicas
            for state in ReplicaState
        ]
        text = "1 for the state that a replica is in."
        yield self._gauge("replica_state", text, states, ("replica", "state"))
        restarts = [((replica.name,), float(replica.restarts)) for replica in status.replicas]
        text = "How often a replica was started again."
        yield self._counter("replica_restarts", text, restarts, ("replica",))

    def _stages(self, replicas: Mapping[str, ReplicaSample]) -> Iterator[Metric]:
        known = [
            ((name, stage), seconds)
            for name, sample in replicas.items()
            for stage, seconds in (sample.stage_seconds or {}).items()
        ]
        if known:
            text = "Seconds that a stage took, mean of the last second."
            yield self._gauge("replica_stage_seconds", text, known, ("replica", "stage"))

    def _figures(
        self,
        of: str,
        figures: Mapping[str, tuple[str, str]],
        samples: Samples,
        labels: Sequence[str] = (),
    ) -> Iterator[Metric]:
        for field, (name, text) in figures.items():
            known = [
                (owner, float(value))
                for owner, sample in samples.items()
                if (value := getattr(sample, field)) is not None
            ]
            if known and name.endswith("_total"):
                yield self._counter(f"{of}_{name.removesuffix('_total')}", text, known, labels)
            elif known:
                yield self._gauge(f"{of}_{name}", text, known, labels)

    def _counter(
        self,
        name: str,
        text: str,
        values: Sequence[tuple[Sequence[str], float]],
        labels: Sequence[str] = (),
    ) -> CounterMetricFamily:
        family = CounterMetricFamily(_PREFIX + name, text, labels=("stack", *labels))
        for owner, value in values:
            family.add_metric([self._stack, *owner], value)
        return family

    def _gauge(
        self,
        name: str,
        text: str,
        values: Sequence[tuple[Sequence[str], float]],
        labels: Sequence[str] = (),
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(_PREFIX + name, text, labels=("stack", *labels))
        for owner, value in values:
            family.add_metric([self._stack, *owner], value)
        return family
