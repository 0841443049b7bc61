"""What each container of a stack is created with. Pure: spec in, arguments of the SDK out.

Every container runs without root, without capabilities, without a way to get either back, on a
root file system it can't write, and within limits. Replicas publish no port.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from docker.types import DeviceRequest, LogConfig

from stack.balancer.nginx import LISTEN_PORT
from stack.replica.options import replica_options
from stack.spec import (
    KEY_VARIABLE,
    REPLICA_PORT,
    ContainerSpec,
    ReplicaSpec,
    Server,
    StackSpec,
)

LABEL_STACK: Final = "io.whisperctl.stack"
LABEL_PART: Final = "io.whisperctl.part"
LABEL_GENERATION: Final = "io.whisperctl.generation"
LABEL_MODEL: Final = "io.whisperctl.model"
"""What a replica runs, which is not what the stack was brought up with once that has changed."""
LABEL_SPEC: Final = "io.whisperctl.spec"
LABEL_DIGEST: Final = "io.whisperctl.digest"
"""Of all that the container was created with: another digest is another container."""
LABEL_IMAGE: Final = "io.whisperctl.image"
"""Label of our image; its value is the version."""

BALANCER: Final = "balancer"
GENERATOR: Final = "load-generator"
USER: Final = "10001:10001"
"""The user of our image, who is nobody outside."""
BALANCER_DIRECTORY: Final = "/var/lib/whisperctl"
"""Where the balancer's volume with nginx.conf is mounted."""
CONFIG_NAME: Final = "nginx.conf"
NGINX_CONFIG: Final = f"{BALANCER_DIRECTORY}/{CONFIG_NAME}"
MODEL_VOLUME: Final = "whisperctl-models"
"""Shared by all stacks: a model is downloaded once. It outlives them."""
MODELS: Final = "/models"
MODEL_CACHE: Final = "cache"
"""Directory in the volume that the containers' user may write: a new volume itself is root's."""
MODEL: Final = "/model"
BALANCER_PIDS: Final = 4096
"""Each reload keeps the old workers that have open sessions."""

FIRST_REPLICA_ADDRESS: Final = 11
"""Last number of replica-1's address on the cluster network, replica-2's is one more, and so on."""
BALANCER_ADDRESS: Final = 2


def container_name(stack: str, part: str) -> str:
    """Return a part's container name, of which a machine can have one."""
    return f"whisperctl-{stack}-{part}"


def cluster_network(stack: str) -> str:
    """Return the name of the network of balancer, replicas and load generators."""
    return f"whisperctl-{stack}"


def storage_network(stack: str) -> str:
    """Return the name of the network of what keeps transcripts; nothing gets out of it."""
    return f"whisperctl-{stack}-storage"


def balancer_volume(stack: str) -> str:
    """Return the name of the volume that holds nginx.conf."""
    return f"whisperctl-{stack}-balancer"


def labels(stack: str, part: str) -> dict[str, str]:
    """Return what tells a stack's things from everybody else's."""
    return {LABEL_STACK: stack, LABEL_PART: part}


def of_stack(stack: str) -> dict[str, str]:
    """Return the filter that finds a stack's things, and nobody else's."""
    return {"label": f"{LABEL_STACK}={stack}"}


def _restrained(containers: ContainerSpec) -> dict[str, Any]:
    """Return the limits that hold for every container."""
    return {
        "read_only": True,
        "tmpfs": {"/tmp": "rw,noexec,nosuid,nodev,size=256m,mode=1777"},  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "pids_limit": containers.pids,
        "restart_policy": {"Name": "unless-stopped"},
        "log_config": LogConfig(
            type=LogConfig.types.JSON, config={"max-size": "16m", "max-file": "2"}
        ),
        "detach": True,
    }


