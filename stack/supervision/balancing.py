"""What the supervisor does for the balancer: it runs, and sends sessions where it should."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx

from stack.balancer.config import Target
from stack.engine import StackError
from stack.status import ReplicaState
from stack.supervision.desired import Desired
from stack.supervision.judgement import BACKOFF_FIRST, backoff
from stack.supervision.runtime import BalancerRefusesError, Runtime
from stack.supervision.state import State


class BalancerCare:
    """Keeps one stack's balancer running and told."""

    def __init__(
        self,
        runtime: Runtime,
        state: State,
        event: Callable[..., Any],
        save: Callable[[], None],
    ) -> None:
        self._runtime = runtime
        self._state = state
        self._event = event
        self._save = save
        self._retry_at = 0.0
        self._refused = ""
        """Why the balancer did not take its last configuration."""

    def configure(self, desired: Desired) -> None:
        """Have new sessions go to the replicas that are ready. Blocking."""
        targets = tuple(
            Target(name=record.name, host=record.host, port=record.port)
            for record in self._state.replicas
            if record.state is ReplicaState.READY and record.port is not None
        )
        try:
            self._runtime.configure_balancer(desired, targets)
        except BalancerRefusesError as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self._event("balancer", self._refused, severity="error")
            return
        self._refused = ""
        self._note_strategy(desired)

    def _note_strategy(self, desired: Desired) -> None:
        strategy, before = desired.spec.balancer.strategy, self._state.balancer.strategy
        if before not in {None, strategy}:
            words = strategy.value.replace("_", " ")
            self._event("balancer", f"It chooses by {words} for new sessions from now on.")
        self._state.balancer.strategy = strategy

    async def look(self, client: httpx.AsyncClient, desired: Desired) -> None:
        """Tell the balancer of a drain before the replica hears of it, of a warm one at once."""
        record = self._state.balancer
        now = time.monotonic()
        if record.part is not None and not await asyncio.to_thread(self._runtime.runs, record.part):
            record.part, record.alive = None, False
            record.restarts += 1
            self._retry_at = now + BACKOFF_FIRST
            detail = await asyncio.to_thread(self._runtime.last_words, "balancer")
            self._event("balancer", f"It died and is started again. {detail}", severity="error")
        await asyncio.to_thread(self.configure, desired)
        if record.part is None and now >= self._retry_at:
            try:
                running = await asyncio.to_thread(self._runtime.start_balancer, desired)
            except StackError as error:
                record.restarts += 1
                self._retry_at = now + backoff(record.restarts)
                self._event("balancer", f"It can't be started: {error}", severity="error")
                return
            record.part = running.part
            await asyncio.to_thread(self._save)
        if record.part is not None:
            said = await self._runtime.targets(client, desired)
            record.alive, record.targets = said is not None, said or ()
