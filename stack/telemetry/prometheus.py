"""A stack's figures for Prometheus: gauges in base units; what is unknown is left out. Pure."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stack.status import MachineSample, ReplicaSample, ReplicaState, StackState
from stack.telemetry.watching import Look

MAX_AGE: Final = 5.0
"""Seconds after which figures are left out: old ones would look like present ones."""
REPLICA_FIGURES: Final = {
    "cpu": ("cpu_cores", "Cores' worth of CPU time."),
    "memory": ("memory_bytes", "Resident memory."),
    "gpu_memory": ("gpu_memory_bytes", "GPU memory; see gpu_shared."),
    "gpu_utilisation": ("gpu_utilisation_ratio", "Fraction of the GPU's time; see gpu_shared."),
    "gpu_shared": ("gpu_shared", "1 where the GPU figures are the whole card's."),
    "sessions": ("sessions", "Open sessions."),
    "queue_depth": ("queue_depth", "Sessions that wait for inference."),
}
"""By the name of the field in a sample: the metric's name and what it says."""
MACHINE_FIGURES: Final = {
    "cpu": ("cpu_ratio", "Fraction of all cores that is not idle."),
    "cores": ("cores", "Cores of the machine."),
    "memory": ("memory_bytes", "Memory of the machine."),
    "memory_available": ("memory_available_bytes", "Memory that a new process could get."),
    "balancer_cpu": ("balancer_cpu_cores", "Cores' worth of CPU time that the balancer uses."),
}
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
        yield from self._figures("replica", REPLICA_FIGURES, look.replicas, ("replica",))
        yield from self._figures("machine", MACHINE_FIGURES, {"": look.machine}, ())

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
        restarts = CounterMetricFamily(
            _PREFIX + "replica_restarts",
            "How often a replica was started again.",
            labels=("stack", "replica"),
        )
        for replica in status.replicas:
            restarts.add_metric([self._stack, replica.name], float(replica.restarts))
        yield restarts

    def _figures(
        self,
        of: str,
        figures: dict[str, tuple[str, str]],
        samples: Mapping[str, ReplicaSample] | Mapping[str, MachineSample],
        labels: Sequence[str],
    ) -> Iterator[Metric]:
        for field, (name, text) in figures.items():
            known = [
                ((owner,) if labels else (), float(value))
                for owner, sample in samples.items()
                if (value := getattr(sample, field)) is not None
            ]
            if known:
                yield self._gauge(f"{of}_{name}", text, known, labels)

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
