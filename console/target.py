"""The stack under load, as the load controller looks into it."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from console.calibration import calibrated_clients
from loadtest.plan import LoadPlan
from loadtest.shards import GeneratorPlace, LoadError
from loadtest.target import TargetFacts
from stack.balancer.nginx import LISTEN_PORT
from stack.engine import Engine, StackError
from stack.spec import EngineName
from stack.status import MachineSample, ReplicaSample, StackState, StackStatus
from stack.supervision.state import StackDirectory, state_root

if TYPE_CHECKING:
    from stack.telemetry.machine import MachineReader

BALANCER_HOST: Final = "balancer"
"""The balancer's name on a stack's own network."""


class StackTarget:
    """A server that is perhaps one of our stacks: telemetry comes only where it is.

    Implements ``loadtest.target.LoadTarget``.
    """

    def __init__(self, engine: Engine, host: str, port: int, *, chunk: float | None = None) -> None:
        self._engine = engine
        self._chunk = chunk
        """Seconds of audio a message, where the load is one of messages."""
        self._address = f"{host}:{port}"
        self._ours = False
        self._machine: MachineReader | None = None

    async def describe(self) -> TargetFacts:
        """Say which stack this is, if it is one, and on what machine the load runs."""
        # Here, because it loads NVML, which 'whisperctl --help' has no use for.
        from stack.telemetry.environment import environment  # noqa: PLC0415
        from stack.telemetry.machine import MachineReader  # noqa: PLC0415 - psutil, likewise

        self._machine = MachineReader()
        facts = (await asyncio.to_thread(environment)).model_dump(mode="json")
        calibrated = calibrated_clients(self._chunk, facts)
        status = await self._engine.status()
        self._ours = (
            status.state is not StackState.ABSENT
            and status.balancer is not None
            and status.balancer.address == self._address
        )
        if not self._ours or status.spec is None:
            return TargetFacts(environment=facts, calibrated_clients=calibrated)
        # Rates need a moment: the first second of the load is to have them.
        with contextlib.suppress(StackError, OSError):
            await asyncio.gather(self._engine.stats(), self._engine.balancer_stats())
        key = StackDirectory(state_root() / status.name).read_key()
        return TargetFacts(
            stack=status.spec.model_dump(mode="json"),
            environment=facts,
            calibrated_clients=calibrated,
            api_key=key,
        )

    async def stats(self) -> Mapping[str, ReplicaSample]:
        """Sample the stack's replicas; nothing of a server that isn't ours."""
        return await self._engine.stats() if self._ours else {}

    async def machine(self) -> MachineSample | None:
        """Sample the machine, and the balancer if it is ours."""
        if self._machine is None:
            return None
        balancer = await self._engine.balancer_stats() if self._ours else None
        return await asyncio.to_thread(self._machine.read, balancer)


def inside_place(status: StackStatus, plan: LoadPlan) -> GeneratorPlace:
    """Return the place of generators in containers on the stack's network.

    Raises LoadError when the stack does not run in containers, and StackError when its image is
    missing or the audio can't be read there.
    """
    spec = status.spec
    if spec is None or spec.engine is not EngineName.DOCKER:
        raise LoadError(
            f"--inside needs a stack of containers, and '{status.name}' "
            f"{'does not run' if spec is None else 'runs as processes'}; "
            "bring one up with 'whisperctl up --engine docker'."
        )
    # Docker's SDK takes a while to load.
    from stack.docker.generator import generator_command  # noqa: PLC0415

    command = generator_command(spec, plan.audio_directory)
    return GeneratorPlace("inside", command, BALANCER_HOST, LISTEN_PORT)


def at_balancer(plan: LoadPlan, status: StackStatus) -> LoadPlan:
    """Return the plan against a running stack's balancer; as it is where there is none."""
    if status.balancer is None:
        return plan
    host, _, port = status.balancer.address.rpartition(":")
    return plan.model_copy(update={"host": host, "port": int(port)})


def target_of(engine: Engine, plan: LoadPlan) -> StackTarget:
    """Return what a plan's load goes to."""
    return StackTarget(engine, plan.host, plan.port, chunk=plan.chunk)
