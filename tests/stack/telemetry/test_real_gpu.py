"""On a machine with a GPU: processes of known memory, beside what nvidia-smi says of them."""

import contextlib
import ctypes
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from stack.telemetry.gpu import GpuReader

MIB = 2**20
HOLD = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
for code in (
    cuda.cuInit(0),
    cuda.cuDeviceGet(ctypes.byref(device), 0),
    cuda.cuCtxCreate_v2(ctypes.byref(context), 0, device),
    cuda.cuMemAlloc_v2(ctypes.byref(memory), ctypes.c_size_t(int(sys.argv[1]))),
):
    if code:
        sys.exit(f"CUDA driver error {code}")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(size: int) -> Iterator[int]:
    """A process that holds so many bytes of the first card; yields its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(size)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != "held":
            pytest.skip(f"no CUDA device can be used: {process.communicate()[1].strip()}")
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def told_by_nvidia_smi() -> dict[int, int]:
    """Bytes by process id."""
    query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]
    told = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    rows = (line.split(",") for line in told.splitlines() if line.strip())
    return {int(pid): int(used) * MIB for pid, used in rows if used.strip().isdigit()}


def test_two_processes_of_known_memory() -> None:
    if shutil.which("nvidia-smi") is None:
        pytest.skip("no GPU here: there is no nvidia-smi")
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        pytest.skip(f"no CUDA driver here: {error}")
    with holding(256 * MIB) as small, holding(1024 * MIB) as large:
        told = told_by_nvidia_smi()
        if not {small, large} <= told.keys():
            pytest.skip("the driver does not tell these processes apart (MIG, WSL or a container)")
        reader = GpuReader()
        reader.inventory()  # waits for the driver to wake the cards
        found = reader.use({"small": [small], "large": [large]})
        one, two = found["small"], found["large"]
        assert one.memory is not None
        assert two.memory is not None
        assert not one.memory_shared
        # What a CUDA context takes comes on top, the same for both; nvidia-smi rounds to MiB.
        assert one.memory >= 256 * MIB
        assert two.memory - one.memory == pytest.approx(768 * MIB, abs=4 * MIB)
        assert one.memory == pytest.approx(told[small], abs=MIB)
        assert two.memory == pytest.approx(told[large], abs=MIB)
        assert one.cards == two.cards
        assert one.memory_total == reader.devices()[one.cards[0]].memory
        card = next(card for card in reader.cards() if card.index == one.cards[0])
        assert card.memory_used is not None
        assert card.memory_used >= one.memory + two.memory
        assert card.temperature is not None
