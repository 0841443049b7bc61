"""What is checked before anything is started: model, port, memory."""

import socket
from pathlib import Path
from typing import Final

import psutil

from stack.engine import StackError

_MIB: Final = 2**20
OFFLINE_REPLICA: Final = 220 * _MIB
"""Resident bytes of a replica with the offline model under load, measured: 160 to 200 MiB."""
RUNTIME: Final = 400 * _MIB
"""What a replica needs beside a larger model's weights: interpreter, libraries, activations."""

_WEIGHTS: Final = {
    "tiny": 78,
    "base": 148,
    "small": 488,
    "medium": 1530,
    "large": 3090,
    "turbo": 1620,
    "distil-large": 1520,
    "distil-medium": 790,
    "distil-small": 340,
}
"""MiB of the float16 weights of the known sizes, by the beginning of their names."""


def check_model(model: str) -> str:
    """Return the model, a directory as an absolute path; raises StackError when it holds none.

    Sizes and hub ids can only be judged by loading them, which the replica does.
    """
    path = Path(model)
    named = path.is_absolute() or model.startswith((".", "~"))
    if not named and not ("/" in model and path.is_dir()):
        return model
    if not path.expanduser().is_dir():
        raise StackError(
            f"Model directory {model} is missing; name one that holds a CTranslate2 model, "
            "a Whisper size, or 'offline'."
        )
    if not (path.expanduser() / "model.bin").is_file():
        raise StackError(
            f"Model directory {model} holds no model.bin; convert the model with "
            "'ct2-transformers-converter' first."
        )
    return str(path.expanduser().resolve())


def replica_memory(model: str) -> int | None:
    """Estimate the bytes of memory that one replica of this model takes; None when unknown."""
    if model == "offline":
        return OFFLINE_REPLICA
    weights = Path(model).expanduser() / "model.bin"
    if weights.is_file():
        return RUNTIME + weights.stat().st_size
    known = [name for name in _WEIGHTS if model.startswith(name)]
    if not known:
        return None
    return RUNTIME + _WEIGHTS[max(known, key=len)] * _MIB


def check_memory(model: str, replicas: int) -> None:
    """Raise StackError when so many more replicas don't fit into the memory that is free."""
    each = replica_memory(model)
    if each is None or replicas <= 0:
        return
    free = psutil.virtual_memory().available
    fitting = free // each
    if replicas > fitting:
        raise StackError(
            f"{replicas} more replicas with model '{model}' need about "
            f"{replicas * each / 2**30:.1f} GiB of memory and {free / 2**30:.1f} GiB are free; "
            f"ask for {fitting} at most."
        )


def check_port(host: str, port: int) -> int:
    """Return the port to listen on, a free one for 0; raises StackError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return int(probe.getsockname()[1])
        except OSError as error:
            reason = f"is taken{_holder(port)}" if port else "can't be opened"
            raise StackError(
                f"Port {port} on {host} {reason} ({error.strerror}); "
                "choose another with --port, or 0 for a free one."
            ) from None


def _holder(port: int) -> str:
    """Name the process that listens on a port, where that can be seen."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            listening = connection.status == psutil.CONN_LISTEN
            if listening and connection.laddr and connection.laddr.port == port and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return ""
