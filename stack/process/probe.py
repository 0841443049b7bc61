"""What replicas and the balancer say about themselves over HTTP."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class ReplicaAnswer:
    """One look at a replica."""

    answered: bool = False
    ready: bool = False
    sessions: int | None = None
    draining: bool = False


def local_client(timeout: float = 1.5) -> httpx.AsyncClient:
    """Return a client for this machine's own ports: no proxy, no long waits."""
    return httpx.AsyncClient(timeout=timeout, trust_env=False)


def url(address: str, path: str) -> str:
    """Return the URL of a path at ``host:port``."""
    return f"http://{address}{path}"


async def _json(client: httpx.AsyncClient, address: str, path: str) -> dict[str, Any] | None:
    with contextlib.suppress(httpx.HTTPError, ValueError, OSError):
        response = await client.get(url(address, path))
        content = response.json()
        if response.is_success and isinstance(content, dict):
            return content
    return None


async def _ready(client: httpx.AsyncClient, address: str) -> bool | None:
    try:
        return (await client.get(url(address, "/ready"))).status_code == 200
    except (httpx.HTTPError, OSError):
        return None


async def ask_replica(client: httpx.AsyncClient, address: str) -> ReplicaAnswer:
    """Ask a replica whether it is ready and how many sessions it has."""
    ready, status = await asyncio.gather(_ready(client, address), _json(client, address, "/status"))
    sessions = (status or {}).get("sessions")
    return ReplicaAnswer(
        answered=ready is not None,
        ready=bool(ready),
        sessions=sessions if isinstance(sessions, int) else None,
        draining=(status or {}).get("state") == "draining",
    )


async def ask_drain(client: httpx.AsyncClient, address: str) -> bool:
    """Tell a replica to take no new session; returns whether it heard."""
    try:
        return (await client.post(url(address, "/drain"))).is_success
    except (httpx.HTTPError, OSError):
        return False


async def ask_balancer(client: httpx.AsyncClient, address: str) -> dict[str, int] | None:
    """Return the open connections per replica; None when the balancer does not answer."""
    status = await _json(client, address, "/balancer/status")
    try:
        return {str(each["name"]): int(each["open"]) for each in (status or {})["replicas"]}
    except (KeyError, TypeError, ValueError):
        return None
