"""Runs a stack's parts as processes on loopback. Implements ``stack.supervision.runtime``."""

import signal
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from stack.balancer.config import BalancerConfig, Target
from stack.balancer.proxy import STATUS_PATH
from stack.files import write_atomically
from stack.process import parts
from stack.spec import StackSpec
from stack.status import BalancerSample, LogLine, ReplicaSample
from stack.supervision import logs
from stack.supervision.desired import Desired
from stack.supervision.preflight import check_memory, check_model, check_port
from stack.supervision.processes import bound, last_line, start
from stack.supervision.runtime import Running
from stack.supervision.state import Part, ProcessIdentity, ReplicaRecord, StackDirectory, State
from stack.telemetry.sampler import BalancerSource, Sampler, Source
from stack.telemetry.service import ask_status, ask_targets

_HOST = "127.0.0.1"


class ProcessRuntime:
    """Starts, finds and ends the processes of one stack."""

    interval = 0.25
    findable = False

    def __init__(self, directory: StackDirectory) -> None:
        self._directory = directory
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._sampler = Sampler()
        self._balancer_sampler = Sampler()

    # --- before -----------------------------------------------------------------------------------

    def check(self, spec: StackSpec, *, more: int, fresh: bool) -> StackSpec:
        """Look whether model, memory and port are there; returns the spec made definite."""
        # Absolute, because a later supervisor may be started from another directory.
        model = check_model(spec.replica.model)
        replica = spec.replica.model_copy(update={"model": model})
        balancer = spec.balancer
        check_memory(model, more)
        if fresh:
            port = check_port(balancer.host, balancer.port)
            balancer = balancer.model_copy(update={"port": port})
        return spec.model_copy(update={"replica": replica, "balancer": balancer})

    def find(self, *, to_end: bool = False) -> tuple[Desired, State] | None:  # noqa: ARG002
        """Return nothing: without its state directory nobody knows a stack's processes."""
        return None

    def claim(self) -> None:
        """Do nothing: the state directory is all there is of a stack."""

    def recover_key(self) -> str | None:
        """Return nothing: what can't be found has no key."""
        return None

    # --- what runs --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Reap children that have ended."""
        for pid, child in list(self._children.items()):
            if child.poll() is not None:
                del self._children[pid]

    def adopt(self, state: State) -> list[str]:
        """End processes of this stack that nobody knows of."""
        running = [state.balancer.part, *(record.part for record in state.replicas)]
        known = {part.pid for part in running if isinstance(part, ProcessIdentity)}
        orphans = parts.end_orphans(self._directory.logs, known)
        return [f"Process {pid} belonged to nobody and was ended." for pid in orphans]

    def renew(self, state: State) -> None:
        """Do nothing: a process that ended is started again by a supervisor only."""

    def runs(self, part: Part | None) -> bool:
        """Tell whether the process lives and is the one that was started."""
        return isinstance(part, ProcessIdentity) and part.find() is not None

    def pid(self, part: Part | None) -> int | None:
        """Return the process id."""
        return part.pid if isinstance(part, ProcessIdentity) else None

    def start_replica(self, desired: Desired, name: str) -> Running:
        """Start a replica on a free port."""
        port = parts.free_port()
        return self._start(
            parts.replica_command(desired.spec_of(name), name, port), name, _HOST, port
        )

    def start_balancer(self, desired: Desired) -> Running:
        """Start the built-in balancer."""
        balancer = desired.spec.balancer
        command = parts.balancer_command(desired.spec, self._directory.balancer_config)
        return self._start(command, "balancer", balancer.host, balancer.port)

    def _start(self, command: list[str], name: str, host: str, port: int) -> Running:
        child = start(command, self._log_of(name))
        self._children[child.pid] = child
        identity = ProcessIdentity.of(child.pid)
        # One that is gone already is a death, and noted as such at the next comparison.
        return Running(identity or ProcessIdentity(pid=child.pid, create_time=0.0), host, port)

    def end(self, part: Part | None, *, at_once: bool = False) -> bool:
        """Send SIGTERM, or SIGKILL."""
        if not isinstance(part, ProcessIdentity):
            return False
        return parts.end(part, signal.SIGKILL if at_once else signal.SIGTERM)

    def discard(self, part: Part | None) -> None:
        """Do nothing: an ended process leaves nothing."""

    def sweep(self) -> None:
        """End every process that bears this stack's mark."""
        parts.end_orphans(self._directory.logs, set())

    def last_words(self, name: str) -> str:
        """Return the last line of a part's log."""
        return last_line(self._log_of(name))

    # --- the balancer -----------------------------------------------------------------------------

    def configure_balancer(self, desired: Desired, targets: Sequence[Target]) -> None:
        """Write the file that the balancer follows."""
        config = BalancerConfig(strategy=desired.spec.balancer.strategy, targets=tuple(targets))
        data = config.model_dump_json(indent=1).encode()
        path = self._directory.balancer_config
        if not path.exists() or path.read_bytes() != data:
            write_atomically(path, data, mode=0o600)

    async def targets(self, client: httpx.AsyncClient, desired: Desired) -> tuple[str, ...] | None:
        """Ask the balancer where new sessions go."""
        return await ask_targets(client, _status_url(desired))

    async def ask(
        self,
        client: httpx.AsyncClient,
        record: ReplicaRecord,
        desired: Desired,  # noqa: ARG002
    ) -> dict[str, Any] | None:
        """Ask a replica for its status."""
        return await ask_status(client, record.address)

    # --- the end ----------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Begin logs that have grown too large anew."""
        bound(self._directory.logs)

    def remove(self) -> None:
        """Do nothing: all there is beside the processes is the state directory."""

    # --- looking ----------------------------------------------------------------------------------

    async def stats(
        self,
        desired: Desired,  # noqa: ARG002
        state: State,
    ) -> Mapping[str, ReplicaSample]:
        """Sample the replicas' processes."""
        sources = [
            Source(
                name=record.name,
                pids=() if (pid := self.pid(record.part)) is None else (pid,),
                address=record.address,
            )
            for record in state.replicas
        ]
        return await self._sampler.sample(sources)

    async def balancer_stats(self, desired: Desired, state: State) -> BalancerSample:
        """Sample the balancer's process."""
        part = self.pid(state.balancer.part)
        status = _status_url(desired) if part is not None else None
        return await self._balancer_sampler.sample_balancer(BalancerSource(part, status=status))

    async def close(self) -> None:
        """Close the connections that samples are asked for through."""
        await self._sampler.close()
        await self._balancer_sampler.close()

    async def parts(self) -> Sequence[str]:
        """Return the names of the parts that have a log."""
        return logs.sources(self._directory.logs)

    async def logs(self, part: str | None, *, follow: bool, tail: int) -> AsyncIterator[LogLine]:
        """Read the logs in the state directory."""
        async for line in logs.read(self._directory.logs, part, follow=follow, tail=tail):
            yield line

    def _log_of(self, part: str) -> Path:
        return self._directory.logs / f"{part}.log"


def _status_url(desired: Desired) -> str:
    return f"http://{desired.spec.balancer.reach}{STATUS_PATH}"