def replica_arguments(
    spec: StackSpec,
    name: str,
    *,
    generation: int,
    cores: int,
    cards: int,
    offline_model: str,
    api_key: str | None = None,
) -> dict[str, Any]:
    """Return what a replica's container is created with.

    ``cores`` and ``cards`` are the machine's; ``offline_model`` is where the machine has the
    offline model, for images that don't bring it.
    """
    containers = spec.containers or ContainerSpec()
    upstream = containers.server is Server.UPSTREAM
    mounts, model = _model(spec.replica, offline_model, upstream=upstream)
    environment = {
        "HF_HOME": f"{MODELS}/{MODEL_CACHE}",
        "HOME": "/tmp",  # noqa: S108
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    if containers.gpus == "none":
        # CUDA images ask for all cards, and get them where NVIDIA's runtime is the default one.
        environment["NVIDIA_VISIBLE_DEVICES"] = "void"
    arguments = {
        **_restrained(containers),
        "image": containers.image,
        "name": container_name(spec.name, name),
        "command": (
            _upstream_command(spec.replica, model, containers.upstream_metrics_port)
            if upstream
            else _replica_command(spec, name, model, cores)
        ),
        "environment": environment,
        "user": USER,
        "volumes": mounts,
        "network": cluster_network(spec.name),
        # As a container's first process, a Python program without a handler does not get SIGTERM.
        "stop_signal": "SIGINT" if upstream else "SIGTERM",
    }
    if containers.memory is not None:
        # No swap beside it: a replica that swaps is slower than one that is restarted.
        arguments |= {"mem_limit": containers.memory, "memswap_limit": containers.memory}
    if (request := gpu_request(containers.gpus, name, cards)) is not None:
        arguments["device_requests"] = [request]
    told = {LABEL_GENERATION: str(generation), LABEL_MODEL: spec.replica.model}
    labelled = _labelled(arguments, spec.name, name, told)
    if api_key:
        # After the digest, which anybody may read.
        labelled["environment"] = environment | {KEY_VARIABLE: api_key}
    return labelled


def balancer_arguments(spec: StackSpec) -> dict[str, Any]:
    """Return what the balancer's container is created with: it alone publishes a port."""
    containers = spec.containers or ContainerSpec()
    arguments = {
        **_restrained(containers),
        "image": containers.balancer_image,
        "name": container_name(spec.name, BALANCER),
        # The image's own start script writes into /etc, which is read-only.
        "entrypoint": ["nginx", "-c", NGINX_CONFIG, "-g", "daemon off;"],
        "command": [],
        "user": USER,
        "volumes": {balancer_volume(spec.name): {"bind": BALANCER_DIRECTORY, "mode": "rw"}},
        "network": cluster_network(spec.name),
        "pids_limit": BALANCER_PIDS,
        "ports": {f"{LISTEN_PORT}/tcp": (spec.balancer.host, spec.balancer.port)},
        # Its own word for an orderly end; sessions were drained before.
        "stop_signal": "SIGTERM",
    }
    whole = spec.model_copy(update={"replicas": 0})
    described = {LABEL_SPEC: whole.model_dump_json(exclude_defaults=True)}
    return _labelled(arguments, spec.name, BALANCER, described)


def generator_arguments(
    stack: str, image: str, command: list[str], readable: list[str]
) -> dict[str, Any]:
    """Return what a load generator's container is created with.

    ``readable`` are directories of this machine that it reads under the same paths.
    """
    arguments = {
        **_restrained(ContainerSpec()),
        "image": image,
        "command": command,
        "environment": {"HOME": "/tmp"},  # noqa: S108
        "user": USER,
        "volumes": {path: {"bind": path, "mode": "ro"} for path in readable},
        "network": cluster_network(stack),
        "stdin_open": True,
        # Its output is what is measured: it goes to whoever reads it and nowhere else.
        "log_config": LogConfig(type=LogConfig.types.NONE),
        "restart_policy": {"Name": "no"},
        "auto_remove": True,
        # Its input ends with whoever started it, and it with its input.
        "detach": False,
    }
    return _labelled(arguments, stack, GENERATOR, {})


def gpu_request(gpus: str, name: str, cards: int) -> DeviceRequest | None:
    """Return which cards a replica gets; None for none.

    ``spread`` gives replica-1 the first card, replica-2 the second, and begins anew after the last.
    """
    capabilities = [["gpu"]]
    match gpus:
        case "none" | "auto":
            return None
        case "all":
            return DeviceRequest(count=-1, capabilities=capabilities)
        case "spread":
            number = int(name.rpartition("-")[2]) - 1
            return DeviceRequest(
                device_ids=[str(number % max(1, cards))], capabilities=capabilities
            )
        case _:
            return DeviceRequest(device_ids=gpus.split(","), capabilities=capabilities)


def _model(
    replica: ReplicaSpec, offline_model: str, *, upstream: bool
) -> tuple[dict[str, dict[str, str]], str]:
    """Return the mounts that bring the model, and what the server is told to load."""
    if PurePosixPath(replica.model).is_absolute():
        return {replica.model: {"bind": MODEL, "mode": "ro"}}, MODEL
    if replica.model == "offline":
        if not upstream:
            return {}, "offline"
        return {offline_model: {"bind": MODEL, "mode": "ro"}}, MODEL
    return {MODEL_VOLUME: {"bind": MODELS, "mode": "rw"}}, replica.model


def _replica_command(spec: StackSpec, name: str, model: str, cores: int) -> list[str]:
    placed = spec.model_copy(update={"replica": spec.replica.model_copy(update={"model": model})})
    options = replica_options(placed, name, threads=spec.replica.threads_of(spec.replicas, cores))
    return ["python3", "-m", "stack.replica", "--host=0.0.0.0", f"--port={REPLICA_PORT}", *options]


def _upstream_command(replica: ReplicaSpec, model: str, metrics_port: int | None) -> list[str]:
    """Return upstream's command line (run_server.py of whisper-live 0.10.0)."""
    command = ["python3", "run_server.py", "--port", str(REPLICA_PORT)]
    command += ["--backend", "faster_whisper"]
    # Without a path the client names the model.
    if model == MODEL:
        command += ["--faster_whisper_custom_model_path", MODEL]
    command += ["--max_clients", str(replica.max_sessions)]
    if metrics_port is not None:
        command += ["--metrics_port", str(metrics_port)]
    return [*command, "--max_connection_time", str(int(replica.max_connection_time))]


def _labelled(
    arguments: dict[str, Any], stack: str, part: str, more: Mapping[str, str]
) -> dict[str, Any]:
    """Add the labels, with a digest of all the rest."""
    text = json.dumps(arguments, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return arguments | {"labels": labels(stack, part) | {LABEL_DIGEST: digest} | dict(more)}
