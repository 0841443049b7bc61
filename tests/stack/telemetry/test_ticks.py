"""Samples come in time whatever hangs: replicas that are stopped, ports that never answer."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from support.ticks import LONGEST, ticked

from stack.process.parts import free_port, replica_command
from stack.spec import StackSpec
from stack.status import ReplicaSample
from stack.telemetry.sampler import Sampler, Source

pytestmark = pytest.mark.timeout(120)


@contextlib.asynccontextmanager
async def replica(name: str) -> AsyncIterator[tuple[subprocess.Popen[bytes], Source]]:
    """Run a real replica with the offline model until the end of the test."""
    port = free_port()
    command = replica_command(StackSpec(), name, port)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    source = Source(name, (process.pid,), f"127.0.0.1:{port}")
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            end = time.monotonic() + 60
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"http://{source.address}/ready")).status_code == 200:
                        break
                assert time.monotonic() < end, "not ready in time"
                await asyncio.sleep(0.1)
        yield process, source
    finally:
        process.kill()
        process.wait()


def whole(sample: ReplicaSample) -> bool:
    return (
        not sample.missing
        and sample.sessions == 0
        and None not in (sample.cpu, sample.memory, sample.queue_depth, sample.rejected_total)
    )


async def test_a_stopped_replica_and_a_silent_port_delay_nobody() -> None:
    silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    mute = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    async with silent, replica("replica-1") as (_, well), replica("replica-2") as (stopped, ill):
        sampler = Sampler()
        sources = [
            well,
            ill,
            Source("replica-3", (), mute),
            Source("replica-4", (2**22 + 1,), None),
        ]
        before = await sampler.sample(sources)
        assert whole(before["replica-1"])
        assert whole(before["replica-2"])
        stopped.send_signal(signal.SIGSTOP)
        rows, seconds = await ticked(lambda: sampler.sample(sources))
        stopped.send_signal(signal.SIGCONT)
        assert len(rows) >= 10
        assert max(seconds) < LONGEST, seconds
        for row in rows:
            assert whole(row["replica-1"])
            assert row["replica-2"].missing == ("service",)
            assert row["replica-2"].memory, "the kernel still tells of it"
            assert row["replica-2"].sessions is None
            assert row["replica-2"].stage_seconds is None
            assert row["replica-3"].missing == ("service",)
            assert row["replica-4"].missing == ("process",)
        assert rows[-1]["replica-2"].cpu == 0.0
        end = time.monotonic() + 30
        while not whole((await sampler.sample(sources))["replica-2"]):
            assert time.monotonic() < end, "it is back"
            await asyncio.sleep(0.1)
        await sampler.close()


async def test_connections_stay_open_from_one_sample_to_the_next() -> None:
    opened = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"sessions": 1}')
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        source = Source("replica-1", (), f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        sampler = Sampler()
        for _ in range(5):
            assert (await sampler.sample([source]))["replica-1"].sessions == 1
        assert opened == 1
        await sampler.close()


async def test_two_who_ask_at_once_both_get_their_figures() -> None:
    async with replica("replica-1") as (_, source):
        sampler = Sampler()
        await sampler.sample([source])
        for both in await asyncio.gather(*(sampler.sample([source]) for _ in range(4))):
            assert whole(both["replica-1"])
        await sampler.close()
