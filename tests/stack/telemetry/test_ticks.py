"""Samples come in time whatever hangs: replicas that are stopped, ports that never answer."""

import asyncio
import contextlib
import signal
import time

import pytest
from support.listening import listening
from support.replicas import replica
from support.ticks import LONGEST, ticked

from stack.status import ReplicaSample
from stack.telemetry.sampler import Sampler, Source

pytestmark = pytest.mark.timeout(120)


def whole(sample: ReplicaSample) -> bool:
    return (
        not sample.missing
        and sample.sessions == 0
        and None not in (sample.cpu, sample.memory, sample.queue_depth, sample.rejected_total)
    )


async def test_a_stopped_replica_and_a_silent_port_delay_nobody() -> None:
    async with (
        listening() as mute,
        replica("replica-1") as (_, well),
        replica("replica-2") as (stopped, ill),
    ):
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

    async with listening(answer) as address:
        source = Source("replica-1", (), address)
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
