"""An image with a server of upstream's kind: no status, no drain, no figures."""

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
from websockets.asyncio.server import serve

parser = argparse.ArgumentParser()
for name in ("port", "backend", "faster_whisper_custom_model_path", "max_clients",
             "max_connection_time"):
    parser.add_argument("--" + name)
options = parser.parse_args()

async def talk(connection):
    uid = json.loads(await connection.recv())["uid"]
    ready = {"uid": uid, "message": "SERVER_READY", "backend": "faster_whisper"}
    await connection.send(json.dumps(ready))
    seconds = 0.0
    async for message in connection:
        if message == b"END_OF_AUDIO":
            return
        seconds += len(message) / 64000
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
