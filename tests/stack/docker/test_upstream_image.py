"""An image with a server of upstream's kind: no status, no drain, no figures."""

import asyncio
import io
from pathlib import Path

import docker
import pytest
from support.stacks import load, reach, session

from stack.docker.containers import container_name
from stack.docker.engine import DockerEngine
from stack.spec import ContainerSpec, Server
from stack.status import StackState
from tests.stack.docker.conftest import BALANCER_IMAGE, IMAGE, spec

pytestmark = pytest.mark.timeout(240)

TAG = "whisperctl-test/upstream-like:latest"

SERVER = """
import argparse, asyncio, json
from prometheus_client import Counter, Gauge, Histogram, start_http_server
from websockets.asyncio.server import serve

parser = argparse.ArgumentParser()
for name in ("port", "backend", "faster_whisper_custom_model_path", "max_clients",
             "max_connection_time", "metrics_port"):
    parser.add_argument("--" + name)
options = parser.parse_args()
active = Gauge("whisperlive_connections_active", "Active")
rejected = Counter("whisperlive_connections_rejected_total", "Rejected", ["reason"])
latency = Histogram("whisperlive_transcription_latency_seconds", "Latency")
if options.metrics_port:
    rejected.labels("full").inc(2)
    rejected.labels("auth").inc(1)
    start_http_server(int(options.metrics_port))

async def talk(connection):
    with active.track_inprogress():
        await really_talk(connection)

async def really_talk(connection):
    uid = json.loads(await connection.recv())["uid"]
    ready = {"uid": uid, "message": "SERVER_READY", "backend": "faster_whisper"}
    await connection.send(json.dumps(ready))
    seconds = 0.0
    async for message in connection:
        if message == b"END_OF_AUDIO":
            return
        seconds += len(message) / 64000
        latency.observe(0.25)
        segment = {"start": "0.000", "end": f"{seconds:.3f}", "text": " word", "completed": False}
        await connection.send(json.dumps({"uid": uid, "segments": [segment]}))

async def main():
    async with serve(talk, "0.0.0.0", int(options.port)) as server:
        await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture
def image(client: docker.DockerClient, images: None) -> str:
    """Not upstream's own, which is gigabytes: its command line, protocol and lack of the rest."""
    lines = SERVER.strip("\n").replace("\\", "\\\\").replace("'", "'\"'\"'").split("\n")
    written = " ".join(f"'{line}'" for line in lines)
    recipe = (
        f"FROM {IMAGE}\nLABEL io.whisperctl.image=\nUSER 0\nWORKDIR /app\n"
        f"RUN printf '%s\\n' {written} > /app/run_server.py\nUSER 10001\n"
    )
    client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=TAG, rm=True)
    return TAG


async def test_it_serves_and_what_it_cannot_say_is_unknown(
    engine: DockerEngine, client: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    containers = ContainerSpec(image=image, balancer_image=BALANCER_IMAGE, gpus="none")
    status = await engine.up(spec(engine, 2, containers=containers, drain_timeout=60))
    assert status.state is StackState.READY
    assert status.spec is not None
    assert status.spec.containers is not None
    assert status.spec.containers.server is Server.UPSTREAM
    assert status.balancer is not None
    samples = await engine.stats()
    for sample in samples.values():
        assert sample.sessions is None
        assert sample.queue_depth is None
        assert sample.memory
    run = await load(status, tmp_path, clients=(2,), duration=2.0)
    assert set(run.summary.load_distribution.sessions) == {"replica-1", "replica-2"}
    # No drain of its own: it goes when its last connection has ended, not before.
    async with session(status.balancer.address) as first, session(status.balancer.address):
        await engine.scale(1, wait=False)
        await reach(engine, lambda now: "draining" in str(now.replicas[-1].state), "it drains")
        assert client.containers.get(container_name(engine.stack_name, "replica-2"))
        await first.send(b"\0" * 64000)
    await reach(engine, lambda now: len(now.replicas) == 1, "it has gone", deadline=45)


async def test_its_metrics_are_read_where_it_has_them(engine: DockerEngine, image: str) -> None:
    containers = ContainerSpec(
        image=image, balancer_image=BALANCER_IMAGE, gpus="none", upstream_metrics_port=9191
    )
    status = await engine.up(spec(engine, 1, containers=containers))
    assert status.balancer is not None
    async with session(status.balancer.address) as opened:
        while True:
            await opened.send(b"\0" * 6400)
            await opened.recv()
            sample = (await engine.stats())["replica-1"]
            if sample.stage_seconds:
                break
            await asyncio.sleep(0.3)
    assert sample.sessions == 1
    assert sample.rejected_total == 3
    assert sample.stage_seconds == {"transcription": pytest.approx(0.25)}
    assert sample.queue_depth is sample.real_time_factor is None, "it does not say"
    assert "service" not in sample.missing
