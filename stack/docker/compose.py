"""A stack as files for Docker Compose, which run it without whisperctl. Pure.

Written as text rather than dumped from data: people read and change these files. The same arguments
as the engine gives its containers (``stack.docker.containers``), so that both run the same stack.
"""

import ipaddress
import json
from typing import Any, Final

from stack.balancer.config import Target
from stack.balancer.nginx import LISTEN_PORT, NginxConfig, render_nginx
from stack.docker.containers import (
    BALANCER_ADDRESS,
    FIRST_REPLICA_ADDRESS,
    MODEL_VOLUME,
    USER,
    replica_arguments,
)
from stack.spec import KEY_VARIABLE, REPLICA_PORT, ContainerSpec, Server, StackSpec

DEFAULT_SUBNET: Final = "172.28.90.0/24"


def compose_files(
    spec: StackSpec,
    *,
    cores: int,
    cards: int,
    offline_model: str,
    subnet: str = DEFAULT_SUBNET,
    user: str = "1000:1000",
) -> dict[str, str]:
    """Return the files' texts by name: ``compose.yaml``, ``nginx.conf``, ``.env``.

    ``user`` is whose the load tester's results are to be, as ``uid:gid``.

    Replicas have fixed addresses, because nginx looks a name up once and a container that starts
    again may get another address. Raises ValueError with a sentence for a subnet that won't do.
    """
    network = ipaddress.ip_network(subnet)
    if network.num_addresses < FIRST_REPLICA_ADDRESS + spec.replicas + 1:
        raise ValueError(f"subnet {subnet} has no room for {spec.replicas} replicas")
    addresses = {
        f"replica-{number}": str(network[FIRST_REPLICA_ADDRESS + number - 1])
        for number in range(1, spec.replicas + 1)
    }
    nginx = NginxConfig(
        strategy=spec.balancer.strategy,
        targets=tuple(
            Target(name=name, host=address, port=REPLICA_PORT)
            for name, address in addresses.items()
        ),
        session_timeout=spec.replica.max_connection_time,
    )
    arguments = {
        name: replica_arguments(
            spec, name, generation=0, cores=cores, cards=cards, offline_model=offline_model
        )
        for name in addresses
    }
    containers = spec.containers or ContainerSpec()
    sections = [
        _HEAD,
        _restrained(containers),
        "services:",
        *(_replica(name, addresses[name], arguments[name], containers) for name in addresses),
        _balancer(spec, containers, list(addresses), str(network[BALANCER_ADDRESS])),
        _LOAD_TESTER.format(image=_quoted(containers.generator_image), port=LISTEN_PORT),
        _NETWORKS.format(subnet=subnet),
        _VOLUMES if _uses_volume(arguments) else "",
    ]
    return {
        "compose.yaml": "\n".join(section for section in sections if section),
        "nginx.conf": render_nginx(nginx),
        # Not 'name:' in the file, which Compose 1 does not know.
        ".env": f"COMPOSE_PROJECT_NAME=whisperctl-{spec.name}\nWHISPERCTL_USER={user}\n",
    }


def _restrained(containers: ContainerSpec) -> str:
    return _RESTRAINED.format(user=USER, pids=containers.pids)


def _replica(name: str, address: str, arguments: dict[str, Any], containers: ContainerSpec) -> str:
    lines = [
        f"  {name}:",
        "    <<: *restrained",
        f"    image: {_quoted(arguments['image'])}",
        f"    command: {json.dumps(arguments['command'])}",
        "    environment:",
        *(f"      {key}: {_quoted(value)}" for key, value in arguments["environment"].items()),
        f"      {KEY_VARIABLE}: ${{{KEY_VARIABLE}:-}}",
        "    networks:",
        "      cluster:",
        f"        ipv4_address: {address}",
        "    stop_grace_period: 10s",
    ]
    volumes = [
        _quoted(":".join((_VOLUME_NAMES.get(source, source), mount["bind"], mount["mode"])))
        for source, mount in arguments["volumes"].items()
    ]
    if volumes:
        lines += ["    volumes:", *(f"      - {volume}" for volume in volumes)]
    if containers.memory is not None:
        lines += [f"    mem_limit: {containers.memory}", f"    memswap_limit: {containers.memory}"]
    if requests := arguments.get("device_requests"):
        lines += _reservation(requests[0])
    if containers.server is not Server.UPSTREAM:
        lines += ["    healthcheck:", *_HEALTH.splitlines()]
    return "\n".join([*lines, ""])


