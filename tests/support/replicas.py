"""Real replicas with the offline model, without a stack around them."""

import contextlib
import subprocess
from collections.abc import AsyncIterator

import httpx

from stack.process.parts import free_port, replica_command
from stack.spec import StackSpec
from stack.telemetry.sampler import Source
from support.stacks import eventually


@contextlib.asynccontextmanager
async def replica(name: str) -> AsyncIterator[tuple[subprocess.Popen[bytes], Source]]:
    """Run a real replica with the offline model until the end of the test."""
    port = free_port()
    command = replica_command(StackSpec(), name, port)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    source = Source(name, (process.pid,), f"127.0.0.1:{port}")

    def ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.get(f"http://{source.address}/ready", trust_env=False)
            return answer.status_code == httpx.codes.OK
        return False

    try:
        await eventually(ready, f"{name} is ready")
        yield process, source
    finally:
        process.kill()
        process.wait()
