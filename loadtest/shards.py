"""The generator processes of one step: started together, listened to, ended in order."""

import asyncio
import math
import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from pydantic import ValidationError

from loadtest.events import GeneratorEvent, ShardFinished, ShardReady, generator_event
from loadtest.plan import ClientAssignment, LoadPlan, StepOrder
from loadtest.watching import SessionsSeen, WatchOrder
from stack.cores import usable_cores

MESSAGES_A_SHARD: Final = 6000
"""Messages a second that one core sends with room to spare; more take more processes."""
_EXCEPTION: Final = re.compile(r"[\s|]*[\w.]*(Error|Exception|Interrupt)\b")
"""A line of a traceback that names what was raised, also one of several."""
_LINE_LIMIT: Final = 64 * 1024 * 1024
_PREPARE_TIMEOUT: Final = 60.0
_LONGEST_STOP: Final = 300.0
_STDERR_KEPT: Final = 4000
_MAX_UNREAD: Final = 16 * 1024
"""Bytes of orders that a generator has not read; then it is asked nothing more."""


class LoadError(Exception):
    """A load run that can't go on; one sentence."""


@dataclass(frozen=True, slots=True)
class GeneratorPlace:
    """Where generator processes run, and how the server is reached from there.

    Whatever the command starts must keep to ``loadtest.generator``'s manner on its standard input
    and output, see the same audio files under the same paths, and share this machine's monotonic
    clock: a container of this machine does.
    """

    name: str
    """Saved with every run."""
    command: tuple[str, ...]
    host: str
    port: int


def on_this_machine(plan: LoadPlan) -> GeneratorPlace:
    """Return the place of generators that are processes of this machine."""
    command = (sys.executable, "-m", "loadtest.generator")
    return GeneratorPlace("host", command, plan.host, plan.port)


def step_orders(
    plan: LoadPlan, clients: Sequence[ClientAssignment], place: GeneratorPlace
) -> list[StepOrder]:
    """Deal a step's clients out to as many shards as they need, at most one a core.

    Cores that this process may not use don't count: under ``taskset`` there may be only one.
    """
    needed = math.ceil(len(clients) / plan.chunk / MESSAGES_A_SHARD)
    shards = max(1, min(needed, usable_cores()))
    host = f"[{place.host}]" if ":" in place.host else place.host
    scheme = "wss" if plan.tls else "ws"
    return [
        StepOrder(
            url=f"{scheme}://{host}:{place.port}{plan.path}",
            chunk=plan.chunk,
            language=plan.language,
            use_vad=plan.use_vad,
            audio_format=plan.audio_format,
            connect_timeout=plan.connect_timeout,
            finish_timeout=plan.finish_timeout,
            quiet=plan.quiet,
            reconnect=plan.reconnect,
            ca_file=plan.ca_file,
            verify=plan.verify,
            api_key=plan.api_key.get_secret_value() if plan.api_key else None,
            clients=tuple(clients[shard::shards]),
        )
        for shard in range(shards)
    ]


