"""Asking the parts themselves, where no supervisor does."""

import asyncio

import httpx

from stack.status import ReplicaState
from stack.supervision.desired import Desired
from stack.supervision.judgement import said_state
from stack.supervision.runtime import Runtime
from stack.supervision.state import ReplicaRecord, State

_TIMEOUT = 1.0


async def ask_unwatched(runtime: Runtime, desired: Desired, state: State) -> None:
    """Bring the states in ``state`` up to date; what does not answer stays as it was last seen."""
    async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False) as client:

        async def ask(record: ReplicaRecord) -> None:
            if not runtime.runs(record.part):
                if record.state is not ReplicaState.STARTING:
                    record.state = ReplicaState.DEAD
                return
            answer = await runtime.ask(client, record, desired)
            if answer is not None:
                record.state = said_state(answer)

        async def ask_balancer() -> None:
            targets = None
            if runtime.runs(state.balancer.part):
                targets = await runtime.targets(client, desired)
            state.balancer.alive, state.balancer.targets = targets is not None, targets or ()

        await asyncio.gather(ask_balancer(), *(ask(record) for record in state.replicas))
