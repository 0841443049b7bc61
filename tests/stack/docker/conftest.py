"""A real Docker Engine, the image of this very code, and stacks that leave nothing behind."""

import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from stack.docker.client import connect
from stack.docker.containers import LABEL_STACK
from stack.docker.engine import DockerEngine
from stack.engine import StackError
from stack.images.build import DEFAULT_BASE, build_image
from stack.spec import DEFAULT_BALANCER_IMAGE, BalancerSpec, ContainerSpec, EngineName, StackSpec

IMAGE = "whisperctl-test/whisperctl:latest"
BALANCER_IMAGE = os.environ.get("WHISPERCTL_TEST_BALANCER_IMAGE", DEFAULT_BALANCER_IMAGE)


@pytest.fixture(scope="session")
def client() -> docker.DockerClient:
    """The engine of this machine; without one the tests that need it are skipped."""
    try:
        return connect()
    except StackError as error:
        pytest.skip(f"needs a Docker engine: {error}")


@pytest.fixture(scope="session")
def images(client: docker.DockerClient) -> None:
    """The image of this code, and nginx's."""
    base = os.environ.get("WHISPERCTL_TEST_BASE_IMAGE")
    wheels = os.environ.get("WHISPERCTL_TEST_WHEELS")
    try:
        if base is None:
            client.images.pull(BALANCER_IMAGE)
        for _ in build_image(
            client, tag=IMAGE, base=base or DEFAULT_BASE, wheels=Path(wheels) if wheels else None
        ):
            pass
    except (StackError, docker.errors.DockerException) as error:
        if base is not None:
            raise
        pytest.skip(f"needs a registry, or WHISPERCTL_TEST_BASE_IMAGE: {error}")


Stacks = Callable[..., DockerEngine]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
async def stacks(
    client: docker.DockerClient, images: None, root: Path
) -> AsyncIterator[Callable[[], DockerEngine]]:
    """Make engines of stacks with names of their own; all of them are gone afterwards."""
    names: list[str] = []

    def make() -> DockerEngine:
        names.append(f"t{uuid.uuid4().hex[:8]}")
        return DockerEngine(names[-1])

    yield make
    for name in names:
        with contextlib.suppress(StackError):
            await DockerEngine(name).down(timeout=30)
        remove(client, name)


@pytest.fixture
def engine(stacks: Callable[[], DockerEngine]) -> DockerEngine:
    return stacks()


def remove(client: docker.DockerClient, stack: str) -> None:
    """Remove whatever a test has left of a stack."""
    label = {"label": f"{LABEL_STACK}={stack}"}
    for container in client.containers.list(all=True, filters=label):
        with contextlib.suppress(docker.errors.APIError):
            container.remove(force=True, v=True)
    for network in client.networks.list(filters=label):
        with contextlib.suppress(docker.errors.APIError):
            network.remove()


def spec(engine: DockerEngine, replicas: int = 1, **changes: Any) -> StackSpec:
    return StackSpec(
        name=engine.stack_name,
        engine=EngineName.DOCKER,
        replicas=replicas,
        **(
            {
                "balancer": BalancerSpec(port=0),
                "containers": ContainerSpec(
                    image=IMAGE, balancer_image=BALANCER_IMAGE, gpus="none"
                ),
            }
            | changes
        ),
    )


def things(client: docker.DockerClient, stack: str) -> Iterator[str]:
    """Name everything that a stack has."""
    label = {"label": f"{LABEL_STACK}={stack}"}
    for container in client.containers.list(all=True, filters=label):
        yield f"container {container.name}"
    for network in client.networks.list(filters=label):
        yield f"network {network.name}"
    for volume in client.volumes.list():
        if f"-{stack}-" in volume.name:
            yield f"volume {volume.name}"
