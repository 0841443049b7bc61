"""What a series says: its limit, what broke first, and that each claim has its figure."""

from collections.abc import Sequence
from typing import Any

import pytest
from support.runs import client_result, example_run

from loadtest.analysis.model import Analysis, Bottleneck
from loadtest.analysis.series import analyse
from loadtest.plan import Slo
from loadtest.runfile import ClientResult, Failure, Outcome, Run, RunStatus, TimelineRow
from stack.spec import BalancerSpec, ReplicaSpec, StackSpec, Strategy
from stack.status import MachineSample, ReplicaSample

GIB = 2**30


def step(
    clients: int,
    latency: float,
    *,
    slow: dict[str, float] | None = None,
    shares: Sequence[int] | None = None,
    failures: Sequence[tuple[str, Failure]] = (),
    replica: dict[str, Any] | None = None,
    machine: dict[str, Any] | None = None,
    generator_cpu: float | None = None,
    replicas: int = 2,
    **values: Any,
) -> Run:
    """A step over ``replicas`` replicas; ``slow`` gives some of them latencies of their own."""
    names = [f"replica-{number}" for number in range(1, replicas + 1)]
    shares = shares or [clients // replicas + (number < clients % replicas) for number in range(9)]
    results: list[ClientResult] = []
    for name, share in zip(names, shares, strict=False):
        for _ in range(share):
            level = (slow or {}).get(name, latency)
            samples = [level * (0.9 + 0.004 * number) for number in range(25)]
            results.append(client_result(len(results), replica=name, latency_samples=samples))
    for name, why in failures:
        result = client_result(
            len(results),
            replica=name or None,
            outcome=Outcome.FAILED,
            failure=why,
            latency_samples=[],
        )
        results.append(result)
    run = example_run(f"run_{clients}", clients=len(results), results=results, **values)
    run.test_configuration.num_clients = clients
    run.timeline = [
        TimelineRow(
            time=float(second),
            sessions=clients,
            generator_cpu=generator_cpu,
            machine=MachineSample(**machine) if machine else None,
            replicas={name: ReplicaSample(**(replica or {})) for name in names},
        )
        for second in range(1, 6)
    ]
    return run


def spec(**values: Any) -> dict[str, Any]:
    return StackSpec(**values).model_dump(mode="json")


def broken(*runs: Run) -> Analysis:
    """Analyse a good first step and then the given ones."""
    return analyse([step(2, 0.2, slo=Slo(), stack=None), *runs])


# --- the limit ------------------------------------------------------------------------------------


def test_the_answer_of_a_series() -> None:
    found = analyse([step(5, 0.3), step(10, 0.4), step(20, 1.4), step(30, 5.0)])
    assert found.capacity == 20
    assert found.recommended == 16
    assert found.limit_found
    assert found.headline.startswith("20 clients met the SLO (2 s of audio each), 30 did not: p95")
    assert "at most 16 at once, which leaves 20 % head-room" in found.headline
    # 10 to 20 is twice the load and 3.5 times the latency.
    assert found.inflection == 10
    assert "from 10 to 20 p95 latency grows 3.5 times" in found.inflection_sentence


def test_a_limit_that_was_not_reached_is_not_invented() -> None:
    found = analyse([step(5, 0.3), step(10, 0.31), step(20, 0.33)])
    assert found.capacity == 20
    assert not found.limit_found
    assert found.bottleneck is None
    assert "the limit was not reached" in found.headline
    assert found.inflection is None
    assert found.inflection_sentence.startswith("No inflection up to 20 clients")
    assert found.advice == ["Go on with more clients, or let --find-capacity look for the limit."]


def test_a_step_without_a_p95_bends_no_curve() -> None:
    # Stopped after a second, with a median only: beside the others' p95 that would be a fall.
    steps = [step(5, 0.3), step(10, 0.31), step(20, 0.33)]
    short = step(40, 0.1)
    short.summary.latency.p95 = short.summary.latency.p99 = None
    assert analyse([*steps, short]).inflection_sentence.startswith("No inflection up to 20 clients")
    assert analyse([*steps[:2], short]).inflection_sentence.startswith("Too few steps with a p95")


@pytest.mark.parametrize("gpus", ["none", 3, ["card"], [{"memory": "24 GB"}], {"memory": 1}])
def test_cards_that_no_one_understands_are_no_cards(gpus: object) -> None:
    run = step(8, 5.0, replica={"gpu_memory": 12 * GIB}, environment={"gpus": gpus})
    assert analyse([run]).steps[0].gpu_memory is None


def test_not_even_one_client() -> None:
    found = analyse([step(1, 5.0)])
    assert found.capacity is None
    assert found.recommended is None
    assert found.headline.startswith("Not even 1 client met the SLO")


def test_the_smaller_count_counts_where_the_limit_moves() -> None:
    found = analyse([step(4, 0.3), step(8, 5.0), step(10, 1.0)])
    assert found.capacity == 4
    assert any("10 clients met the SLO although 8 did not" in one for one in found.warnings)


def test_a_step_that_was_cut_off_is_no_limit() -> None:
    found = analyse([step(4, 0.3), step(8, 0.3, status=RunStatus.STOPPED)])
    assert found.capacity == 4
    assert not found.limit_found
    assert any("Not judged" in one and "8 clients" in one for one in found.warnings)


def test_a_capacity_on_few_sessions_says_so() -> None:
    found = analyse([step(4, 0.3), step(8, 5.0)])
    assert any("rests on 4 sessions" in one for one in found.warnings)
    assert not any("rests on" in one for one in analyse([step(24, 0.3)]).warnings)


def test_runs_of_two_series_are_not_mixed() -> None:
    other = step(8, 0.3)
    other.series_id = "series_y"
    with pytest.raises(ValueError, match="one series"):
        analyse([step(4, 0.3), other])
    with pytest.raises(ValueError, match="one series"):
        analyse([])


# --- what broke first -----------------------------------------------------------------------------


def cause(found: Analysis) -> Bottleneck:
    assert found.bottleneck is not None
    return found.bottleneck.bottleneck


def test_a_late_generator_comes_before_everything() -> None:
    run = step(8, 5.0, machine={"cpu": 0.99, "cores": 2}, generator_cpu=0.98, stack=spec())
    run.summary.generator_distorted = True
    found = broken(run)
    assert cause(found) is Bottleneck.GENERATOR
    assert "The step says nothing of the server" in found.bottleneck.sentence  # type: ignore[union-attr]
    assert [one.bottleneck for one in found.others] == [Bottleneck.MACHINE_CPU]
    assert "calibrate" in found.advice[0]


def test_a_full_house() -> None:
    run = step(
        8,
        0.3,
        failures=[("", Failure.WAIT)] * 3,
        stack=spec(replicas=2, replica=ReplicaSpec(max_sessions=4)),
    )
    found = broken(run)
    assert cause(found) is Bottleneck.SESSION_LIMIT
    assert "3 of 8 sessions were turned away" in found.bottleneck.sentence  # type: ignore[union-attr]
    assert "2 × 4 sessions are let in" in found.bottleneck.sentence  # type: ignore[union-attr]
    assert found.failures == {"wait": 3}
    assert "scale 3" in found.advice[0]


def test_more_replicas_on_a_busy_machine_come_with_a_warning() -> None:
    run = step(8, 0.3, failures=[("", Failure.WAIT)], machine={"cpu": 0.87, "cores": 2})
    assert broken(run).advice[0] == (
        "Scale out to 3 replicas ('whisperctl scale 3'), if this machine has room: 87 % of its 2 "
        "cores were busy already."
    )


def test_a_server_that_is_gone_is_not_a_full_one() -> None:
    run = step(8, 0.3, failures=[("", Failure.REFUSED)] * 4)
    found = broken(run)
    assert cause(found) is Bottleneck.UNREACHABLE
    assert "4 of 8 sessions found nobody listening" in found.bottleneck.sentence  # type: ignore[union-attr]
    full = step(8, 0.3, failures=[("", Failure.REFUSED)] * 4)
    for client in full.clients:
        if client.failure is not None:
            client.errors = ["HTTP 503 in the handshake. {}"]
    assert cause(broken(full)) is Bottleneck.SESSION_LIMIT


def test_the_loads_own_machine_is_not_taken_for_a_remote_servers() -> None:
    found = broken(step(8, 5.0, machine={"cpu": 0.99, "cores": 2}))
    assert cause(found) is Bottleneck.GENERATOR
    sentence = found.bottleneck.sentence  # type: ignore[union-attr]
    assert "the machine that the load came from" in sentence
    assert "What the server used is not known" in sentence


def test_one_slow_replica_is_named() -> None:
    found = broken(step(9, 0.3, slow={"replica-2": 4.0}, replicas=3, replica={"cpu": 0.4}))
    assert cause(found) is Bottleneck.REPLICA
    assert found.bottleneck is not None
    assert found.bottleneck.replica == "replica-2"
    assert "p95 latency 3.968 s with 3 sessions" in found.bottleneck.sentence
    assert "restart replica-2" in found.advice[0]


def test_a_replica_with_more_than_its_share_is_named_as_that() -> None:
    run = step(
        8,
        0.3,
        slow={"replica-1": 4.0},
        shares=[6, 2],
        stack=spec(balancer=BalancerSpec(strategy=Strategy.IP_HASH)),
    )
    found = broken(run)
    assert cause(found) is Bottleneck.DISTRIBUTION
    assert found.bottleneck is not None
    assert found.bottleneck.replica == "replica-1"
    assert "least_connections" in found.advice[0]
    assert "ip hash" in found.advice[0]


def test_a_replica_that_fails_is_named() -> None:
    found = broken(step(8, 0.3, failures=[("replica-2", Failure.SERVER_ERROR)] * 4))
    assert cause(found) is Bottleneck.REPLICA
    assert found.bottleneck is not None
    assert found.bottleneck.replica == "replica-2"
    assert "4 of the 4 failed sessions" in found.bottleneck.sentence


def test_two_replicas_that_are_alike_are_not_blamed() -> None:
    found = broken(step(8, 4.0, slow={"replica-2": 5.0}, replica={"cpu": 0.2}))
    assert cause(found) is Bottleneck.UNKNOWN
    assert "Nothing that was measured was at its limit" in found.bottleneck.sentence  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("replica", "shared", "cause_of_it"),
    [
        ({"gpu_utilisation": 0.97}, False, Bottleneck.GPU_UTILISATION),
        ({"gpu_memory": 12 * GIB}, False, Bottleneck.GPU_MEMORY),
        # A card's figure, seen by both replicas, counts once.
        ({"gpu_memory": 12 * GIB}, True, Bottleneck.UNKNOWN),
        ({"gpu_memory": 23 * GIB}, True, Bottleneck.GPU_MEMORY),
        ({"gpu_memory": 8 * GIB, "gpu_utilisation": 0.5}, False, Bottleneck.UNKNOWN),
        ({"queue_depth": 3}, False, Bottleneck.INFERENCE),
    ],
)
def test_what_is_used_up(replica: dict[str, Any], shared: bool, cause_of_it: Bottleneck) -> None:
    run = step(
        8,
        5.0,
        replica=replica | {"gpu_shared": shared},
        environment={"gpus": [{"name": "card", "memory": 24 * GIB, "driver": "1"}]},
    )
    assert cause(broken(run)) is cause_of_it


