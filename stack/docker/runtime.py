"""Runs a stack's parts as containers. Implements ``stack.supervision.runtime``.

What belongs to the stack is known by its labels, so that a console that has never seen it, or has
lost its state directory, finds and adopts it; containers without them are never touched.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

import docker
import httpx
from docker.errors import APIError, NotFound

from stack.balancer.config import Target
from stack.balancer.nginx import STATUS_PORT, TARGETS_PATH, NginxConfig, render_nginx, strategy_of
from stack.docker import logs
from stack.docker.adoption import found, key_of, take
from stack.docker.client import connect
from stack.docker.containers import (
    BALANCER,
    LABEL_DIGEST,
    LABEL_GENERATION,
    MODEL_CACHE,
    MODEL_VOLUME,
    MODELS,
    USER,
    balancer_arguments,
    container_name,
    of_stack,
    replica_arguments,
)
from stack.docker.errors import explained
from stack.docker.files import make_directory
from stack.docker.ground import address_of, ensure_ground, remove_ground
from stack.docker.lease import Lease
from stack.docker.nginx import NginxContainer
from stack.docker.preflight import cards_of, check_stack
from stack.docker.sampling import ContainerSampling
from stack.docker.upstream import ask_upstream
from stack.docker.view import SeenContainer, StackView
from stack.engine import StackError
from stack.offline import MODEL_DIRECTORY
from stack.spec import KEY_VARIABLE, REPLICA_PORT, Server, StackSpec
from stack.status import BalancerSample, LogLine, ReplicaSample
from stack.supervision import logs as files
from stack.supervision.desired import Desired
from stack.supervision.runtime import Running
from stack.supervision.state import ContainerIdentity, Part, ReplicaRecord, StackDirectory, State
from stack.telemetry.service import ask_status, ask_targets

_PATIENCE: Final = 3.0
"""Seconds to wait for a supervisor that is about to end, because its state directory is gone."""
_RELOAD_INTERVAL: Final = 1.0
"""Seconds between two reloads that only add replicas: each keeps old workers for open sessions."""


class DockerRuntime:
    """Starts, finds and ends the containers of one stack."""

    interval = 0.5
    findable = True

    def __init__(self, directory: StackDirectory) -> None:
        self._directory = directory
        self._stack = directory.path.name
        self._connected: tuple[docker.DockerClient, StackView] | None = None
        self._sampling = ContainerSampling(self._connect)
        self._config = NginxConfig()
        self._applied: tuple[str, NginxConfig] | None = None
        """Container of the balancer, and what it was last told."""
        self._reloaded_at = 0.0
        self._held: Lease | None = None

    @property
    def _docker(self) -> docker.DockerClient:
        return self._connect()[0]

    @property
    def _view(self) -> StackView:
        return self._connect()[1]

    def _connect(self) -> tuple[docker.DockerClient, StackView]:
        if self._connected is None:
            client = connect()
            self._connected = client, StackView(self._stack, client)
        return self._connected

    # --- before -----------------------------------------------------------------------------------

    def check(self, spec: StackSpec, *, more: int, fresh: bool) -> StackSpec:
        """Look whether images, GPUs, model, memory and port are there."""
        return check_stack(self._docker, spec, more=more, fresh=fresh)

    def claim(self) -> None:
        """Raise StackError when a supervisor with another state directory has this stack."""
        self._hold()
        self._lease.release()

    def _hold(self) -> None:
        if not self._lease.claim(patience=_PATIENCE):
            raise StackError(
                f"Stack '{self._stack}' is looked after from another state directory, by another "
                "user or with another WHISPERCTL_STATE_DIR; operate it from there, or name another "
                "stack with --name."
            )

    @property
    def _lease(self) -> Lease:
        if self._held is None:
            with explained("say who it is"):
                self._held = Lease(str(self._docker.info().get("ID", "")), self._stack)
        return self._held

    def recover_key(self) -> str | None:
        """Return the key that the running replicas ask for."""
        return key_of(self._docker, self._view)

    def find(self, *, to_end: bool = False) -> tuple[Desired, State] | None:
        """Return the stack as its containers' labels tell it."""
        stack = found(self._stack, self._view, to_end=to_end)
        if stack is None or to_end:
            return stack
        desired, state = stack
        seen = self._view.named(BALANCER)
        text = None
        if seen is not None:
            text = NginxContainer(self._docker, seen.identity.container).read()
        # Its label tells how it was told to choose at first.
        strategy = strategy_of(text or "")
        return (desired if strategy is None else desired.with_strategy(strategy)), state

    # --- what runs --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Look at the containers, if anything can have changed."""
        self._view.look()

    def adopt(self, state: State) -> list[str]:
        """Take containers of this stack that the state doesn't know, and watch all from now on."""
        # Held until this process ends: there is never a second supervisor.
        self._hold()
        self._view.look(anew=True)
        taken = take(state, self._view)
        self._view.watch()
        return [f"Container {container_name(self._stack, name)} was adopted." for name in taken]

    def renew(self, state: State) -> None:
        """Find the containers that Docker has started again: their names have stayed."""
        for record in state.replicas:
            seen = self._view.named(record.name)
            if seen is not None and seen.running:
                record.part, record.host, record.port = seen.identity, seen.address, REPLICA_PORT
        seen = self._view.named(BALANCER)
        if seen is not None and seen.running:
            state.balancer.part = seen.identity

    def runs(self, part: Part | None) -> bool:
        """Tell whether this life of a container goes on, as of the last look."""
        return self._view.running(part) is not None

    def pid(self, part: Part | None) -> int | None:  # noqa: ARG002
        """Return nothing: a container is no single process."""
        return None

    def start_replica(self, desired: Desired, name: str) -> Running:
        """Start a replica's container: the one that is there if it is as it should be."""
        spec = desired.spec_of(name)
        arguments = replica_arguments(
            spec,
            name,
            generation=desired.generations.get(name, 0),
            cores=self._cores(),
            cards=cards_of(spec),
            offline_model=str(MODEL_DIRECTORY),
            api_key=os.environ.get(KEY_VARIABLE),
        )
        seen = self._start(arguments, name)
        return Running(seen.identity, seen.address, REPLICA_PORT)

    def start_balancer(self, desired: Desired) -> Running:
        """Start the balancer's container with the configuration that was last asked for."""
        seen = self._start(balancer_arguments(desired.spec), BALANCER)
        return Running(seen.identity, seen.address, STATUS_PORT)

    def _start(self, arguments: dict[str, Any], part: str) -> SeenContainer:
        ensure_ground(self._docker, self._stack)
        name = arguments["name"]
        seen = self._view.inspect(name)
        wanted = arguments["labels"]
        if seen is not None:
            current = str(seen.generation) == wanted.get(LABEL_GENERATION, "0")
            if current and seen.running:
                return seen  # whatever it was created with: it may have sessions
            if not current or seen.digest != wanted[LABEL_DIGEST]:
                self._remove_container(seen.identity.container)
                seen = None
        with explained(f"start {part}"):
            if seen is None:
                endpoint = self._docker.api.create_endpoint_config(
                    aliases=[part], ipv4_address=address_of(self._docker, self._stack, part)
                )
                made = self._docker.containers.create(
                    **arguments, networking_config={arguments["network"]: endpoint}
                )
                container = str(made.id)
                self._prepare(container, part, arguments)
            else:
                container = seen.identity.container
                if seen.restarting:
                    self._docker.api.stop(container, timeout=0)
            try:
                self._docker.api.start(container)
            except APIError:
                # One that never ran has nothing to tell, and would stand in the next one's way.
                self._remove_container(container)
                raise
        started = self._view.inspect(container)
        if started is None:
            raise StackError(f"Container {name} went as soon as it was started.")
        return started

    def _prepare(self, container: str, part: str, arguments: Mapping[str, Any]) -> None:
        """Write what a container needs to have before it starts."""
        if part == BALANCER:
            NginxContainer(self._docker, container).write(render_nginx(self._config))
            self._applied = (container, self._config)
        elif MODEL_VOLUME in arguments["volumes"]:
            make_directory(self._docker, container, MODELS, MODEL_CACHE, USER)

    def _cores(self) -> int:
        with explained("say how many cores there are"):
            return int(self._docker.info().get("NCPU") or 1)

    def end(self, part: Part | None, *, at_once: bool = False) -> bool:
        """Send its stop signal, or SIGKILL; its restart policy does not start it again then."""
        seen = self._view.running(part)
        if seen is None:
            return False
        number = "SIGKILL" if at_once else seen.stop_signal
        with explained("end a container"):
            try:
                self._docker.api.kill(seen.identity.container, number)
            except NotFound:
                return False
            except APIError as error:
                if error.status_code != httpx.codes.CONFLICT:  # it has ended meanwhile
                    raise
                return False
        return True

    def discard(self, part: Part | None) -> None:
        """Remove a container and its log."""
        if isinstance(part, ContainerIdentity):
            self._remove_container(part.container)

    def _remove_container(self, container: str) -> None:
        with explained("remove a container"):
            try:
                self._docker.api.remove_container(container, force=True, v=True)
            except NotFound:
                pass
            except APIError as error:
                if "already in progress" not in str(error):
                    raise
        self._view.forget(container)

    def sweep(self) -> None:
        """Remove everything with this stack's label."""
        self.remove()

    def last_words(self, name: str) -> str:
        """Return the last line that a container wrote."""
        return logs.last_line(self._docker, container_name(self._stack, name))

    # --- the balancer -----------------------------------------------------------------------------

    def configure_balancer(self, desired: Desired, targets: Sequence[Target]) -> None:
        """Render nginx's configuration, test it and reload, if anything has changed."""
        self._config = self._rendered(desired.spec, targets)
        seen = self._view.named(BALANCER)
        if seen is None or not seen.running:
            return  # it gets the configuration when it is started
        container = seen.identity.container
        before = self._applied[1] if self._applied and self._applied[0] == container else None
        if before == self._config:
            return
        nginx = NginxContainer(self._docker, container)
        text = render_nginx(self._config)
        if before is None and nginx.read() == text:
            self._applied = (container, self._config)
            return
        recently = time.monotonic() - self._reloaded_at < _RELOAD_INTERVAL
        if recently and before is not None and _only_adds(before, self._config):
            return  # asked again at the next comparison
        nginx.apply(text)
        self._reloaded_at = time.monotonic()
        self._applied = (container, self._config)

    def _rendered(self, spec: StackSpec, targets: Sequence[Target]) -> NginxConfig:
        # nginx numbers the servers of a hash: their order must not depend on who was ready first.
        ordered = tuple(sorted(targets, key=lambda target: (len(target.name), target.name)))
        return NginxConfig(
            strategy=spec.balancer.strategy,
            targets=ordered,
            session_timeout=spec.replica.max_connection_time,
        )

    async def targets(
        self,
        client: httpx.AsyncClient,
        desired: Desired,  # noqa: ARG002
    ) -> tuple[str, ...] | None:
        """Ask nginx where new sessions go."""
        seen = self._view.named(BALANCER)
        if seen is None or not seen.address:
            return None
        return await ask_targets(client, f"http://{seen.address}:{STATUS_PORT}{TARGETS_PATH}")

    async def ask(
        self, client: httpx.AsyncClient, record: ReplicaRecord, desired: Desired
    ) -> dict[str, Any] | None:
        """Ask a replica for its status; upstream's can only be knocked at."""
        containers = desired.spec.containers
        if containers is None or containers.server is not Server.UPSTREAM:
            return await ask_status(client, record.address)
        pids = await asyncio.to_thread(self._sampling.pids_of, record.part)
        return await ask_upstream(record.host, REPLICA_PORT, pids)

    # --- the end ----------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Do nothing: Docker keeps the logs bounded."""

    def remove(self) -> None:
        """Remove every container, network and volume of this stack; models stay."""
        with explained("list containers"):
            left = self._docker.api.containers(all=True, filters=of_stack(self._stack))
        for one in left:  # load generators among them
            self._remove_container(str(one["Id"]))
        remove_ground(self._docker, self._stack)

    # --- looking ----------------------------------------------------------------------------------

    async def stats(self, desired: Desired, state: State) -> Mapping[str, ReplicaSample]:
        """Sample the replicas' containers."""
        return await self._sampling.replicas(desired.spec, state)

    async def balancer_stats(self, desired: Desired, state: State) -> BalancerSample:  # noqa: ARG002
        """Sample the balancer's container."""
        return await self._sampling.balancer(state.balancer.part)

    async def close(self) -> None:
        """Let go of connections and streams that samples come through."""
        await self._sampling.close()

    async def parts(self) -> Sequence[str]:
        """Return the names of the parts that have a log."""
        containers = await asyncio.to_thread(logs.parts, self._docker, self._stack)
        return [*containers, *files.sources(self._directory.logs)]

    async def logs(self, part: str | None, *, follow: bool, tail: int) -> AsyncIterator[LogLine]:
        """Read the containers' logs, or the supervisor's, which is a process of this machine."""
        if part in files.sources(self._directory.logs):
            async for line in files.read(self._directory.logs, part, follow=follow, tail=tail):
                yield line
            return
        async for line in logs.read(self._docker, self._stack, part, follow=follow, tail=tail):
            yield line


def _only_adds(before: NginxConfig, after: NginxConfig) -> bool:
    same = before.strategy is after.strategy
    return same and bool(before.targets) and set(before.targets) <= set(after.targets)
