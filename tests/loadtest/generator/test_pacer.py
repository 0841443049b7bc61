"""The pacer sends what is due, when it is due, and doesn't turn for nothing."""

import asyncio
import time
from array import array
from typing import cast

import pytest
import uvloop

from loadtest.generator.connection import Connection
from loadtest.generator.pacer import Pacer, Sender
from loadtest.measurement import SessionMeasurement

CHUNK = 0.02


class Wire:
    """Takes frames and notes when; what a sender needs of a connection."""

    def __init__(self) -> None:
        self.open_for_audio = True
        self.paused = None
        self.sent: list[tuple[bytes, float]] = []

    def send_frame(self, frame: bytes) -> None:
        self.sent.append((frame, time.monotonic()))


def sender_of(wire: Wire, first_send: float, count: int, frames: list[bytes]) -> Sender:
    measured = SessionMeasurement(first_send=first_send, chunk=CHUNK, chunks=count)
    connection = cast("Connection", wire)
    return Sender(connection, frames, measured, slip=array("d"), lateness=array("d"))


class CountingPacer(Pacer):
    turns = 0

    def _turn(self) -> None:
        self.turns += 1
        super()._turn()


async def play_all() -> tuple[CountingPacer, list[Wire], list[float]]:
    pacer = CountingPacer()
    wires = [Wire() for _ in range(20)]
    frames = [bytes([index]) for index in range(25)]
    now = time.monotonic()
    # Not in the order of their moments: the pacer has to find it.
    starts = [now + (index * 7 % 20) * CHUNK / 20 for index in range(20)]
    senders = [
        sender_of(wire, start, len(frames), frames)
        for wire, start in zip(wires, starts, strict=True)
    ]
    for sender, wire in zip(senders, wires, strict=True):
        pacer.play(sender, cast("Connection", wire))
    async with asyncio.timeout(60):
        await asyncio.gather(*(sender.done for sender in senders))
    return pacer, wires, starts


@pytest.mark.parametrize("factory", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_all_is_sent_in_order_never_early_and_in_few_turns(factory) -> None:  # type: ignore[no-untyped-def]
    with asyncio.Runner(loop_factory=factory) as runner:
        pacer, wires, starts = runner.run(play_all())
    for wire, start in zip(wires, starts, strict=True):
        assert [frame[0] for frame, _ in wire.sent] == list(range(25))
        for index, (_, moment) in enumerate(wire.sent):
            assert moment >= start + index * CHUNK
    # One turn sends at least one message; a few may find that theirs has been sent.
    assert pacer.turns <= 1.2 * sum(len(wire.sent) for wire in wires)


async def test_a_blocked_sender_waits_and_goes_on() -> None:
    pacer, wire = Pacer(), Wire()
    frames = [bytes([index]) for index in range(5)]
    sender = sender_of(wire, time.monotonic(), len(frames), frames)
    pacer.play(sender, cast("Connection", wire))
    paused = wire.paused
    assert paused is not None
    paused(True)
    other = Wire()
    second = sender_of(other, time.monotonic(), len(frames), frames)
    pacer.play(second, cast("Connection", other))
    async with asyncio.timeout(30):
        await second.done
    assert not sender.done.done()
    paused(False)
    async with asyncio.timeout(30):
        await sender.done
    assert [frame[0] for frame, _ in wire.sent] == list(range(5))