def test_memory_of_the_card_comes_first_where_sessions_break() -> None:
    run = step(
        8,
        5.0,
        failures=[("replica-1", Failure.SERVER_ERROR), ("replica-2", Failure.SERVER_ERROR)],
        replica={"gpu_memory": 12 * GIB, "gpu_utilisation": 0.97},
        environment={"gpus": [{"memory": 24 * GIB}]},
    )
    found = broken(run)
    assert cause(found) is Bottleneck.GPU_MEMORY
    assert found.others[0].bottleneck is Bottleneck.GPU_UTILISATION


def test_the_machines_cores_are_used_up() -> None:
    machine = {"cpu": 0.96, "cores": 4, "balancer_cpu": 0.3}
    replica = {"cpu": 1.4}
    run = step(8, 5.0, machine=machine, replica=replica, generator_cpu=0.7, stack=spec(replicas=2))
    found = broken(run)
    assert cause(found) is Bottleneck.MACHINE_CPU
    sentence = found.bottleneck.sentence  # type: ignore[union-attr]
    assert "96 % of the machine's 4 cores were busy" in sentence
    assert "replicas 2.80, balancer 0.30, load generator 0.70" in sentence
    assert any("the generator took 18 %" in one for one in found.advice)


def test_replicas_whose_one_thread_is_used_up_want_company() -> None:
    run = step(
        8,
        5.0,
        machine={"cpu": 0.55, "cores": 4},
        replica={"cpu": 0.97},
        stack=spec(replicas=2),
    )
    found = broken(run)
    assert cause(found) is Bottleneck.REPLICA_CPU
    assert found.advice == [
        "Scale out to 3 replicas ('whisperctl scale 3'): 1.8 of 4 cores were idle."
    ]


