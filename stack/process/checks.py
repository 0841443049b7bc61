"""What is checked before anything is started, each failure one sentence."""

import socket
from pathlib import Path
from typing import Final

import psutil

from stack.engine import StackError
from stack.offline import MODEL_DIRECTORY
from stack.spec import ReplicaSpec, StackSpec

MEBIBYTE: Final = 1024 * 1024

BASE_MEMORY: Final = 170 * MEBIBYTE
"""Resident memory of a replica without its model: Python, CTranslate2, the web server."""

MODEL_MEMORY: Final = {
    "tiny": 160,
    "base": 300,
    "small": 1000,
    "medium": 3100,
    "large": 6200,
    "turbo": 3300,
    "distil-small": 700,
    "distil-medium": 1600,
    "distil-large": 3100,
}
"""Mebibytes a model takes as float32 on a CPU; half of it as float16, a quarter as int8."""

_SHARE: Final = {"int8": 0.4, "float16": 0.6, "bfloat16": 0.6, "int16": 0.6}


def known_sizes() -> frozenset[str]:
    """Return the names of Whisper sizes that a replica takes."""
    base = {"tiny", "base", "small", "medium"}
    return frozenset(
        base
        | {f"{name}.en" for name in base}
        | {"large", "large-v1", "large-v2", "large-v3", "turbo", "large-v3-turbo"}
        | {"distil-small.en", "distil-medium.en", "distil-large-v2", "distil-large-v3"}
        | {"distil-large-v3.5"}
    )


def resolve_model(model: str) -> str:
    """Return the model as a replica takes it: directories absolute, names as they are.

    Raises StackError when it can't be a model.
    """
    if model == "offline":
        if not (MODEL_DIRECTORY / "model.bin").is_file():
            raise StackError(
                f"The offline model is missing from {MODEL_DIRECTORY}; install whisperctl again."
            )
        return model
    if model in known_sizes():
        return model
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "model.bin").is_file():
            raise StackError(
                f"The model directory {path} has no model.bin; give a directory with a model "
                "converted for CTranslate2."
            )
        return str(path.resolve())
    is_path = model.startswith((".", "/", "~")) or model.count("/") != 1 or path.exists()
    if is_path:
        raise StackError(
            f"There is no model '{model}'; give 'offline', a Whisper size such as 'small', "
            "a hub id such as 'Systran/faster-whisper-small', or a model's directory."
        )
    return model


def replica_memory(spec: ReplicaSpec) -> int:
    """Return about how many bytes of memory one replica takes."""
    model = "offline" if spec.model == "offline" else spec.model
    path = MODEL_DIRECTORY if model == "offline" else Path(model).expanduser()
    if (path / "model.bin").is_file():
        return BASE_MEMORY + int(1.5 * (path / "model.bin").stat().st_size)
    name = model.rpartition("/")[2].removeprefix("faster-whisper-").removeprefix("whisper-")
    if "turbo" in name:
        size = MODEL_MEMORY["turbo"]
    else:
        sizes = [key for key in MODEL_MEMORY if name.startswith(key)]
        size = MODEL_MEMORY[max(sizes, key=len)] if sizes else MODEL_MEMORY["small"]
    share = next((v for key, v in _SHARE.items() if spec.compute_type.startswith(key)), 0.6)
    return BASE_MEMORY + int(size * MEBIBYTE * share)


def check_memory(spec: StackSpec, more: int) -> None:
    """Raise StackError when ``more`` further replicas don't fit into the memory now available."""
    if more <= 0:
        return
    each = replica_memory(spec.replica)
    available = psutil.virtual_memory().available
    fitting = max(0, int(available * 0.95) // each)
    if more > fitting:
        raise StackError(
            f"{more} more replicas of model '{spec.replica.model}' need about "
            f"{_size(more * each)}, but {_size(available)} of memory is free; at most {fitting} "
            "more would fit."
        )


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"


def check_port(host: str, port: int) -> None:
    """Raise StackError when the balancer can't listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except PermissionError:
        raise StackError(f"Port {port} may be used by root only; choose one above 1023.") from None
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno != 98:
            raise StackError(
                f"The balancer can't listen on {host}:{port} ({error.strerror}); choose an "
                "address of this machine."
            ) from None
        holder = port_holder(port)
        by = f" by {holder}" if holder else ""
        raise StackError(
            f"Port {port} on {host} is in use{by}; end that or choose another port."
        ) from None


def port_holder(port: int) -> str:
    """Return ``name (pid)`` of the process that listens on a port; "" when it can't be seen."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr.port == port
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""
