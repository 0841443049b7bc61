"""Looking at a stack: what the supervisor wrote, and what the parts say themselves."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping

from stack.engine import StackError
from stack.spec import EngineName
from stack.status import BalancerSample, LogLine, ReplicaSample, StackState, StackStatus
from stack.supervision.asking import ask_unwatched
from stack.supervision.desired import Desired
from stack.supervision.judgement import status_of
from stack.supervision.runtime import Runtime
from stack.supervision.state import StackDirectory, State


class Looking:
    """The half of an engine that changes nothing."""

    def __init__(self, name: EngineName, directory: StackDirectory, runtime: Runtime) -> None:
        self._engine = name
        self._directory = directory
        self._runtime = runtime
        self._name = directory.path.name
        # Kept so that a supervisor that has ended is reaped, not left a zombie of this process.
        self._supervisors: list[subprocess.Popen[bytes]] = []

    @property
    def stack_name(self) -> str:
        """The stack this engine instance looks after."""
        return self._name

    def _read(self) -> Desired | None:
        """Return what the stack should be; raises StackError when another engine runs it."""
        desired = self._directory.read_desired()
        if desired is not None and desired.spec.engine is not self._engine:
            raise StackError(
                f"Stack '{self._name}' runs on engine {desired.spec.engine.value}; "
                "leave --engine away, or name another stack with --name."
            )
        return desired

    async def status(self) -> StackStatus:
        """Return the stack as it is now; state ``absent`` when there is none."""
        looked = await asyncio.to_thread(self._look)
        if looked is None:
            return StackStatus(name=self._name, state=StackState.ABSENT)
        desired, state, supervised = looked
        if not supervised:
            # Nobody writes down what goes, comes or gets ready.
            await ask_unwatched(self._runtime, desired, state)
        return status_of(desired, state, self._runtime.pid, supervised=supervised)

    def _look(self) -> tuple[Desired, State, bool] | None:
        """Return what should be, what is, and whether somebody watches; None without a stack."""
        self._supervisors = [one for one in self._supervisors if one.poll() is None]
        desired = self._read()
        state = self._directory.read_state()
        if desired is None:
            if (found := self._runtime.find()) is None:
                return None
            desired, state = found
        supervised = self._directory.is_supervised()
        if not supervised:
            self._runtime.refresh()
            self._runtime.renew(state)
        return desired, state, supervised

    async def stats(self) -> Mapping[str, ReplicaSample]:
        """Sample every replica once; a source that doesn't answer costs its own cells only."""
        looked = await asyncio.to_thread(self._look)
        if looked is None:
            return {}
        desired, state, _ = looked
        return await self._runtime.stats(desired, state)

    async def balancer_stats(self) -> BalancerSample | None:
        """Sample the balancer once, likewise; None without a stack."""
        looked = await asyncio.to_thread(self._look)
        if looked is None:
            return None
        desired, state, _ = looked
        return await self._runtime.balancer_stats(desired, state)

    async def close(self) -> None:
        """Let go of what is kept open from one sample to the next; the engine can still be used."""
        await self._runtime.close()

    async def watch(self, *, interval: float = 1.0) -> AsyncIterator[StackStatus]:
        """Yield the status whenever it has changed, the first at once."""
        last: StackStatus | None = None
        while True:
            status = await self.status()
            if status != last:
                last = status
                yield status
            await asyncio.sleep(interval)

    async def logs(
        self, replica: str | None = None, *, follow: bool = False, tail: int = 200
    ) -> AsyncIterator[LogLine]:
        """Yield the last ``tail`` lines of one replica, or of all parts; go on with ``follow``."""
        if await asyncio.to_thread(self._look) is None:
            raise StackError(
                f"There is no stack '{self._name}'; bring one up with 'whisperctl up'."
            )
        if replica is not None:
            known = await self._runtime.parts()
            if replica not in known:
                raise StackError(
                    f"Stack '{self._name}' has no part '{replica}'; it has {', '.join(known)}."
                )
        async for line in self._runtime.logs(replica, follow=follow, tail=tail):
            yield line
