"""Whose GPU memory and time it is: real processes, the real nvidia-ml-py, a scripted driver."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fakes.nvml import GIB, World

from stack.telemetry.gpu import GpuReader, GpuUse

MIB = 2**20
COMPUTE = "nvmlDeviceGetComputeRunningProcesses_v3"
GRAPHICS = "nvmlDeviceGetGraphicsRunningProcesses_v3"
UTILISATION = "nvmlDeviceGetProcessUtilization"
NOT_SUPPORTED, NO_PERMISSION = 3, 4


@pytest.fixture
def sleepers() -> Iterator[list[int]]:
    """Two processes that do nothing."""
    running = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    try:
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """A process and its grandchild."""
    process = subprocess.Popen(
        ["sh", "-c", "sh -c 'sleep 600 & echo $!; wait'; true"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    grandchild = int(process.stdout.readline())
    try:
        yield process.pid, grandchild
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.communicate()


def own(memory: int, utilisation: float, **values: object) -> GpuUse:
    """What a replica uses of card 0 by itself."""
    found = {"cards": (0,), "memory_total": 24 * GIB, "encoder": 0.0} | values
    return GpuUse(memory=memory, utilisation=utilisation, **found)  # type: ignore[arg-type]


def test_memory_and_time_are_each_replicas_own(nvml: World, sleepers: list[int]) -> None:
    one, two = sleepers
    nvml.on(
        "GPU-a",
        f"compute {one} {300 * MIB}",
        f"compute {two} {500 * MIB}",
        "compute 4000000 1000",
        f"sample {one} -100000 40 3",
        f"sample {one} -300000 20 1",
        f"sample {one} -9000000 100 100",
        f"sample {two} 0 7 0",
    )
    found = GpuReader().use({"replica-1": [one], "replica-2": [two], "replica-3": [os.getpid()]})
    assert found == {
        "replica-1": own(300 * MIB, pytest.approx(0.3), encoder=pytest.approx(0.02)),
        "replica-2": own(500 * MIB, 0.07),
    }


def test_a_process_that_did_nothing_lately_used_no_time(nvml: World, sleepers: list[int]) -> None:
    nvml.on("GPU-a", f"compute {sleepers[0]} 300")
    assert GpuReader().use({"one": sleepers[:1]}) == {"one": own(300, 0.0)}


def test_children_count_for_their_replica(nvml: World, family: tuple[int, int]) -> None:
    parent, grandchild = family
    nvml.on(
        "GPU-a",
        f"compute {parent} 100",
        f"compute {grandchild} 200",
        f"sample {parent} 0 10 0",
        f"sample {grandchild} 0 30 0",
    )
    assert GpuReader().use({"one": [parent]}) == {"one": own(300, 0.4)}


def test_what_draws_counts_and_what_does_both_counts_once(nvml: World, sleepers: list[int]) -> None:
    one, two = sleepers
    nvml.on("GPU-a", f"graphics {one} 100", f"compute {two} 250", f"graphics {two} 250")
    found = GpuReader().use({"one": [one], "two": [two]})
    assert found["one"].memory == 100
    assert found["two"].memory == 250


def test_two_cards_add_up(nvml: World, sleepers: list[int]) -> None:
    pid = sleepers[0]
    lines = f"compute {pid} 100\nsample {pid} 0 {{}} 0"
    text = nvml.text.replace("minor 0", "minor 0\n" + lines.format(40))
    nvml.set(text.replace("minor 1", "minor 1\n" + lines.format(60)))
    assert GpuReader().use({"one": [pid]}) == {
        "one": own(200, 0.6, cards=(0, 1), memory_total=40 * GIB)
    }


def test_memory_that_the_driver_hides_is_the_cards_and_marked(
    nvml: World, sleepers: list[int]
) -> None:
    pid = sleepers[0]
    nvml.on("GPU-a", f"compute {pid} -", f"sample {pid} 0 40 0")
    assert GpuReader().use({"one": [pid]}) == {"one": own(6 * GIB, 0.4, memory_shared=True)}


@pytest.mark.parametrize("code", [NOT_SUPPORTED, NO_PERMISSION])
def test_time_that_the_driver_hides_is_the_cards_and_marked(
    nvml: World, sleepers: list[int], code: int
) -> None:
    pid = sleepers[0]
    nvml.on("GPU-a", f"compute {pid} 300", f"failing {UTILISATION} {code}")
    assert GpuReader().use({"one": [pid]}) == {
        "one": own(300, 0.6, encoder=0.07, utilisation_shared=True)
    }


def test_shares_that_cannot_be_are_unknown(nvml: World, sleepers: list[int]) -> None:
    one, two = sleepers
    nvml.on(
        "GPU-a",
        f"compute {one} 300",
        f"compute {two} 300",
        f"sample {one} 0 2147483632 0",
        f"sample {two} 0 2147483632 0",
        f"sample {two} -100 50 0",
    )
    found = GpuReader().use({"one": [one], "two": [two]})
    assert found["one"].utilisation is None
    assert found["two"].utilisation == 0.5
    assert not found["one"].utilisation_shared


def holding(path: Path) -> subprocess.Popen[bytes]:
    """A process with a file open."""
    code = f"import time; f = open({str(path)!r}); print(flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.fixture
def device() -> Iterator[Path]:
    """A device file of a card that this machine lacks."""
    path = Path("/dev/nvidia250")
    if os.geteuid() or path.exists():
        pytest.skip("a device file can't be made: not root, or it is there")
    path.touch()
    try:
        yield path
    finally:
        path.unlink()


def test_without_lists_a_replica_is_on_the_cards_it_has_open(
    nvml: World, device: Path, sleepers: list[int]
) -> None:
    refused = f"fail {COMPUTE} {NO_PERMISSION}\nfail {GRAPHICS} {NO_PERMISSION}\n"
    nvml.set(refused + nvml.text.replace("minor 1", "minor 250"))
    process = holding(device)
    try:
        found = GpuReader().use({"one": [process.pid], "two": sleepers[:1]})
        nvml.set(nvml.text + "  lost\n")
        lost = GpuReader().use({"one": [process.pid]})
    finally:
        process.kill()
        process.communicate()
    assert found == {
        "one": GpuUse(
            cards=(1,),
            memory=1 * GIB,
            memory_total=16 * GIB,
            utilisation=0.05,
            encoder=0.0,
            memory_shared=True,
            utilisation_shared=True,
        )
    }, "and one that has none open is on none"
    assert lost == {}, "a card that is lost is nobody's"


def test_one_list_is_enough(nvml: World, sleepers: list[int]) -> None:
    nvml.on("GPU-a", f"compute {sleepers[0]} 300", first=f"fail {GRAPHICS} {NOT_SUPPORTED}")
    assert GpuReader().use({"one": sleepers[:1]}) == {"one": own(300, 0.0)}


def test_another_users_process_could_be_on_any_card(nvml: World) -> None:
    if os.geteuid():
        pytest.skip("only root can start a process as another user and look as a third")
    nvml.set(f"fail {COMPUTE} {NO_PERMISSION}\nfail {GRAPHICS} {NO_PERMISSION}\n" + nvml.text)
    process = subprocess.Popen(["sleep", "600"], user=65534, group=65534, extra_groups=[])
    code = f"""
