"""A server's address as one line. Pure."""

from typing import Any, Final
from urllib.parse import urlsplit

from loadtest.plan import LoadPlan

HOW_TO_WRITE: Final = (
    "write it like ws://127.0.0.1:9090/ or wss://speech.example/live, without user name and query"
)


def read_url(url: str) -> dict[str, Any] | None:
    """Return ``host``, ``port``, ``path`` and ``tls`` of a plan; None for an address of no use."""
    try:
        parts = urlsplit(url)
        # Reading the port of 'ws://host:abc' raises.
        host = parts.hostname or ""
        port = (443 if parts.scheme == "wss" else 80) if parts.port is None else parts.port
    except ValueError:
        return None
    known = parts.scheme in {"ws", "wss"} and host and port
    if not known or parts.query or parts.fragment or parts.username:
        return None
    return {"host": host, "port": port, "path": parts.path or "/", "tls": parts.scheme == "wss"}


def url_of(plan: LoadPlan) -> str:
    """Return the address of a plan's server."""
    host = f"[{plan.host}]" if ":" in plan.host else plan.host
    return f"{'wss' if plan.tls else 'ws'}://{host}:{plan.port}{plan.path}"
