"""What the doctor finds, and what the command makes of it."""

import json
import socket
from pathlib import Path

import pytest
from fakes.nvml import World

from console.cli import main
from stack.doctor import Finding, Health, examine
from stack.spec import EngineName
from stack.telemetry.gpu import GpuReader


def found(results: Path, **changes: object) -> dict[str, Finding]:
    return {one.what: one for one in examine(results=results, **changes)}  # type: ignore[arg-type]


def test_an_absent_engine_is_missing_for_docker_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    findings = found(tmp_path / "results")
    assert findings["Docker"].health is Health.BAD
    assert findings["Docker"].engine is EngineName.DOCKER
    assert "systemctl start docker" in findings["Docker"].text
    assert all(one.health is not Health.BAD for one in findings.values() if one.engine is None)


def test_a_directory_that_cannot_be_written_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert found(tmp_path / "results")["results"].health is Health.BAD


def test_a_taken_port_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        finding = found(tmp_path, port=port)[f"port {port}"]
    assert finding.health is Health.NOTE
    assert "is taken" in finding.text


def test_the_command_fails_only_for_the_engine_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path))
    options = ["--results-dir", str(tmp_path / "results")]
    assert main(["doctor", *options]) == 0
    shown = capsys.readouterr().out
    assert "Docker" in shown
    assert "missing" in shown
    assert main(["doctor", "--engine", "docker", *options]) == 1
    capsys.readouterr()
    assert main(["doctor", "--json", *options]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"what": "Python", "health": "ok"}.items() <= findings[0].items()


@pytest.fixture
def no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")


@pytest.mark.usefixtures("no_docker")
def test_each_card_is_named(nvml: World, tmp_path: Path) -> None:
    findings = found(tmp_path)
    assert "GPUs" not in findings
    assert findings["GPU 0"] == Finding(
        "GPU 0", Health.GOOD, "NVIDIA L4, 24 GiB, 72 W, driver 560.35.03"
    )
    assert findings["GPU 1"].text.startswith("NVIDIA A2, 16 GiB, 60 W")


@pytest.mark.usefixtures("no_docker")
@pytest.mark.parametrize(
    ("first", "lines", "words"),
    [
        ("", ["mig 1"], ["MIG instances", "nvidia-smi -mig 0"]),
        ("", ["compute 1 -"], ["whole card's memory", "not available", "WSL"]),
        (
            "fail nvmlDeviceGetComputeRunningProcesses_v3 4\n"
            "fail nvmlDeviceGetGraphicsRunningProcesses_v3 4",
            [],
            ["whole card's memory", "no permission", "as root"],
        ),
        (
            "fail nvmlDeviceGetProcessUtilization 3",
            [],
            ["whole card's utilisation", "not supported", "WSL"],
        ),
    ],
)
def test_what_is_wrong_with_a_card_is_said_with_what_to_do(
    nvml: World, tmp_path: Path, first: str, lines: list[str], words: list[str]
) -> None:
    nvml.on("GPU-a", *lines, first=first)
    finding = found(tmp_path)["GPU 0"]
    assert finding.health is Health.NOTE
    for word in words:
        assert word in finding.text


@pytest.mark.usefixtures("no_docker")
def test_a_lost_card_is_named_beside_the_others(nvml: World, tmp_path: Path) -> None:
    found(tmp_path)
    nvml.on("GPU-a", "lost")
    GpuReader().cards()
    findings = found(tmp_path)
    assert "no figures (lost)" in findings["GPU 0"].text
    assert findings["GPU 1"].health is Health.GOOD


@pytest.mark.usefixtures("no_docker")
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (9, ["driver not loaded", "modprobe nvidia"]),
        (18, ["driver and library differ in version", "restart the machine"]),
        (999, ["driver error 999", "dmesg"]),
    ],
)
def test_a_driver_that_does_not_work_is_no_missing_card(
    nvml: World, tmp_path: Path, code: int, words: list[str]
) -> None:
    nvml.set(f"away {code}\n")
    finding = found(tmp_path)["GPUs"]
    assert finding.health is Health.NOTE
    for word in words:
        assert word in finding.text
