"""``python -m benchmarks.streams.sink``: the calibration's sink, which also tells what came when.

Its first line of output is ``{"port": N}``. When its input ends, a last line says what it injected
and heard: see ``Heard``.
"""

import asyncio
import gc
import sys
import time

from pydantic import BaseModel

from loadtest.calibration.sink import Sink, serving

_INTERVAL = 0.02


class Started(BaseModel):
    """The first line."""

    port: int


class Moment(BaseModel):
    """What had come until a moment."""

    time: float
    """Monotonic seconds."""
    audio: int
    """Bytes."""
    begun: int
    """Sessions that were let in."""
    ended: int
    """Sessions that said END_OF_AUDIO."""


class Heard(BaseModel):
    """The last line."""

    injected: list[float]
    """Seconds that it really took to answer."""
    late: list[float]
    """What of them it had not been asked to take."""
    moments: list[Moment]
    """A row every 20 ms."""


async def _note(sink: Sink, moments: list[Moment]) -> None:
    while True:
        moments.append(
            Moment(
                time=time.monotonic(),
                audio=sum(sink.received.values()),
                begun=len(sink.received),
                ended=len(sink.ended),
            )
        )
        await asyncio.sleep(_INTERVAL)


async def _serve() -> None:
    moments: list[Moment] = []
    async with serving(Sink()) as sink:
        print(Started(port=sink.port).model_dump_json(), flush=True)
        # A collection in the middle of a measurement would make every answer late at once.
        gc.collect()
        gc.freeze()
        gc.disable()
        noting = asyncio.create_task(_note(sink, moments))
        await asyncio.to_thread(sys.stdin.read)
        noting.cancel()
    heard = Heard(injected=sink.injected, late=sink.late, moments=moments)
    print(heard.model_dump_json(), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
