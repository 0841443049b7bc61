"""What a replica that starts is doing, for whoever waits for it."""

from contextlib import suppress
from pathlib import Path
from typing import Final

LOADING: Final = "loading the model"
WARMING: Final = "warming up"
_MIB: Final = 2**20


def doing(stage: str, model: str) -> str:
    """Say what goes on; while a model is fetched how much of it has come. Blocking."""
    if stage != LOADING or Path(model).is_dir():
        return stage
    fetched = fetched_bytes(_cache())
    if fetched is None:
        return stage
    return f"downloading the model, {fetched / _MIB:.0f} MiB so far"


def fetched_bytes(cache: Path) -> int | None:
    """Return the bytes that are here of what is being downloaded; None: nothing is.

    ``cache`` is Hugging Face's, where a file that isn't whole yet is called ``….incomplete``.
    """
    busy = {path.parent for path in cache.glob("models--*/blobs/*.incomplete")}
    if not busy:
        return None
    total = 0
    for path in (path for blobs in busy for path in blobs.iterdir()):
        with suppress(OSError):  # it has just become whole
            total += path.stat().st_size
    return total


def _cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415 - takes a while to load

    return Path(HF_HUB_CACHE)
