"""What a replica, or a balancer, says of itself over HTTP."""

import asyncio
import json
from typing import Any, Final

import httpx

MAX_ANSWER: Final = 256 * 1024
"""Bytes of an answer that are read; a longer one is none."""
_PATIENCE: Final = 5.0
"""Seconds for a whole answer, however slowly it drips: a client's own limit is for each part."""
_HEADERS: Final = {"Accept-Encoding": "identity"}
"""What is not packed can't be unpacked into more than was read."""


async def fetch(client: httpx.AsyncClient, url: str, patience: float = _PATIENCE) -> bytes | None:
    """Return the body of a 200 answer, bounded in size and time; None: nothing usable."""
    try:
        async with (
            asyncio.timeout(patience),
            client.stream("GET", url, headers=_HEADERS) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                return None
            body = bytearray()
            async for block in answer.aiter_raw():
                body += block
                if len(body) > MAX_ANSWER:
                    return None
            return bytes(body)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError):
        return None


async def fetch_json(
    client: httpx.AsyncClient, url: str, patience: float = _PATIENCE
) -> dict[str, Any] | None:
    """Return the JSON object that is answered; None: nothing usable."""
    body = await fetch(client, url, patience)
    try:
        answer = json.loads(body) if body is not None else None
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


async def ask_status(
    client: httpx.AsyncClient, address: str | None, patience: float = _PATIENCE
) -> dict[str, Any] | None:
    """Return what a replica of ours answers to ``/status``; None: nothing usable."""
    return await fetch_json(client, f"http://{address}/status", patience) if address else None


async def ask_targets(client: httpx.AsyncClient, url: str) -> tuple[str, ...] | None:
    """Return the replicas that a balancer names under ``targets``; None: nothing usable."""
    try:
        return tuple(((await fetch_json(client, url)) or {})["targets"])
    except (KeyError, TypeError):
        return None
