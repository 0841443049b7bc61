"""What a model runs on: device, compute type, threads and batch, chosen from what is there."""

import ctypes
import os
from dataclasses import dataclass
from typing import Final

COMPUTE_TYPES: Final = {
    "cuda": ("int8_float16", "float16", "int8_bfloat16", "bfloat16", "int8_float32", "float32"),
    "cpu": ("int8", "int8_float32", "float32"),
}
"""In order of preference. Weights of 8 bits halve the memory of a model such as large-v3-turbo; its
activations stay at 16 bits on cards that are fast at them."""

CPU_FITTED_BATCH: Final = 4
"""Measured, see docs/replica.md: from there on a call gets longer and a pass no cheaper."""

CPU_FULL_BATCH: Final = 1
"""A core encodes padded windows no faster together than one by one; all would wait for the last."""

CUDA_BATCH: Final = 16
"""Not measured yet: no card was at hand."""


class DeviceUnavailableError(Exception):
    """The device asked for is not there; the text says so in a sentence for people."""


@dataclass(frozen=True)
class Hardware:
    """What was chosen."""

    device: str
    compute_type: str
    max_batch: int


def choose(device: str, compute_type: str, *, fitted: bool) -> Hardware:
    """Choose for ``auto``, ``cpu`` or ``cuda`` and a CTranslate2 compute type or ``auto``.

    ``fitted``: the encoder gets windows as long as the audio. Raises DeviceUnavailableError.
    """
    import ctranslate2  # noqa: PLC0415 - slow to import

    cards = ctranslate2.get_cuda_device_count()
    if device == "cuda" and not cards:
        raise DeviceUnavailableError(
            "No CUDA device can be used here; give --device cpu, or check the driver with "
            "nvidia-smi."
        )
    if device == "auto":
        device = "cuda" if cards else "cpu"
    if compute_type == "auto":
        supported = ctranslate2.get_supported_compute_types(device)
        usable = [one for one in COMPUTE_TYPES[device] if one in supported]
        compute_type = usable[0] if usable else "default"
    batch = CPU_FITTED_BATCH if fitted else CPU_FULL_BATCH
    return Hardware(device, compute_type, CUDA_BATCH if device == "cuda" else batch)


def calm_libraries(threads: int) -> None:
    """Keep the numeric libraries to their threads; call it before they are imported.

    NumPy's BLAS starts a thread a core, and they spin after each product: measured, that doubles
    the CPU time of a replica and takes the cores from the others.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", str(threads))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def give_back_memory() -> bool:
    """Return the heap's free pages to the system; False where the C library can't.

    glibc keeps what was ever needed at once. (Having it take each large block from the system
    instead, M_MMAP_THRESHOLD in mallopt(3), was tried: every activation of the model is such a
    block, and the page faults cost more than the model.)
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return False
    trim(0)
    return True
