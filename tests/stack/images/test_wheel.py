"""The wheel that the image is made from: what runs here, as a wheel that pip installs."""

import subprocess
import sys
import zipfile
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from stack.engine import StackError
from stack.images.build import builder_lines, pack_context
from stack.images.wheel import pack_wheel, pinned_requirements


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    wheel = pack_wheel(tmp_path)
    name, packed, _, _ = parse_wheel_filename(wheel.name)
    assert (name, str(packed)) == ("whisperctl", version("whisperctl"))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"stack/replica/server.py", "stack/images/Dockerfile", "console/styles.tcss"} <= names
    assert any(one.startswith("stack/offline/model/") for one in names)
    assert any(one.endswith((".wav", ".flac")) for one in names), "the clips"
    assert not any("__pycache__" in one or one.startswith("tests/") for one in names)
    # The same code is the same file: the builder's cache goes by it.
    assert wheel.read_bytes() == pack_wheel(tmp_path).read_bytes()


def test_what_is_packed_runs_without_the_checkout(tmp_path: Path) -> None:
    wheel = pack_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import stack.replica.server, loadtest.generator.shard, importlib.metadata as m;"
        "print(stack.replica.server.__file__, m.entry_points(name='whisperctl'))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert str(tmp_path / "site") in ran.stdout
    assert "console.cli:main" in ran.stdout


def test_the_requirements_are_those_that_are_installed() -> None:
    pinned = dict(line.split("==") for line in pinned_requirements())
    direct = {canonicalize_name(Requirement(text).name) for text in requires("whisperctl") or []}
    assert direct <= set(pinned)
    assert all(version(name) == number for name, number in pinned.items())
    assert "pytest" not in pinned, "what tests need is not in the image"


def test_the_builder_gets_the_same_bytes_for_the_same_code(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "numpy-2.0-py3-none-any.whl").write_bytes(b"x")
    (wheels / "whisperctl-0.0.1-py3-none-any.whl").write_bytes(b"an older one")
    contexts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        contexts.append(pack_context(tmp_path / name, wheels).getvalue())
    assert contexts[0] == contexts[1]
    assert b"an older one" not in contexts[0]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("write /usr/lib/x: no space left on device", "Docker's disk is full"),
        ("The command '/bin/sh -c pip' returned a non-zero code: 1", r"non-zero code: 1 \(No mat"),
    ],
)
def test_a_build_that_fails_says_why(said: str, expected: str) -> None:
    stream = iter(
        [{"stream": "Step 1/9\n"}, {"stream": "No matching distribution\n"}, {"error": said}]
    )
    with pytest.raises(StackError, match=expected) as raised:
        list(builder_lines(stream, "x:1"))
    assert "\n" not in str(raised.value)
