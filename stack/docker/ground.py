"""What a stack's containers stand on: its two networks and the balancer's volume. Blocking.

What has the right name but not this stack's label is a stranger's, and left alone.
"""

from contextlib import suppress
from typing import Final

import docker
from docker.errors import NotFound
from docker.models.networks import Network

from stack.docker.containers import (
    LABEL_STACK,
    balancer_volume,
    cluster_network,
    labels,
    storage_network,
)
from stack.docker.errors import explained

_NETWORK: Final = "network"
_VOLUME: Final = "volume"


def ensure_ground(client: docker.DockerClient, stack: str) -> None:
    """Make the networks and the volume that are not there yet."""
    for name, internal in ((cluster_network(stack), False), (storage_network(stack), True)):
        with explained(f"make network {name}"):
            if not _own_networks(client, stack, name):
                client.networks.create(
                    name,
                    driver="bridge",
                    internal=internal,
                    check_duplicate=True,
                    labels=labels(stack, _NETWORK),
                )
    with explained("make the balancer's volume"):
        # One that is there stays as it is.
        client.volumes.create(balancer_volume(stack), labels=labels(stack, _VOLUME))


def remove_ground(client: docker.DockerClient, stack: str) -> None:
    """Remove this stack's networks and volume."""
    with explained("remove a network"):
        for name in (cluster_network(stack), storage_network(stack)):
            for network in _own_networks(client, stack, name):
                network.remove()
    with explained("remove a volume"), suppress(NotFound):
        volume = client.volumes.get(balancer_volume(stack))
        if (volume.attrs.get("Labels") or {}).get(LABEL_STACK) == stack:
            volume.remove()


def _own_networks(client: docker.DockerClient, stack: str, name: str) -> list[Network]:
    label = f"{LABEL_STACK}={stack}"
    return client.networks.list(names=[f"^{name}$"], filters={"label": label})
