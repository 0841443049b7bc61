"""The second hearing: a session's whole audio once more, for the best text.

It goes on beside the session, a whole window at a time and after everything live, so that at the
end only the last window is left to hear.
"""

import asyncio
from typing import Final

from stack.protocol import Segment, SessionOptions
from stack.replica.scheduler import Priority, Scheduler
from stack.replica.terms import Terms
from stack.replica.voice import Samples

MOST_WAITING: Final = 120.0
"""Seconds of audio that may wait for it, 64 kB each; a replica too busy for it gives it up."""


class SecondHearing:
    """One session's audio, heard by the accurate settings behind the live sessions."""

    def __init__(self, terms: Terms, options: SessionOptions, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._session = terms.session(options, accurate=True)
        self._segments: list[Segment] = []
        self._progress = asyncio.Event()
        self._entry = scheduler.add(
            self._session,
            self._on_progress,
            priority=Priority.BATCH,
            min_chunk=terms.window,
        )
        self.given_up = False
        """There was too little time for it, or it failed: there is no second text."""

    def _on_progress(self) -> None:
        self._segments.extend(self._session.transcript.take_completed())
        if self._entry.failure is not None:
            self._give_up()
        self._progress.set()

    def _give_up(self) -> None:
        self.given_up = True
        self.close()

    def add(self, samples: Samples, now: float) -> None:
        """Take in audio; ``now`` as for ``Session.add``."""
        if self.given_up:
            return
        self._session.add(samples, now)
        if self._session.unheard > MOST_WAITING:
            self._give_up()
        else:
            self._scheduler.notify(self._entry)

    async def segments(self) -> list[Segment] | None:
        """Hear the rest and give all segments; None when it was given up."""
        self._session.finish()
        # The client waits for it now.
        self._entry.priority = Priority.LIVE
        self._scheduler.notify(self._entry)
        while not self._session.finished and not self.given_up:
            self._progress.clear()
            await self._progress.wait()
        self._on_progress()
        return None if self.given_up else self._segments

    def close(self) -> None:
        """Forget it."""
        self._scheduler.remove(self._entry)
