"""What containers are created with: rights, limits, GPUs, model; and the sentences of errors."""

from typing import Any

import docker.errors
import pytest

from stack.docker.containers import (
    LABEL_DIGEST,
    balancer_arguments,
    generator_arguments,
    gpu_request,
    replica_arguments,
)
from stack.docker.errors import explained, sentence
from stack.docker.preflight import listening_address
from stack.docker.upstream import count_established
from stack.engine import StackError
from stack.spec import (
    BalancerSpec,
    ContainerSpec,
    EngineName,
    ReplicaSpec,
    Server,
    StackSpec,
)


def spec(**changes: Any) -> StackSpec:
    containers = changes.pop("containers", ContainerSpec(server=Server.WHISPERCTL))
    return StackSpec(engine=EngineName.DOCKER, containers=containers, **changes)


def replica(given: StackSpec, name: str = "replica-1", **facts: Any) -> dict[str, Any]:
    asked = {"generation": 0, "cores": 8, "cards": 2, "offline_model": "/offline"} | facts
    return replica_arguments(given, name, **asked)


def every_container() -> list[dict[str, Any]]:
    upstream = spec(containers=ContainerSpec(server=Server.UPSTREAM))
    return [
        replica(spec()),
        replica(upstream),
        balancer_arguments(spec()),
        generator_arguments("s", "image", ["run"], ["/clips"]),
    ]


def test_no_container_has_rights_it_does_not_need() -> None:
    for arguments in every_container():
        assert arguments["read_only"]
        assert arguments["cap_drop"] == ["ALL"]
        assert arguments["security_opt"] == ["no-new-privileges:true"]
        assert arguments["pids_limit"] > 0
        user, _, group = arguments["user"].partition(":")
        assert int(user) > 0
        assert int(group) > 0
        assert "privileged" not in arguments
        assert not any("docker.sock" in source for source in arguments["volumes"])
        assert not {"cap_add", "network_mode", "pid_mode", "ipc_mode", "devices"} & set(arguments)


def test_only_the_balancer_publishes_a_port_and_where_it_is_told() -> None:
    published = [arguments.get("ports") for arguments in every_container()]
    assert [ports for ports in published if ports] == [{"8080/tcp": ("127.0.0.1", 8990)}]
    elsewhere = balancer_arguments(spec(balancer=BalancerSpec(host="10.0.0.5", port=80)))
    assert elsewhere["ports"] == {"8080/tcp": ("10.0.0.5", 80)}


def test_limits_and_restart() -> None:
    limited = ContainerSpec(server=Server.WHISPERCTL, memory=2**31, pids=99)
    arguments = replica(spec(containers=limited))
    assert (arguments["mem_limit"], arguments["memswap_limit"]) == (2**31, 2**31)
    assert arguments["pids_limit"] == 99
    assert arguments["restart_policy"] == {"Name": "unless-stopped"}
    assert "mem_limit" not in replica(spec())


@pytest.mark.parametrize(
    ("gpus", "name", "expected"),
    [
        ("none", "replica-1", None),
        ("all", "replica-3", {"Count": -1, "DeviceIDs": []}),
        ("0,3", "replica-2", {"Count": 0, "DeviceIDs": ["0", "3"]}),
        ("spread", "replica-1", {"Count": 0, "DeviceIDs": ["0"]}),
        ("spread", "replica-4", {"Count": 0, "DeviceIDs": ["1"]}),
    ],
)
def test_which_cards_a_replica_gets(gpus: str, name: str, expected: dict[str, Any] | None) -> None:
    request = gpu_request(gpus, name, cards=2)
    if expected is None:
        assert request is None
        return
    assert request is not None
    assert request["Capabilities"] == [["gpu"]]
    assert {key: request[key] or ([] if key == "DeviceIDs" else 0) for key in expected} == expected


def test_the_model_reaches_the_replica() -> None:
    offline = replica(spec())
    assert "--model=offline" in offline["command"]
    assert offline["volumes"] == {}
    named = replica(spec(replica=ReplicaSpec(model="small")))
    assert named["volumes"] == {"whisperctl-models": {"bind": "/models", "mode": "rw"}}
    assert named["environment"]["HF_HOME"] == "/models/cache"
    directory = replica(spec(replica=ReplicaSpec(model="/data/turbo")))
    assert directory["volumes"] == {"/data/turbo": {"bind": "/model", "mode": "ro"}}
    assert "--model=/model" in directory["command"]
    # Cores are shared by as many replicas as there are.
    shared = spec(replica=ReplicaSpec(model="small"), replicas=4)
    assert "--threads=2" in replica(shared)["command"]


