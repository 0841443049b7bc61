"""What is looked at before a container is started, so that what is missing is said in one sentence.

``whisperctl doctor`` tells the same beforehand. Blocking.
"""

import ipaddress
import os
import shutil
import socket
import stat
from pathlib import Path
from typing import Final

import docker
from docker.errors import ImageNotFound

from stack.docker.client import connect
from stack.docker.containers import LABEL_IMAGE
from stack.docker.errors import explained, missing_image
from stack.engine import StackError
from stack.spec import DEFAULT_IMAGE, KEY_VARIABLE, ContainerSpec, Server, StackSpec
from stack.supervision.preflight import check_memory, check_model, check_port
from stack.telemetry.gpu import GpuReader

_NVIDIA: Final = "nvidia"


def check_stack(
    client: docker.DockerClient, spec: StackSpec, *, more: int, fresh: bool
) -> StackSpec:
    """Return the spec made definite; raises StackError for the first thing that is missing."""
    containers = spec.containers or ContainerSpec()
    image = image_labels(client, containers.image)
    if containers.server is Server.AUTO:
        server = Server.WHISPERCTL if image.get(LABEL_IMAGE) else Server.UPSTREAM
        containers = containers.model_copy(update={"server": server})
    if containers.server is Server.UPSTREAM and os.environ.get(KEY_VARIABLE):
        raise StackError(
            "Upstream's server takes its key on the command line, where every user of the machine "
            "can read it; unset WHISPERCTL_API_KEY, or use whisperctl's own image."
        )
    image_labels(client, containers.balancer_image)
    containers = containers.model_copy(update={"gpus": _gpus(client, spec, containers.gpus)})
    model = check_model(spec.replica.model)
    if Path(model).is_absolute():
        check_readable(Path(model))
    check_memory(model, more)
    # The engine takes addresses only, and reads a name as "everywhere".
    host = listening_address(spec.balancer.host)
    balancer = spec.balancer.model_copy(update={"host": host})
    if fresh:
        port = check_port(balancer.host, balancer.port)
        balancer = balancer.model_copy(update={"port": port})
    replica = spec.replica.model_copy(update={"model": model})
    return spec.model_copy(
        update={"containers": containers, "replica": replica, "balancer": balancer}
    )


def listening_address(host: str) -> str:
    """Return the address that a host name stands for on this machine; raises StackError."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError:
        raise StackError(
            f"--host {host} is no address of this machine; give one, such as 127.0.0.1."
        ) from None


def cards_of(spec: StackSpec) -> int:
    """Count the machine's cards where the stack spreads its replicas over them."""
    if spec.containers is None or spec.containers.gpus != "spread":
        return 0
    return len(GpuReader().devices())


def has_nvidia(client: docker.DockerClient) -> bool:
    """Tell whether containers can be given NVIDIA cards."""
    with explained("say what it can do"):
        facts = client.info()
    return (
        _NVIDIA in (facts.get("Runtimes") or {})
        # The engine offers its device driver where it finds this beside itself.
        or shutil.which("nvidia-container-runtime-hook") is not None
        or any(
            _NVIDIA in str(device.get("ID", "")) for device in facts.get("DiscoveredDevices") or []
        )
    )


def gpus_here() -> str:
    """Say which cards containers of this machine are to get: all, unless it can give none.

    Where no engine answers the files may be meant for another machine: all then, too.
    """
    try:
        return "all" if has_nvidia(connect()) else "none"
    except StackError:
        return "all"


def _gpus(client: docker.DockerClient, spec: StackSpec, asked: str) -> str:
    if asked == "none" or (asked == "auto" and spec.replica.device == "cpu"):
        return "none"
    there = has_nvidia(client)
    if asked == "auto":
        if spec.replica.device == "cuda" and not there:
            raise StackError(NO_RUNTIME)
        return "all" if there else "none"
    if not there:
        raise StackError(NO_RUNTIME)
    return asked


NO_RUNTIME: Final = (
    "Docker has no NVIDIA runtime; install the NVIDIA Container Toolkit, or leave the GPUs away "
    "with '--gpus none'."
)


def image_labels(client: docker.DockerClient, image: str, *, ours: bool = False) -> dict[str, str]:
    """Return an image's labels; raises StackError when it is missing.

    ``ours``: it can be none but one that 'whisperctl build' makes, whatever its name.
    """
    with explained(f"look at image {image}"):
        try:
            found = client.images.get(image)
        except ImageNotFound:
            raise StackError(missing_image(image, ours=ours or image == DEFAULT_IMAGE)) from None
    return dict(found.labels or {})


def check_readable(directory: Path) -> None:
    """Raise StackError when the containers' user, who is nobody here, can't read a directory."""
    # Docker mounts the directory itself: what is above it doesn't matter.
    for path in (directory, *directory.iterdir()):
        wanted = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
        if path.stat().st_mode & wanted != wanted:
            raise StackError(
                f"The containers' user can't read {path}; let everyone with "
                f"'chmod -R o+rX {directory}'."
            )
