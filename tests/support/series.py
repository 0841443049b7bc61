"""Makes whole series for tests: of GPUs, of many steps, of many replicas."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from loadtest.runfile import ClientResult, Failure, Outcome, Run, TimelineRow
from loadtest.statistics import distribution
from stack.spec import ReplicaSpec, StackSpec
from stack.status import MachineSample, ReplicaSample
from support.runs import client_result, example_run

GIB = 2**30
BEGIN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def made_step(
    clients: int,
    latency: float,
    *,
    number: int = 0,
    replicas: int = 3,
    seconds: int = 30,
    slow: Mapping[str, float] | None = None,
    failed: int = 0,
    samples: int = 40,
    gpu: bool = True,
    missing: Sequence[int] = (),
    **values: Any,
) -> Run:
    """A step with everything known: latencies spread widely, a timeline, GPUs.

    ``slow`` multiplies the latency of some replicas; ``missing`` are seconds without any row.
    """
    generator = np.random.default_rng([clients, number])
    names = [f"replica-{place}" for place in range(1, replicas + 1)]
    factors = [(slow or {}).get(name, 1.0) for name in names]
    results: list[ClientResult] = []
    for index in range(clients):
        name, factor = names[index % replicas], factors[index % replicas]
        if index < failed:
            broken = {"outcome": Outcome.FAILED, "failure": Failure.SERVER_ERROR}
            errors = ["The server said: CUDA out of memory."]
            results.append(
                client_result(index, replica=name, errors=errors, latency_samples=[], **broken)
            )
            continue
        drawn = (latency * factor * generator.lognormal(0, 0.45, samples)).tolist()
        results.append(client_result(index, replica=name, latency_samples=drawn))
    values = {
        "created": BEGIN + timedelta(minutes=number),
        "environment": {
            "whisperctl": "0.1.0",
            "cpu": "A CPU",
            "cores": 16,
            "memory": 64 * GIB,
            "gpus": [{"name": "A card", "memory": 24 * GIB, "driver": "1.2"}] if gpu else [],
        },
        "stack": StackSpec(replicas=replicas, replica=ReplicaSpec(max_sessions=64)).model_dump(
            mode="json"
        ),
    } | values
    run = example_run(f"run_{clients}_{number}", clients=len(results), results=results, **values)
    run.summary.word_latency = distribution([2 * one for r in results for one in r.latency_samples])
    run.summary.slip = distribution([0.001 + 0.00001 * place for place in range(200)])
    run.timeline = [
        TimelineRow(
            time=float(second),
            sessions=clients,
            latency_p50=latency * (1 + 0.1 * np.sin(second)),
            latency_p95=latency * (2 + 0.2 * np.sin(second)) if second > 3 else None,
            generator_cpu=0.002 * clients,
            machine=MachineSample(cpu=0.45, cores=16, balancer_cpu=0.003 * clients),
            replicas={
                name: ReplicaSample(
                    cpu=1.5 + 0.2 * float(np.sin(second + place)),
                    memory=int(1.5 * GIB) + second * 2**20,
                    gpu_memory=4 * GIB + place * 2**28 if gpu else None,
                    gpu_utilisation=min(1.0, clients / 60 * factor) if gpu else None,
                    sessions=clients // replicas,
                    queue_depth=int(clients / 10 * factor),
                )
                for place, (name, factor) in enumerate(zip(names, factors, strict=True))
            },
        )
        for second in range(1, seconds + 1)
        if second not in missing
    ]
    return run


def gpu_series() -> list[Run]:
    """Five steps on three replicas with a card; at the last one replica is slow."""
    levels = {5: 0.15, 10: 0.17, 20: 0.24, 30: 0.45, 40: 0.8}
    return [
        made_step(
            clients,
            level,
            number=number,
            slow={"replica-2": 4.0} if clients == 40 else None,
            missing=range(12, 18) if clients == 40 else (),
        )
        for number, (clients, level) in enumerate(levels.items())
    ]
