"""Commands on a stack: write what it should be, and read what the supervisor says it is."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

from stack.engine import StackError
from stack.spec import KEY_VARIABLE, MAX_REPLICAS, EngineName, StackSpec
from stack.status import (
    BalancerSample,
    LogLine,
    ReplicaSample,
    ReplicaState,
    StackState,
    StackStatus,
)
from stack.supervision.asking import ask_unwatched
from stack.supervision.judgement import (
    all_ready,
    differences,
    give_up_on_deaths,
    status_of,
)
from stack.supervision.processes import MODULE, start
from stack.supervision.runtime import Runtime
from stack.supervision.state import Desired, Phase, StackDirectory, State

_LOOK_INTERVAL: Final = 0.1


class SupervisedEngine:
    """Looks after one stack that a supervisor of this machine minds.

    Implements ``stack.engine.Engine`` for every runtime.
    """

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

    # --- changing it ----------------------------------------------------------------------------

    async def up(
        self, spec: StackSpec, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        """Bring the stack up as ``spec`` says, or adopt it when it already runs as such."""
        fresh = await asyncio.to_thread(self._prepare, spec)
        await asyncio.to_thread(self._ensure_supervisor)
        if not wait:
            return await self.status()
        try:
            return await self._until(all_ready, "come up", timeout, fresh=fresh)
        except (StackError, asyncio.CancelledError):
            if fresh:
                # What never came up is not left half-alive.
                await asyncio.shield(self.down())
            raise

    def _prepare(self, spec: StackSpec) -> bool:
        """Write the desired state; returns whether the stack is new."""
        with self._directory.lock():
            desired = self._find()
            key = os.environ.get(KEY_VARIABLE)
            if desired is not None and key and key != self._directory.read_key():
                raise StackError(
                    f"Stack '{self._name}' already runs with another key than {KEY_VARIABLE}; "
                    "end it with 'whisperctl down' first, or name another with --name."
                )
            if desired is not None and desired.phase is Phase.DOWN:
                raise StackError(
                    f"Stack '{self._name}' is going down; wait for 'whisperctl down' to end."
                )
            if desired is None:
                spec = self._runtime.check(spec, more=spec.replicas, fresh=True)
                first = Desired(spec=spec, replicas=())
                self._directory.create(first.with_count(spec.replicas), key)
                return True
            more = spec.replicas - len(desired.replicas)
            spec = self._runtime.check(spec, more=more, fresh=False)
            self._refuse_other(desired.spec, spec)
            self._directory.write_desired(desired.with_count(spec.replicas))
            return False

    def _find(self, *, to_end: bool = False) -> Desired | None:
        """Return what the stack should be. Under the lock: one found running is written down."""
        desired = self._read()
        if desired is None and (found := self._runtime.find(to_end=to_end)) is not None:
            self._runtime.claim()
            desired, state = found
            self._directory.create(desired, self._runtime.recover_key())
            self._directory.write_state(state)
        return desired

    def _read(self) -> Desired | None:
        """Return what the stack should be; raises StackError when another engine runs it."""
        desired = self._directory.read_desired()
        if desired is not None and desired.spec.engine is not self._engine:
            raise StackError(
                f"Stack '{self._name}' runs on engine {desired.spec.engine.value}; "
                "leave --engine away, or name another stack with --name."
            )
        return desired

    def _refuse_other(self, running: StackSpec, wanted: StackSpec) -> None:
        """Raise StackError when the running stack is another than the wanted one."""
        port = wanted.balancer.port or running.balancer.port
        balancer = wanted.balancer.model_copy(update={"port": port})
        wanted = wanted.model_copy(update={"replicas": running.replicas, "balancer": balancer})
        if wanted == running:
            return
        raise StackError(
            f"Stack '{self._name}' already runs with {differences(running, wanted)}; "
            "end it with 'whisperctl down' first, or name another with --name."
        )

    async def down(self, *, drain: bool = False, timeout: float = 60.0) -> None:
        """End the stack and leave nothing: no process, port or state file."""
        await asyncio.to_thread(self._runtime.refresh)
        if not await asyncio.to_thread(self._ask_down, drain):
            return
        await asyncio.to_thread(self._ensure_supervisor)
        deadline = time.monotonic() + timeout
        while await asyncio.to_thread(self._directory.path.exists):
            if time.monotonic() > deadline:
                raise StackError(
                    f"Stack '{self._name}' is not down after {timeout:g} s; "
                    "see 'whisperctl logs' and try 'whisperctl down' again."
                )
            await asyncio.sleep(_LOOK_INTERVAL)
        # The directory goes just before the supervisor does.
        for supervisor in self._supervisors:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(supervisor.wait, 5)
        self._supervisors.clear()

    def _ask_down(self, drain: bool) -> bool:
        """Write down that the stack should not be; returns False when there is none."""
        with self._directory.lock():
            desired = self._find(to_end=True)
            if desired is None:
                return False
            update = {"phase": Phase.DOWN, "drain_on_down": drain}
            self._directory.write_desired(desired.model_copy(update=update))
            return True

    async def scale(
        self, replicas: int, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        """Change the number of replicas; a replica that goes is drained first."""
        return await self._scale(lambda _: replicas, wait=wait, timeout=timeout)

    async def scale_by(
        self, difference: int, *, wait: bool = False, timeout: float = 120.0
    ) -> StackStatus:
        """Change the number of replicas by so many; asked five times at once it counts five."""
        return await self._scale(lambda count: count + difference, wait=wait, timeout=timeout)

    async def _scale(
        self, count: Callable[[int], int], *, wait: bool, timeout: float
    ) -> StackStatus:
        def change(desired: Desired) -> Desired:
            wanted = count(len(desired.replicas))
            if not 0 <= wanted <= MAX_REPLICAS:
                raise StackError(
                    f"A stack can't have {wanted} replicas; ask for 0 to {MAX_REPLICAS}."
                )
            more = wanted - len(desired.replicas)
            if more > 0:
                self._runtime.check(desired.spec, more=more, fresh=False)
            return desired.with_count(wanted)

        return await self._change(change, "scale", wait=wait, timeout=timeout)

    async def drain(self, replica: str) -> StackStatus:
        """Send no new session to this replica; it goes when its last one has ended."""

        def change(desired: Desired) -> Desired:
            self._known(desired, replica)
            return desired.with_names([name for name in desired.replicas if name != replica])

        return await self._change(change, "drain", wait=False, timeout=0.0)

    async def restart(
        self, replica: str, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        """Replace this replica's process by a fresh one."""

        def change(desired: Desired) -> Desired:
            self._known(desired, replica)
            generations = dict(desired.generations)
            generations[replica] = generations.get(replica, 0) + 1
            return desired.model_copy(update={"generations": generations})

        return await self._change(change, "restart", wait=wait, timeout=timeout)

    def _known(self, desired: Desired, replica: str) -> None:
        if replica not in desired.replicas:
            names = ", ".join(desired.replicas) or "none"
            raise StackError(f"Stack '{self._name}' has no replica '{replica}'; it has {names}.")

    async def _change(
        self, change: Callable[[Desired], Desired], what: str, *, wait: bool, timeout: float
    ) -> StackStatus:
        # First of all, so that an engine that is away says so, and nothing is asked for in vain.
        await asyncio.to_thread(self._runtime.refresh)
        desired = await asyncio.to_thread(self._change_desired, change)
        await asyncio.to_thread(self._ensure_supervisor)
        if wait:
            return await self._until(all_ready, what, timeout + desired.spec.drain_timeout)
        return await self.status()

    def _change_desired(self, change: Callable[[Desired], Desired]) -> Desired:
        with self._directory.lock():
            self._find()
        return self._directory.change(change)

    def _ensure_supervisor(self) -> None:
        """Start a supervisor unless one lives; of two started at once the second ends itself."""
        self._supervisors = [one for one in self._supervisors if one.poll() is None]
        # One that was started a moment ago has not got its lock yet.
        if self._supervisors or self._directory.is_supervised():
            return
        command = [*MODULE, "stack.supervision", str(self._directory.path)]
        self._supervisors.append(start(command, self._directory.logs / "supervisor.log"))

    async def _until(
        self,
        reached: Callable[[Desired, State], bool],
        what: str,
        timeout: float,
        *,
        fresh: bool = False,
    ) -> StackStatus:
        deadline = time.monotonic() + timeout
        while True:
            desired = await asyncio.to_thread(self._directory.read_desired)
            if desired is None or desired.phase is Phase.DOWN:
                raise StackError(f"Stack '{self._name}' was taken down meanwhile.")
            state = await asyncio.to_thread(self._directory.read_state)
            # Without a supervisor the state is only what the last one saw.
            if reached(desired, state) and await asyncio.to_thread(self._is_current, state):
                return await self.status()
            if fresh:
                give_up_on_deaths(state)
            if time.monotonic() > deadline:
                waiting = ", ".join(
                    f"{record.name} {record.state.value}"
                    for record in state.replicas
                    if record.state is not ReplicaState.READY
                )
                raise StackError(
                    f"Stack '{self._name}' did not {what} within {timeout:g} s "
                    f"({waiting or 'the balancer does not answer'}); see 'whisperctl logs'."
                )
            await asyncio.to_thread(self._ensure_supervisor)
            await asyncio.sleep(_LOOK_INTERVAL)

    def _is_current(self, state: State) -> bool:
        """Tell whether somebody looks after the stack and all that is recorded still runs."""
        self._runtime.refresh()
        running = [state.balancer.part, *(record.part for record in state.replicas)]
        return self._directory.is_supervised() and all(map(self._runtime.runs, running))

    # --- looking at it --------------------------------------------------------------------------

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
