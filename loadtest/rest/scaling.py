"""Scales a running stack, measures each count of replicas, and puts the former count back."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Final

from loadtest.rest.events import RestEvent, RestNote
from loadtest.rest.plan import RestPlan
from loadtest.rest.suite import Suite
from loadtest.rest.summary import conclude_scaling, efficiency
from loadtest.shards import LoadError
from loadtest.target import TargetFacts
from loadtest.verdict import replicas_text
from stack.engine import Engine, StackError
from stack.spec import StackSpec, Strategy
from stack.status import ReplicaState, StackState, StackStatus

SCALE_TIMEOUT: Final = 600.0
"""Seconds for replicas to load their model and warm up."""
_LOOK_INTERVAL: Final = 0.2
_ONE_REPLICA_A_CLIENT: Final = frozenset({Strategy.IP_HASH, Strategy.CONSISTENT_HASH})


def measurable(status: StackStatus) -> StackSpec:
    """Return the spec of a stack whose scaling can be measured; raises LoadError where it can't."""
    if status.spec is None or status.balancer is None or status.state is StackState.ABSENT:
        raise LoadError(
            f"There is no stack '{status.name}' to scale; bring one up with 'whisperctl up' first."
        )
    strategy = status.spec.balancer.strategy
    if strategy in _ONE_REPLICA_A_CLIENT:
        raise LoadError(
            f"Stack '{status.name}' balances by {strategy.value}, which sends all requests of one "
            "client to one replica; measure its scaling with '--strategy least_connections' or "
            "'round_robin'."
        )
    if status.spec.replicas == 0:
        raise LoadError(
            f"Stack '{status.name}' has no replica; give it one with 'whisperctl scale 1' first."
        )
    return status.spec


class ScalingSuite(Suite):
    """Measures a stack at several counts of replicas."""

    def __init__(
        self,
        plan: RestPlan,
        engine: Engine,
        *,
        results_directory: Path,
        api_key: str | None = None,
        facts: TargetFacts | None = None,
    ) -> None:
        super().__init__(plan, results_directory=results_directory, api_key=api_key, facts=facts)
        self._engine = engine
        self._impatient = asyncio.Event()
        self._asked = 0
        """Replicas last asked for."""

    def stop(self) -> None:
        """End in order; asked a second time, don't wait for the former replicas to be ready."""
        if self.stopped:
            self._impatient.set()
        super().stop()

    async def _measure(self) -> AsyncGenerator[RestEvent, None]:
        former = self._asked = measurable(await self._engine.status()).replicas
        try:
            for workers in self.plan.workers:
                if self.stopped:
                    break
                if workers != self._asked:
                    yield RestNote(
                        f"Scaling '{self._engine.stack_name}' to {replicas_text(workers)} …"
                    )
                status = await self._scale(workers)
                if self.stopped:
                    break
                names = [replica.name for replica in status.replicas] if status else []
                step = self._step(self.plan.concurrencies[0], replicas=workers, expected=names)
                async with aclosing(step) as events:
                    async for event in events:
                        yield event
                if self.stopped:
                    break
        finally:
            # Also when this task is cancelled: a stack left at another size would be our mess.
            said = await asyncio.shield(self._restore(former))
        if said:
            yield RestNote(said)

    async def _scale(self, workers: int) -> StackStatus | None:
        """Scale and wait until every replica is ready; None when the user stops it."""
        self._asked = workers
        await self._engine.scale(workers, wait=False)
        return await self._until_ready(workers, self._stopping)

    async def _until_ready(self, workers: int, stop: asyncio.Event) -> StackStatus | None:
        # Only looks. Cut off in the middle, Engine.scale might still write its count down after
        # the former one has been put back.
        deadline = time.monotonic() + SCALE_TIMEOUT
        restarts: dict[str, int] = {}
        while True:
            status = await self._engine.status()
            for replica in status.replicas:
                before = restarts.setdefault(replica.name, replica.restarts)
                if replica.state is ReplicaState.DEAD and replica.restarts > before + 1:
                    raise LoadError(
                        f"{replica.name} dies again and again: {replica.detail or 'see its log'}; "
                        f"see 'whisperctl logs {replica.name}'."
                    )
            if status.spec is None or status.state is StackState.STOPPING:
                raise LoadError(f"Stack '{self._engine.stack_name}' was taken down meanwhile.")
            if len(status.replicas) == workers and status.state is StackState.READY:
                return status
            if time.monotonic() > deadline:
                raise LoadError(
                    f"Stack '{self._engine.stack_name}' did not get {replicas_text(workers)} ready "
                    f"within {SCALE_TIMEOUT:g} s; see 'whisperctl logs'."
                )
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_INTERVAL)
                return None

    async def _restore(self, former: int) -> str:
        """Put the former count back; returns what to say of it."""
        name = self._engine.stack_name
        try:
            status = await self._engine.status()
            if status.spec is None or status.state in (StackState.ABSENT, StackState.STOPPING):
                return f"Stack '{name}' was taken down meanwhile."
            if status.spec.replicas not in (self._asked, former):
                count = replicas_text(status.spec.replicas)
                return f"Someone else scaled stack '{name}' to {count} meanwhile: it is left so."
            if status.spec.replicas == former:
                return ""
            # Once written down, the stack's supervisor does it whatever becomes of this process.
            await self._engine.scale(former, wait=False)
            await self._until_ready(former, self._impatient)
        except StackError as error:
            raise LoadError(
                f"Stack '{name}' could not be put back to {replicas_text(former)}: {error} "
                f"Then try 'whisperctl scale {former} --name {name}'."
            ) from None
        return f"Stack '{name}' has its {replicas_text(former)} again."

    def _conclude(self) -> None:
        base = conclude_scaling(self.report.steps)
        self.report.scaling = base
        for step in self.report.steps:
            step.summary.efficiency = efficiency(step, base)
