"""What a stack's containers stand on: its two networks and the balancer's volume. Blocking.

What has the right name but not this stack's label is a stranger's, and left alone.
"""

import hashlib
import ipaddress
from contextlib import suppress
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from stack.docker.containers import (
    BALANCER,
    BALANCER_ADDRESS,
    FIRST_REPLICA_ADDRESS,
    LABEL_STACK,
    balancer_volume,
    cluster_network,
    labels,
    of_stack,
    storage_network,
)
from stack.docker.errors import explained

_NETWORK: Final = "network"
_VOLUME: Final = "volume"
_RANGES: Final = 256


def ensure_ground(client: docker.DockerClient, stack: str) -> None:
    """Make the networks and the volume that are not there yet."""
    cluster, storage = cluster_network(stack), storage_network(stack)
    with explained(f"make network {cluster}"):
        if not _own_networks(client, stack, cluster):
            _make_cluster(client, stack, cluster)
    with explained(f"make network {storage}"):
        if not _own_networks(client, stack, storage):
            _make(client, stack, storage, internal=True)
    with explained("make the balancer's volume"):
        # One that is there stays as it is.
        client.volumes.create(balancer_volume(stack), labels=labels(stack, _VOLUME))


def _make_cluster(client: docker.DockerClient, stack: str, name: str) -> None:
    """Make the cluster network with addresses of our own choice, the first range that is free.

    Containers on it keep their addresses: after a restart of the machine nginx's list of replicas
    is still right. What comes and goes gets addresses from the upper half.
    """
    first = int(hashlib.sha256(stack.encode()).hexdigest(), 16)
    for attempt in range(_RANGES):
        number = (first + attempt) % _RANGES
        pool = IPAMPool(subnet=f"10.213.{number}.0/24", iprange=f"10.213.{number}.128/25")
        try:
            _make(client, stack, name, ipam=IPAMConfig(pool_configs=[pool]))
            return
        except APIError as error:
            if "overlap" not in str(error) or attempt == _RANGES - 1:
                raise


def _make(client: docker.DockerClient, stack: str, name: str, **options: Any) -> None:
    client.networks.create(
        name, driver="bridge", check_duplicate=True, labels=labels(stack, _NETWORK), **options
    )


def address_of(client: docker.DockerClient, stack: str, part: str) -> str | None:
    """Return the address that a part has on the cluster network; None to leave it to the engine.

    That is so on networks that somebody else has made under our label, as an older version did.
    """
    with explained("look at the cluster network"):
        networks = _own_networks(client, stack, cluster_network(stack))
        configs = networks[0].attrs["IPAM"]["Config"] if networks else []
    if not configs or "IPRange" not in configs[0]:
        return None
    subnet = ipaddress.ip_network(configs[0]["Subnet"])
    if part == BALANCER:
        return str(subnet[BALANCER_ADDRESS])
    return str(subnet[FIRST_REPLICA_ADDRESS + int(part.rpartition("-")[2]) - 1])


def remove_ground(client: docker.DockerClient, stack: str) -> None:
    """Remove this stack's networks and volume."""
    with explained("remove a network"):
        for name in (cluster_network(stack), storage_network(stack)):
            for network in _own_networks(client, stack, name):
                network.reload()
                # What somebody has joined to it would keep it for ever.
                for container in network.attrs["Containers"] or {}:
                    network.disconnect(container, force=True)
                network.remove()
    with explained("remove a volume"), suppress(NotFound):
        volume = client.volumes.get(balancer_volume(stack))
        if (volume.attrs.get("Labels") or {}).get(LABEL_STACK) == stack:
            volume.remove()


def _own_networks(client: docker.DockerClient, stack: str, name: str) -> list[Network]:
    return client.networks.list(names=[f"^{name}$"], filters=of_stack(stack))
