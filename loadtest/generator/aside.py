"""What a generator does beside sending: one thread that takes one thing after another."""

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any


class Aside:
    """Works off what it is given, in order.

    A thread pool's futures and locks cost as much as what they would be for here.
    """

    def __init__(self, failed: Callable[[], None]) -> None:
        """``failed`` is called, in the thread, when something raised for the first time."""
        self._tasks: SimpleQueue[tuple[Callable[..., None], Any] | None] = SimpleQueue()
        self._failed = failed
        self._error: Exception | None = None
        self._thread = Thread(target=self._work, name="aside", daemon=True)
        self._thread.start()

    def do(self, function: Callable[[Any], None], argument: Any) -> None:
        """Call a function with its argument when its turn has come; returns at once."""
        self._tasks.put((function, argument))

    async def finish(self) -> None:
        """Wait until all is done; raises what was raised first."""
        self._tasks.put(None)
        await asyncio.to_thread(self._thread.join)
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            function, argument = task
            try:
                function(argument)
            except Exception as error:
                if self._error is None:
                    self._error = error
                    self._failed()
