"""A stack's figures for Prometheus: gauges in base units; what is unknown is left out. Pure."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel

from stack.figures import (
    BALANCER_FIGURES,
    BALANCER_PARTED,
    GPU_FIGURES,
    MACHINE_FIGURES,
    REPLICA_FIGURES,
    REPLICA_PARTED,
    Figure,
    Parted,
)
from stack.status import ReplicaState, StackState
from stack.telemetry.watching import Look

MAX_AGE: Final = 5.0
"""Seconds after which figures are left out: old ones would look like present ones."""
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
        yield from self._parted("replica", REPLICA_PARTED, replicas, ("replica",))
        if look.machine.balancer is not None:
            balancer: Samples = {(): look.machine.balancer}
            yield from self._figures("balancer", BALANCER_FIGURES, balancer)
            yield from self._parted("balancer", BALANCER_PARTED, balancer)
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

    def _parted(
        self,
        of: str,
        parted: Mapping[str, Parted],
        samples: Samples,
        labels: Sequence[str] = (),
    ) -> Iterator[Metric]:
        for field, (name, label, text) in parted.items():
            known = [
                ((*owner, key), float(value))
                for owner, sample in samples.items()
                for key, value in (getattr(sample, field) or {}).items()
            ]
            yield from self._family(f"{of}_{name}", text, known, (*labels, label))

    def _figures(
        self,
        of: str,
        figures: Mapping[str, Figure],
        samples: Samples,
        labels: Sequence[str] = (),
    ) -> Iterator[Metric]:
        for field, (name, text) in figures.items():
            known = [
                (owner, float(value))
                for owner, sample in samples.items()
                if (value := getattr(sample, field)) is not None
            ]
            yield from self._family(f"{of}_{name}", text, known, labels)

    def _family(
        self,
        name: str,
        text: str,
        known: Sequence[tuple[Sequence[str], float]],
        labels: Sequence[str],
    ) -> Iterator[Metric]:
        """Yield a counter or a gauge, by its name; nothing of what nobody knows."""
        if known and name.endswith("_total"):
            yield self._counter(name.removesuffix("_total"), text, known, labels)
        elif known:
            yield self._gauge(name, text, known, labels)

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
