"""What the doctor finds, and what the command makes of it."""

import json
import socket
from pathlib import Path

import pytest

from console.cli import main
from stack.doctor import Finding, Health, examine
from stack.spec import EngineName


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
