"""What a replica that starts is doing, for whoever waits for it."""

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
    return f"downloading the model, {fetched / _MIB:.0f} MiB of its current files so far"


def fetched_bytes(cache: Path) -> int | None:
    """Return the bytes of what is being downloaded into Hugging Face's cache; None: nothing is."""
    sizes = []
    for path in cache.glob("models--*/blobs/*.incomplete"):
        try:
            sizes.append(path.stat().st_size)
        except OSError:
            continue  # it is whole now
    return sum(sizes) if sizes else None


def _cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415 - takes a while to load

    return Path(HF_HUB_CACHE)