def _reservation(request: dict[str, Any]) -> list[str]:
    devices = request.get("DeviceIDs")
    which = f"device_ids: {json.dumps(devices)}" if devices else "count: all"
    return [
        "    deploy:",
        "      resources:",
        "        reservations:",
        "          devices:",
        "            - driver: nvidia",
        f"              {which}",
        "              capabilities: [gpu]",
    ]


def _balancer(spec: StackSpec, containers: ContainerSpec, names: list[str], address: str) -> str:
    ready = "service_started" if containers.server is Server.UPSTREAM else "service_healthy"
    waits = [f"      {name}:\n        condition: {ready}" for name in names]
    host = f"[{spec.balancer.host}]" if ":" in spec.balancer.host else spec.balancer.host
    depends = "\n".join(["    depends_on:", *waits]) if waits else ""
    return _BALANCER_SERVICE.format(
        image=_quoted(containers.balancer_image),
        published=f"{host}:{spec.balancer.port}:{LISTEN_PORT}",
        address=address,
        depends=f"{depends}\n" if depends else "",
    )


def _uses_volume(arguments: dict[str, dict[str, Any]]) -> bool:
    return any(MODEL_VOLUME in one["volumes"] for one in arguments.values())


def _quoted(text: str) -> str:
    """Quote for YAML, of which JSON's strings are a part; a ``$`` would be a variable."""
    return json.dumps(text.replace("$", "$$"))


_HEAD: Final = """\
# Made by 'whisperctl export compose'. Start it with 'docker compose up --detach', end it with
# 'docker compose down'. nginx.conf beside it names the replicas: who adds one here adds it there.
"""

_RESTRAINED: Final = """\
x-restrained: &restrained
  user: "{user}"
  read_only: true
  tmpfs:
    - /tmp:rw,noexec,nosuid,nodev,size=256m,mode=1777
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  pids_limit: {pids}
  restart: unless-stopped
  logging:
    driver: json-file
    options: {{max-size: 16m, max-file: "2"}}
"""

_HEALTH: Final = """\
      test: ["CMD", "python3", "-I", "-S", "/opt/whisperctl/health.py", "--ready"]
      interval: 5s
      timeout: 5s
      start_period: 300s
      retries: 3
"""

_BALANCER_SERVICE: Final = """\
  balancer:
    <<: *restrained
    image: {image}
    entrypoint: ["nginx", "-g", "daemon off;"]
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
    ports:
      - "{published}"
    networks:
      cluster:
        ipv4_address: {address}
{depends}"""

_LOAD_TESTER: Final = """\
  # docker compose run --rm load-tester
  load-tester:
    <<: *restrained
    image: {image}
    profiles: [load]
    # Whose ./results is, so that the runs can be saved there; see .env.
    user: "${{WHISPERCTL_USER:-1000:1000}}"
    command: ["whisperctl", "load", "--host", "balancer", "--port", "{port}",
              "--clients", "5,10,20", "--results-dir", "/results"]
    volumes:
      - ./results:/results
    networks: [cluster]
    restart: "no"
"""

_NETWORKS: Final = """\
networks:
  cluster:
    ipam:
      config:
        - subnet: {subnet}
  # For what keeps transcripts; nothing gets out of it.
  storage:
    internal: true
"""

# The project's own, so that 'docker compose down --volumes' takes nobody else's models away.
_VOLUME_NAMES: Final = {MODEL_VOLUME: "models"}
_VOLUMES: Final = """\
volumes:
  models:
"""
