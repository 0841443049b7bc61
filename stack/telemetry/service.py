"""What a replica, or a balancer, says of itself over HTTP."""

from typing import Any

import httpx


async def ask_status(client: httpx.AsyncClient, address: str | None) -> dict[str, Any] | None:
    """Return what a replica of ours answers to ``/status``; None: nothing usable."""
    if address is None:
        return None
    try:
        answer = (await client.get(f"http://{address}/status")).json()
    except (httpx.HTTPError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


async def ask_targets(client: httpx.AsyncClient, url: str) -> tuple[str, ...] | None:
    """Return the replicas that a balancer names under ``targets``; None: nothing usable."""
    try:
        return tuple((await client.get(url)).json()["targets"])
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None
