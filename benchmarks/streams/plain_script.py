"""The script that people write: one asyncio task a client, websockets' own client.

``python -m benchmarks.streams.plain_script ORDER``. It differs from what is usually written in two
points: each message waits for a moment of a fixed schedule instead of sleeping a chunk's length
after the one before, so that it can be late but doesn't slow down; and it notes how late it was.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK

from benchmarks.streams.peer import END_OF_AUDIO, LEAD, Order, Record, Session


async def receive(connection: ClientConnection, session: Session) -> None:
    """Take in answers until the server closes in order."""
    try:
        while True:
            session.heard(await connection.recv(), time.monotonic())
    except ConnectionClosedOK:
        return


async def speak(record: Record, client: int, begin: float) -> None:
    """Play one session from the monotonic second ``begin`` on."""
    order = record.order
    await asyncio.sleep(begin + order.start_of(client) - time.monotonic())
    try:
        async with connect(order.url, open_timeout=order.timeout) as connection:
            await connection.send(order.options())
            answer = json.loads(await connection.recv())
            if answer.get("message") != "SERVER_READY":
                record.failed(f"answered {answer}")
                return
            first_send = time.monotonic()
            session = Session(record, first_send)
            receiving = asyncio.create_task(receive(connection, session))
            for index, message in enumerate(order.streams[client]):
                due = first_send + index * order.chunk
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                record.slip.append(time.monotonic() - due)
                await connection.send(message)
            await connection.send(END_OF_AUDIO)
            await asyncio.wait_for(receiving, order.timeout)
    except Exception as error:
        record.failed(type(error).__name__)
    else:
        if session.has_text:
            record.succeeded += 1
        else:
            record.failed("no text")


async def _run(order: Order) -> None:
    record = Record(order)
    begin = time.monotonic() + LEAD
    await asyncio.gather(*(speak(record, client, begin) for client in range(len(order.streams))))
    record.write()


if __name__ == "__main__":
    asyncio.run(_run(Order(Path(sys.argv[1]))))