def test_a_balancer_at_its_one_core() -> None:
    machine = {"cpu": 0.4, "cores": 8, "balancer_cpu": 0.95}
    found = broken(step(8, 5.0, machine=machine, chunk=0.02))
    assert cause(found) is Bottleneck.BALANCER
    assert "0.95 of the one core" in found.bottleneck.sentence  # type: ignore[union-attr]
    assert any("--chunk-ms, now 20" in one for one in found.advice)


def test_a_server_that_cannot_be_looked_into() -> None:
    found = broken(step(8, 5.0))
    assert cause(found) is Bottleneck.UNKNOWN
    assert "the server is none of our stacks" in found.bottleneck.sentence  # type: ignore[union-attr]


def test_what_was_near_its_limit_in_a_series_that_met_it_is_said_too() -> None:
    found = analyse([step(8, 0.3, machine={"cpu": 0.95, "cores": 2}, stack=spec())])
    assert found.bottleneck is None
    assert [one.bottleneck for one in found.others] == [Bottleneck.MACHINE_CPU]


def test_only_the_plateau_counts() -> None:
    run = step(8, 5.0, machine={"cpu": 0.95, "cores": 2})
    idle = TimelineRow(time=0.0, sessions=1, machine=MachineSample(cpu=0.0, cores=2))
    run.timeline = [idle] * 20 + run.timeline
    assert broken(run).steps[-1].machine_cpu == pytest.approx(0.95)
