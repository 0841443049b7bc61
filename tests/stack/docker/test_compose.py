"""The export: it is YAML, says what the engine would do, and Docker Compose and nginx accept it."""

import asyncio
import json
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from support.stacks import replica_of, session

from console.cli import main
from stack.docker.compose import compose_files
from stack.offline import MODEL_DIRECTORY
from stack.process.parts import free_port
from stack.spec import (
    BalancerSpec,
    ContainerSpec,
    EngineName,
    ReplicaSpec,
    Server,
    StackSpec,
    Strategy,
)
from tests.stack.docker.conftest import BALANCER_IMAGE, IMAGE

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def compose_command() -> list[str] | None:
    """The command that is Docker Compose here, if any."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]):
            tried = subprocess.run([*command, "version"], capture_output=True, check=False)
            if tried.returncode == 0:
                return command
    return None


def export(replicas: int = 3, **changes: Any) -> tuple[dict[str, Any], dict[str, str]]:
    containers = changes.pop(
        "containers", ContainerSpec(server=Server.WHISPERCTL, gpus="all", memory=2**31)
    )
    spec = StackSpec(
        engine=EngineName.DOCKER,
        replicas=replicas,
        containers=containers,
        **({"replica": ReplicaSpec(model="small")} | changes),
    )
    files = compose_files(spec, cores=8, cards=2, offline_model="/offline")
    return yaml.safe_load(files["compose.yaml"]), files


def test_three_replicas_a_balancer_and_a_load_tester() -> None:
    project, files = export()
    services = project["services"]
    assert set(services) == {"replica-1", "replica-2", "replica-3", "balancer", "load-tester"}
    assert services["balancer"]["ports"] == ["127.0.0.1:8990:8080"]
    assert not any("ports" in services[name] for name in services if name != "balancer")
    devices = services["replica-1"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]
    for name in ("replica-1", "replica-2", "replica-3"):
        service = services[name]
        address = service["networks"]["cluster"]["ipv4_address"]
        assert f'"{address}:9090" {name};' in files["nginx.conf"]
        assert f"--name={name}" in service["command"]
        assert services["balancer"]["depends_on"][name] == {"condition": "service_healthy"}
        assert service["mem_limit"] == 2**31
        assert "models:/models:rw" in service["volumes"]
        assert service["environment"]["WHISPERCTL_API_KEY"] == "${WHISPERCTL_API_KEY:-}"
    assert services["load-tester"]["profiles"] == ["load"]
    assert project["networks"]["storage"] == {"internal": True}


def test_every_service_is_as_restrained_as_the_engines_containers() -> None:
    project, _ = export()
    for service in project["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert service["user"]


def test_cards_by_index_and_spread() -> None:
    def devices(gpus: str) -> list[Any]:
        containers = ContainerSpec(server=Server.WHISPERCTL, gpus=gpus)
        services = export(containers=containers)[0]["services"]
        found = (services[f"replica-{n}"].get("deploy") for n in (1, 2, 3))
        return [
            one and one["resources"]["reservations"]["devices"][0].get("device_ids")
            for one in found
        ]

    assert devices("0,1") == [["0", "1"]] * 3
    assert devices("spread") == [["0"], ["1"], ["0"]]
    assert devices("none") == [None] * 3


def test_upstreams_image_is_started_its_own_way() -> None:
    containers = ContainerSpec(image="up/stream", server=Server.UPSTREAM, gpus="none")
    services = export(containers=containers)[0]["services"]
    assert services["replica-1"]["command"][1] == "run_server.py"
    assert "healthcheck" not in services["replica-1"]
    assert services["balancer"]["depends_on"]["replica-1"] == {"condition": "service_started"}
    assert services["load-tester"]["image"] == "whisperctl:latest"


@pytest.mark.skipif(NGINX is None, reason="needs nginx")
@pytest.mark.parametrize("strategy", list(Strategy))
def test_nginx_accepts_the_exported_file(strategy: Strategy, tmp_path: Path) -> None:
    assert NGINX is not None
    (tmp_path / "nginx.conf").write_text(export()[1]["nginx.conf"])
    tested = subprocess.run(
        [NGINX, "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stderr


@pytest.mark.skipif(compose_command() is None, reason="needs Docker Compose")
@pytest.mark.parametrize("server", [Server.WHISPERCTL, Server.UPSTREAM])
def test_docker_compose_accepts_it(server: Server, tmp_path: Path) -> None:
    containers = ContainerSpec(server=server, gpus="0,1", memory=2**30)
    for name, text in export(containers=containers)[1].items():
        (tmp_path / name).write_text(text)
    command = compose_command()
    assert command is not None
    checked = subprocess.run(
        [*command, "-f", tmp_path / "compose.yaml", "--profile", "load", "config"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.skipif(compose_command() is None, reason="needs Docker Compose")
@pytest.mark.timeout(240)
async def test_the_exported_stack_runs_without_us(
    client: docker.DockerClient, images: None, tmp_path: Path
) -> None:
    command = compose_command()
    assert command is not None
    port = free_port()
    containers = ContainerSpec(
        image=IMAGE, balancer_image=BALANCER_IMAGE, server=Server.WHISPERCTL, gpus="none"
    )
    spec = StackSpec(
        name=f"t{uuid.uuid4().hex[:8]}",
        engine=EngineName.DOCKER,
        replicas=2,
        containers=containers,
        balancer=BalancerSpec(port=port, strategy=Strategy.ROUND_ROBIN),
    )
    files = compose_files(
        spec,
        cores=2,
        cards=0,
        offline_model=str(MODEL_DIRECTORY),
        subnet="10.214.77.0/24",
        user=f"{os.getuid()}:{os.getgid()}",
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def compose(*arguments: str) -> None:
        ran = subprocess.run(
            [*command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr

    try:
        await asyncio.to_thread(compose, "up", "--detach")
        opened = []
        for _ in range(2):
            async with session(f"127.0.0.1:{port}") as one:
                opened.append(replica_of(one))
        assert sorted(opened) == ["replica-1", "replica-2"]
        (tmp_path / "results").mkdir()
        tester = ("whisperctl", "load", "--host", "balancer", "--port", "8080")
        options = ("--num-clients", "2", "--duration", "3", "--results-dir", "/results")
        await asyncio.to_thread(compose, "run", "--rm", "load-tester", *tester, *options)
        (saved,) = (tmp_path / "results").glob("run_2_clients_*.json")
        assert json.loads(saved.read_text())["summary"]["successful_clients"] == 2
    finally:
        await asyncio.to_thread(compose, "down", "--volumes")


def test_the_command_writes_both_and_replaces_nothing_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path / "state"))
    target = tmp_path / "out"
    assert main(["export", "compose", "-o", str(target), "--replicas", "2"]) == 0
    project = yaml.safe_load((target / "compose.yaml").read_text())
    assert "replica-2" in project["services"]
    assert "replica-3" not in project["services"]
    assert (target / "results").is_dir()
    assert f"WHISPERCTL_USER={os.getuid()}:{os.getgid()}" in (target / ".env").read_text()
    assert "--model=small" in project["services"]["replica-1"]["command"]
    (target / "compose.yaml").write_text("mine")
    assert main(["export", "compose", "-o", str(target)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert (target / "compose.yaml").read_text() == "mine"
    assert main(["export", "compose", "-o", str(target), "--force"]) == 0
    assert (target / "compose.yaml").read_text() != "mine"
    assert main(["export", "compose", "-o", str(tmp_path / "x"), "--subnet", "10.0.0.0/29"]) == 2
    assert "no room" in capsys.readouterr().err
    assert main(["export", "compose", "-o", str(tmp_path / "x"), "--subnet", "here"]) == 2
