"""``python -m loadtest.generator``: one JSON order on stdin, newline-delimited events on stdout.

First the order is prepared (audio read and encoded) and ``shard_ready`` reported; then a line
``start T`` on stdin begins the step at T on the machine's monotonic clock, the same for all shards.
A line ``watch {…}`` says what is to be shown of the sessions (``loadtest.watching``); one that is
no such order changes nothing. Any other line, SIGINT or SIGTERM ends it in order; so does the end
of stdin (the controller is gone): no load outlives whoever asked for it.
"""

import asyncio
import signal
import sys

import uvloop

from loadtest.generator.shard import Shard
from loadtest.plan import StepOrder
from loadtest.watching import WATCH_WORD, read_watch


async def _run() -> int:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=256 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    order = StepOrder.model_validate_json(await reader.readline())
    shard = Shard(order, sys.stdout.buffer)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, shard.stop)

    async def obey() -> None:
        while (line := await reader.readline()).startswith(WATCH_WORD):
            if (order := read_watch(line)) is not None:
                shard.view.watch(order)
        shard.stop()  # "stop" and the end of the pipe mean the same

    start = (await reader.readline()).split()
    if len(start) != 2 or start[0] != b"start":
        return 0
    obeying = asyncio.create_task(obey())
    try:
        await shard.run(float(start[1]))
    except BrokenPipeError:
        return 1
    finally:
        obeying.cancel()
    return 0


if __name__ == "__main__":
    # Its event loop takes about half of the CPU time that asyncio's own takes for a message.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.exit(runner.run(_run()))