def test_upstreams_server_is_told_in_its_own_words() -> None:
    upstream = ContainerSpec(image="ghcr.io/x/whisperlive-gpu", server=Server.UPSTREAM)
    arguments = replica(spec(containers=upstream, replica=ReplicaSpec(max_sessions=7)))
    assert arguments["command"][:4] == ["python3", "run_server.py", "--port", "9090"]
    assert arguments["command"][-4:] == ["--max_clients", "7", "--max_connection_time", "3600"]
    assert arguments["volumes"] == {"/offline": {"bind": "/model", "mode": "ro"}}


def test_a_key_is_handed_over_as_environment_only() -> None:
    arguments = replica(spec(), api_key="s3cret")
    assert arguments["environment"]["WHISPERCTL_API_KEY"] == "s3cret"
    assert "s3cret" not in str(arguments["command"])
    assert "s3cret" not in str(arguments["labels"])


def test_the_key_changes_no_digest_and_is_in_none() -> None:
    with_key, without = replica(spec(), api_key="s3cret"), replica(spec())
    assert with_key["labels"] == without["labels"]


def test_no_cards_means_none_even_where_they_are_the_default() -> None:
    none = ContainerSpec(server=Server.WHISPERCTL, gpus="none")
    environment = replica(spec(containers=none))["environment"]
    assert environment["NVIDIA_VISIBLE_DEVICES"] == "void"
    everything = ContainerSpec(server=Server.WHISPERCTL, gpus="all")
    assert "NVIDIA_VISIBLE_DEVICES" not in replica(spec(containers=everything))["environment"]


def test_a_host_is_an_address_of_this_machine() -> None:
    assert listening_address("10.0.0.5") == "10.0.0.5"
    assert listening_address("::1") == "::1"
    assert listening_address("localhost") in {"127.0.0.1", "::1"}
    with pytest.raises(StackError, match="no address of this machine"):
        listening_address("nobody.invalid")


def test_another_spec_is_another_container() -> None:
    def digest(arguments: dict[str, Any]) -> str:
        return str(arguments["labels"][LABEL_DIGEST])

    first = digest(replica(spec()))
    assert digest(replica(spec(), generation=3)) == first, "a restart changes nothing else"
    assert digest(replica(spec(replica=ReplicaSpec(min_chunk=2)))) != first
    assert digest(balancer_arguments(spec())) == digest(balancer_arguments(spec(replicas=5)))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Error while fetching server API version: ('Connection aborted.', PermissionError(13,"
         " 'Permission denied'))", "usermod -aG docker"),
        ("Error while fetching server API version: ('Connection aborted.', FileNotFoundError(2,"
         " 'No such file or directory'))", "systemctl start docker"),
        ("Bind for 127.0.0.1:8990 failed: port is already allocated", "another with --port"),
        ('could not select device driver "" with capabilities: [[gpu]]', "--gpus none"),
        ("write /var/lib/docker/tmp/x: no space left on device", "docker system prune"),
        ("UnixHTTPConnectionPool(host='localhost', port=None): Read timed out.", "does not answer"),
    ],
)  # fmt: skip
def test_every_known_trouble_is_one_sentence(said: str, expected: str) -> None:
    told = sentence(docker.errors.DockerException(said), "start replica-1")
    assert expected in told
    assert "\n" not in told


def test_an_unknown_trouble_keeps_its_reason() -> None:
    with (
        pytest.raises(StackError, match=r"^Docker can't start x: it is too late\.$"),
        explained("start x"),
    ):
        raise docker.errors.DockerException("first line\nit is too late.\n")


def test_connections_are_counted_in_the_kernels_table() -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    rows = [
        "   0: 00000000:2382 00000000:0000 0A 00000000:00000000\n",  # listening
        "   1: 020011AC:2382 030011AC:B5C6 01 00000000:00000000\n",
        "   2: 020011AC:2382 030011AC:B5C8 01 00000000:00000000\n",
        "   3: 020011AC:2382 030011AC:B5CA 06 00000000:00000000\n",  # over
        "   4: 020011AC:A1B2 080808AC:01BB 01 00000000:00000000\n",  # its own, to elsewhere
    ]
    assert count_established(head + "".join(rows), 0x2382) == 2
    assert count_established(head, 0x2382) == 0