class ShardProcesses:
    """Runs the shards of one step; leaving the context ends every process."""

    def __init__(
        self,
        orders: Sequence[StepOrder],
        command: Sequence[str],
        *,
        look: Callable[[GeneratorEvent], None] | None = None,
    ) -> None:
        self._orders = orders
        self._look = look
        """Is shown every event as soon as it comes."""
        self._command = command
        self._processes: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []
        self._events: list[tuple[int, GeneratorEvent, float]] = []
        self._ready: list[asyncio.Event] = []
        self._complete: set[int] = set()
        self._stderr: dict[int, bytes] = {}
        self._stopping: asyncio.Task[None] | None = None
        self._heard = 0.0
        """Monotonic second of the last line from any shard."""
        self.ended_at: float | None = None
        """Monotonic seconds when the last shard reported its end."""

    async def __aenter__(self) -> Self:
        try:
            for number, order in enumerate(self._orders):
                await self._spawn(number, order)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    async def _spawn(self, number: int, order: StepOrder) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_LIMIT,
                # Ctrl-C at the terminal reaches the controller alone, which ends things in order.
                start_new_session=True,
            )
        except OSError as error:
            raise LoadError(f"The generator process can't be started: {error.strerror}.") from None
        self._processes.append(process)
        self._ready.append(asyncio.Event())
        self._readers.append(asyncio.create_task(self._read(number, process)))
        self._readers.append(asyncio.create_task(self._read_errors(number, process)))
        assert process.stdin is not None  # noqa: S101
        with suppress(ConnectionError):
            process.stdin.write(order.model_dump_json().encode() + b"\n")
            await process.stdin.drain()

    async def _read(self, number: int, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101
        async for line in process.stdout:
            received = self._heard = time.monotonic()
            with suppress(ValidationError):
                event = generator_event.validate_json(line)
                if isinstance(event, ShardReady):
                    self._ready[number].set()
                    continue
                if isinstance(event, ShardFinished):
                    self._complete.add(number)
                    self.ended_at = max(self.ended_at or 0.0, event.ended_at or received)
                if self._look is not None:
                    self._look(event)
                if not isinstance(event, SessionsSeen):
                    self._events.append((number, event, received))

    async def _read_errors(self, number: int, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None  # noqa: S101
        while block := await process.stderr.read(4096):
            self._stderr[number] = (self._stderr.get(number, b"") + block)[-_STDERR_KEPT:]

    async def start(self) -> float:
        """Wait until every shard is prepared, start them at one moment and return it."""
        prepared = asyncio.create_task(self._all_ready())
        died = asyncio.create_task(self._first_to_end())
        try:
            await asyncio.wait(
                {prepared, died}, timeout=_PREPARE_TIMEOUT, return_when=asyncio.FIRST_COMPLETED
            )
            if not prepared.done():
                self.check()
                raise LoadError("A generator process didn't get ready in time.")
        finally:
            prepared.cancel()
            died.cancel()
            await asyncio.gather(prepared, died, return_exceptions=True)
        start_at = time.monotonic() + 0.1
        for process in self._processes:
            assert process.stdin is not None  # noqa: S101
            with suppress(ConnectionError):
                process.stdin.write(f"start {start_at!r}\n".encode())
                await process.stdin.drain()
        return start_at

    async def _all_ready(self) -> None:
        for event in self._ready:
            await event.wait()

    async def _first_to_end(self) -> None:
        waits = [asyncio.create_task(process.wait()) for process in self._processes]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def watch(self, order: WatchOrder) -> None:
        """Ask every running shard to show what ``order`` says; never waits."""
        for process in self._processes:
            pipe = process.stdin
            if pipe is not None and pipe.transport.get_write_buffer_size() < _MAX_UNREAD:
                with suppress(ConnectionError, RuntimeError):
                    pipe.write(order.line())

    def received(self) -> list[tuple[int, GeneratorEvent, float]]:
        """Return the events since the last call: shard, event, monotonic second of receipt."""
        events, self._events = self._events, []
        return events

    async def wait(self) -> None:
        """Return when every shard has ended and everything it wrote was read."""
        await asyncio.gather(*(process.wait() for process in self._processes))
        await asyncio.gather(*(asyncio.shield(reader) for reader in self._readers))

    def stop(self, *, deadline: float) -> None:
        """Ask every shard to end its sessions now; kill what is silent for ``deadline`` seconds."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(deadline))

    async def _stop(self, deadline: float) -> None:
        for process in self._processes:
            if process.stdin is not None:
                with suppress(ConnectionError):
                    process.stdin.write(b"stop\n")
                    await process.stdin.drain()
        # Working out the results of many long sessions takes its time: while they come, let them.
        asked = self._heard = time.monotonic()
        last = asked + _LONGEST_STOP
        while (left := min(self._heard + deadline, last) - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.kill()

    def check(self) -> None:
        """Raise LoadError when a shard ended without its last word: its clients were lost."""
        if self._stopping is not None:
            return
        for number, process in enumerate(self._processes):
            if number not in self._complete and process.returncode is not None:
                lines = self._stderr.get(number, b"").decode("utf-8", "replace").splitlines()
                named = [line for line in lines if _EXCEPTION.match(line)]
                last = (named or lines or ["no message"])[-1]
                raise LoadError(
                    f"A generator process ended early (exit code {process.returncode}): {last}"
                )

    async def _end(self) -> None:
        if self._stopping is not None:
            self._stopping.cancel()
        for process in self._processes:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
        await asyncio.gather(
            *(process.wait() for process in self._processes), return_exceptions=True
        )
        await asyncio.gather(*self._readers, return_exceptions=True)