import os
from stack.telemetry.gpu import GpuReader
os.setgroups([]); os.setgid(65533); os.setuid(65533)
use = GpuReader().use({{"one": [{process.pid}]}})["one"]
print(use.cards, use.memory, use.memory_total, use.utilisation, use.memory_shared)
"""
    try:
        # Where everybody may read, unlike pytest's directories.
        with tempfile.TemporaryDirectory() as place:
            Path(place).chmod(0o755)
            for file in (nvml.library, nvml.script):
                shutil.copy(file, place)
            answer = subprocess.run(
                [sys.executable, "-c", code],
                env=World(
                    Path(place, nvml.library.name), Path(place, nvml.script.name)
                ).environment,
                capture_output=True,
                text=True,
                check=False,
            )
    finally:
        process.kill()
        process.wait()
    assert answer.stdout.strip() == f"(0, 1) {7 * GIB} {40 * GIB} 0.6 True", answer.stderr


def test_another_namespaces_ids_are_no_match(nvml: World) -> None:
    unshare = shutil.which("unshare")
    wrap = [unshare or "", "--pid", "--fork", "--mount-proc"]
    if unshare is None or subprocess.run([*wrap, "true"], check=False).returncode:
        pytest.skip("no namespace of process ids can be made here")
    code = """
import os
from stack.telemetry.gpu import GpuReader
print(os.getpid(), GpuReader().use({"one": [os.getpid()]}))
"""

    def look() -> str:
        answer = subprocess.run(
            [*wrap, sys.executable, "-c", code],
            env=nvml.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.strip()

    nvml.on("GPU-a", "compute 1 300")
    assert look().startswith("1 {'one': GpuUse(cards=(0,), memory=300"), "a driver that translates"
    nvml.on("GPU-a", "compute 1 300", "compute 4000000 500")
    assert look() == "1 {}", "the machine's process 1, not ours"


def test_mig_instances_tell_memory_and_no_utilisation(nvml: World, sleepers: list[int]) -> None:
    one, two = sleepers
    nvml.on(
        "GPU-a",
        "mig 1",
        f"instance {10 * GIB} {2 * GIB}",
        f"instance {5 * GIB} {3 * GIB}",
        f"compute {one} 300 0",
        f"compute {two} - 1",
        "failing nvmlDeviceGetUtilizationRates 3",
        "failing nvmlDeviceGetEncoderUtilization 3",
    )
    found = GpuReader().use({"one": [one], "two": [two]})
    nothing = {"cards": (0,), "utilisation": None}
    assert found["one"] == GpuUse(memory=300, memory_total=10 * GIB, **nothing)  # type: ignore[arg-type]
    assert found["two"] == GpuUse(
        memory=3 * GIB,
        memory_total=5 * GIB,
        memory_shared=True,
        **nothing,  # type: ignore[arg-type]
    ), "the instance's, which is all that can be told"


def test_an_older_driver_has_older_functions(nvml: World, sleepers: list[int]) -> None:
    nvml.on("GPU-a", f"compute {sleepers[0]} 300", first=f"fail {COMPUTE} 13\nfail {GRAPHICS} 13")
    # The stand-in has no second version of the lists: nothing can be told, and nothing breaks.
    assert GpuReader().use({"one": sleepers[:1]}) == {}
