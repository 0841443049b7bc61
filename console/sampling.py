"""What the console looks at once a second: the replicas' figures and the machine's cards."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal

from console.rendering.cards import card_happenings
from stack.engine import Engine, StackError
from stack.status import GpuSample, ReplicaSample

Severity = Literal["information", "warning", "error"]


class Sampling:
    """Asks, and says what is new: figures that can't be had are unknown, and said so once."""

    def __init__(
        self,
        engine: Engine,
        cards: Callable[[], tuple[GpuSample, ...]],
        say: Callable[[str, str, Severity], None],
    ) -> None:
        self._engine = engine
        self._look = cards
        self._say = say
        self._cards: tuple[GpuSample, ...] = ()
        self._failed = False

    async def read(
        self, *, stack: bool
    ) -> tuple[Mapping[str, ReplicaSample], tuple[GpuSample, ...]]:
        """Return the figures of now; none of replicas where there is no ``stack``."""
        samples, cards = await asyncio.gather(
            self._replicas() if stack else _nothing(), asyncio.to_thread(self._look)
        )
        for subject, text, bad in card_happenings(self._cards, cards):
            self._say(subject, text, "warning" if bad else "information")
        self._cards = cards
        return samples, cards

    async def _replicas(self) -> Mapping[str, ReplicaSample]:
        try:
            samples = await self._engine.stats()
        except StackError as error:
            if not self._failed:
                self._say("stack", f"No figures: {error}", "warning")
            self._failed = True
            return {}
        self._failed = False
        return samples


async def _nothing() -> Mapping[str, ReplicaSample]:
    return {}
