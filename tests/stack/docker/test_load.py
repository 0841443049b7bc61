"""Load on a stack of containers that is scaled and restarted meanwhile, and load from inside."""

import asyncio
from pathlib import Path

import docker
import pytest
from support.stacks import eventually, load, reach

from console.target import inside_place
from loadtest.plan import LoadPlan
from loadtest.runfile import Run
from stack.docker.containers import GENERATOR, LABEL_PART, container_name
from stack.docker.engine import DockerEngine
from stack.spec import BalancerSpec
from test_audio import CLIPS_DIRECTORY
from tests.stack.docker.conftest import spec

CLIENTS = 8
SECONDS = 60.0


def transcripts(run: Run) -> dict[int, str]:
    return {client.client_id: client.transcript for client in run.clients}


def lost_words(run: Run) -> int:
    assert run.summary.wer is not None
    return run.summary.wer.deletions


@pytest.mark.timeout(400)
async def test_scaling_under_load_costs_no_session_and_no_word(
    engine: DockerEngine, tmp_path: Path
) -> None:
    status = await engine.up(spec(engine, 2, drain_timeout=120))
    plan = {"clients": (CLIENTS,), "duration": SECONDS, "ramp": 4.0}
    left_alone = await load(status, tmp_path / "alone", **plan)

    async def scale() -> None:
        await asyncio.sleep(12)  # the middle of the load is what the test is about
        await engine.scale(4)
        await engine.restart("replica-1", wait=False)
        await asyncio.sleep(8)
        await engine.scale(1, wait=False)

    scaling = asyncio.create_task(scale())
    scaled = await load(status, tmp_path / "scaled", **plan)
    await scaling
    await reach(
        engine,
        lambda now: [each.name for each in now.replicas] == ["replica-1"] and now.ready_replicas,
        "one is left",
        deadline=150,
    )
    assert scaled.summary.successful_clients == CLIENTS
    assert scaled.summary.failures == {}
    assert left_alone.summary.successful_clients == CLIENTS
    assert lost_words(scaled) <= lost_words(left_alone)
    assert scaled.summary.wer is not None
    assert left_alone.summary.wer is not None
    assert scaled.summary.wer.wer <= left_alone.summary.wer.wer + 0.005


@pytest.mark.timeout(240)
async def test_a_load_from_inside_saves_its_run_outside(
    engine: DockerEngine, client: docker.DockerClient, tmp_path: Path
) -> None:
    status = await engine.up(spec(engine, 2))
    plan = LoadPlan(
        clients=(1,), audio_directory=CLIPS_DIRECTORY, results_directory=tmp_path / "results"
    )
    place = inside_place(status, plan)
    run = await load(status, tmp_path / "results", clients=(4,), duration=6.0, place=place)
    assert run.summary.successful_clients == 4
    assert run.summary.wer is not None
    assert run.summary.wer.wer < 0.05
    configuration = run.test_configuration
    assert (configuration.generator, configuration.host) == ("inside", "balancer")
    assert set(run.summary.load_distribution.sessions) == {"replica-1", "replica-2"}
    assert run.summary.slip.max is not None
    assert run.summary.slip.max < 1.0, "one clock inside and outside"
    assert len(list((tmp_path / "results").glob("run_*.json"))) == 1
    left = client.containers.list(all=True, filters={"label": f"{LABEL_PART}={GENERATOR}"})
    assert left == []


@pytest.mark.timeout(240)
async def test_a_load_that_is_killed_leaves_no_generator(
    engine: DockerEngine, client: docker.DockerClient, tmp_path: Path
) -> None:
    status = await engine.up(spec(engine, 1))
    plan = LoadPlan(clients=(1,), audio_directory=CLIPS_DIRECTORY, results_directory=tmp_path)
    place = inside_place(status, plan)
    process = await asyncio.create_subprocess_exec(
        *place.command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )

    def running() -> int:
        label = {"label": f"{LABEL_PART}={GENERATOR}"}
        return len(client.containers.list(all=True, filters=label))

    await eventually(running, "the generator's container is there")
    process.kill()
    await process.wait()
    await eventually(lambda: not running(), "it has gone")


@pytest.mark.timeout(240)
async def test_a_killed_replica_is_what_the_run_says(
    engine: DockerEngine, client: docker.DockerClient, tmp_path: Path
) -> None:
    status = await engine.up(spec(engine, 2, balancer=BalancerSpec(port=0, strategy="round_robin")))

    async def kill() -> None:
        await reach_sessions(engine, 3)
        client.containers.get(container_name(engine.stack_name, "replica-2")).kill()

    killing = asyncio.create_task(kill())
    run = await load(status, tmp_path, clients=(6,), duration=15.0)
    await killing
    hit = {one.client_id for one in run.clients if one.replica == "replica-2"}
    assert len(hit) == 3
    assert {one.client_id for one in run.clients if not one.success} == hit
    assert run.summary.failures == {"disconnected": 3}
    back = await reach(
        engine,
        lambda now: now.ready_replicas == 2 and now.replicas[1].restarts == 1,
        "it is back and warm",
    )
    again = await load(back, tmp_path, clients=(4,), duration=3.0)
    assert again.summary.successful_clients == 4
    assert again.summary.load_distribution.sessions == {"replica-1": 2, "replica-2": 2}


async def reach_sessions(engine: DockerEngine, wanted: int) -> None:
    """Wait until every replica has so many sessions."""
    async with asyncio.timeout(60):
        while True:
            samples = (await engine.stats()).values()
            if samples and all(sample.sessions == wanted for sample in samples):
                return
