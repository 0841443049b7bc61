"""Commands on a stack: write what it should be, and read what the supervisor says it is."""

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from typing import Final

from stack.engine import StackError
from stack.spec import KEY_VARIABLE, MAX_REPLICAS, StackSpec, Strategy
from stack.status import ReplicaState, StackStatus
from stack.supervision.desired import Desired, Phase
from stack.supervision.forcing import force_down
from stack.supervision.judgement import (
    all_ready,
    differences,
    give_up_on_deaths,
)
from stack.supervision.looking import Looking
from stack.supervision.processes import MODULE, start
from stack.supervision.state import State

_LOOK_INTERVAL: Final = 0.1


class SupervisedEngine(Looking):
    """Looks after one stack that a supervisor of this machine minds.

    Implements ``stack.engine.Engine`` for every runtime.
    """

    # --- changing it ----------------------------------------------------------------------------

    async def up(
        self, spec: StackSpec, *, wait: bool = True, timeout: float = 120.0
    ) -> StackStatus:
        """Bring the stack up as ``spec`` says, or adopt it when it already runs as such."""
        fresh = await asyncio.to_thread(self._prepare, spec)
        try:
            await asyncio.to_thread(self._ensure_supervisor)
            if not wait:
                return await self.status()
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

    def _refuse_other(self, running: StackSpec, wanted: StackSpec) -> None:
        """Raise StackError when the running stack is another than the wanted one."""
        port = wanted.balancer.port or running.balancer.port
        balancer = wanted.balancer.model_copy(update={"port": port})
        wanted = wanted.model_copy(update={"replicas": running.replicas, "balancer": balancer})
        if wanted == running:
            return
        same = wanted.model_copy(
            update={
                "replica": wanted.replica.model_copy(update={"model": running.replica.model}),
                "balancer": balancer.model_copy(update={"strategy": running.balancer.strategy}),
            }
        )
        changed = "change that with 'whisperctl change', or " if same == running else ""
        raise StackError(
            f"Stack '{self._name}' already runs with {differences(running, wanted)}; {changed}"
            "end it with 'whisperctl down' first, or name another with --name."
        )

    async def down(
        self, *, drain: bool = False, timeout: float = 60.0, force: bool = False
    ) -> None:
        """End the stack and leave nothing: no process, port or state file."""
        if force:
            await asyncio.to_thread(force_down, self._directory, self._runtime)
            await self._reap()
            return
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
        await self._reap()

    async def _reap(self) -> None:
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
            return desired.with_restart(replica)

        return await self._change(change, "restart", wait=wait, timeout=timeout)

    async def undrain(self, replica: str) -> StackStatus:
        """Want a draining replica again: a fresh one takes its name when its sessions are over."""

        def change(desired: Desired) -> Desired:
            there = {record.name for record in self._directory.read_state().replicas}
            if replica in desired.names or replica not in there:
                raise StackError(f"Stack '{self._name}' has no '{replica}' that is to go.")
            return desired.with_names([*desired.replicas, replica])

        return await self._change(change, "undrain", wait=False, timeout=0.0)

    async def kill(self, replica: str, *, wait: bool = True, timeout: float = 120.0) -> StackStatus:
        """End this replica at once, whatever it does; it is started again unless it drains."""

        def change(desired: Desired) -> Desired:
            there = {record.name for record in self._directory.read_state().replicas}
            if replica not in there:
                self._known(desired, replica)
            return desired.with_kill(replica)

        return await self._change(change, "come back", wait=wait, timeout=timeout)

    async def change(
        self,
        *,
        strategy: Strategy | None = None,
        model: str | None = None,
        wait: bool = True,
        timeout: float = 600.0,
    ) -> StackStatus:
        """Change how the balancer chooses, at once, and what the replicas run, one by one."""

        def change(desired: Desired) -> Desired:
            if strategy is not None:
                desired = desired.with_strategy(strategy)
            if model is not None:
                replica = desired.spec.replica.model_copy(update={"model": model})
                asked = desired.spec.model_copy(update={"replica": replica})
                more = min(1, len(desired.replicas)) if model != desired.spec.replica.model else 0
                definite = self._runtime.check(asked, more=more, fresh=False)
                desired = desired.with_model(definite.replica.model)
            return desired

        if strategy is None and model is None:
            return await self.status()
        return await self._change(change, "change", wait=wait, timeout=timeout, each_drains=True)

    def _known(self, desired: Desired, replica: str) -> None:
        if replica not in desired.replicas:
            names = ", ".join(desired.replicas) or "none"
            raise StackError(f"Stack '{self._name}' has no replica '{replica}'; it has {names}.")

    async def _change(
        self,
        change: Callable[[Desired], Desired],
        what: str,
        *,
        wait: bool,
        timeout: float,
        each_drains: bool = False,
    ) -> StackStatus:
        # First of all, so that an engine that is away says so, and nothing is asked for in vain.
        await asyncio.to_thread(self._runtime.refresh)
        desired = await asyncio.to_thread(self._change_desired, change)
        await asyncio.to_thread(self._ensure_supervisor)
        if wait:
            drains = max(1, len(desired.replicas)) if each_drains else 1
            patience = timeout + drains * desired.spec.drain_timeout
            return await self._until(all_ready, what, patience, model=desired.spec.replica.model)
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
        model: str | None = None,
    ) -> StackStatus:
        """Wait; ``model`` is what the replicas are to run, and may turn out not to be usable."""
        deadline = time.monotonic() + timeout
        while True:
            desired = await asyncio.to_thread(self._directory.read_desired)
            if desired is None or desired.phase is Phase.DOWN:
                raise StackError(f"Stack '{self._name}' was taken down meanwhile.")
            if desired.problem and model not in (None, desired.spec.replica.model):
                raise StackError(desired.problem)
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
