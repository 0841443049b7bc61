"""The servers that are compared: how each is started, when it is up, and how it is stopped."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from benchmarks.upstream_environment import SERVER, VERSION, UpstreamUnavailableError, interpreter
from stack.offline import MODEL_DIRECTORY
from stack.process.parts import free_port
from stack.supervision.processes import MODULE, last_line

KEYS: Final = ("ours-fitted", "ours-full", "upstream", "upstream-batch")
BASELINE: Final = "upstream"
"""The server whose WER with one session is the baseline."""
MAX_SESSIONS: Final = 512
MAX_CONNECTION_TIME: Final = 3600
_START_DEADLINE: Final = 120.0
_STOP_DEADLINE: Final = 10.0
_POLL: Final = 0.1

UPSTREAM_SETTINGS: Final[Mapping[str, Any]] = {
    "backend": "faster_whisper",
    "faster_whisper_custom_model_path": str(MODEL_DIRECTORY),
    # As upstream's run_server.py starts it with a model of one's own: loaded once, used by all.
    "single_model": True,
    "max_clients": MAX_SESSIONS,
    "max_connection_time": MAX_CONNECTION_TIME,
}
UPSTREAM_BATCH_SETTINGS: Final[Mapping[str, Any]] = {
    "batch_enabled": True,
    "batch_max_size": 8,  # as run_server.py has it
    # A limit on arrivals is not what is measured, no more than max_clients is. That it turns away
    # sessions once its queue waits too long stays: that is how it behaves under load.
    "batch_max_admissions_per_s": MAX_SESSIONS,
}


class ServerError(Exception):
    """A server that can't be started, or that ended; one sentence."""


@dataclass(frozen=True, slots=True)
class Server:
    """One of the servers, not started yet."""

    key: str
    name: str
    """For the tables."""
    module_options: tuple[str, ...] = ()
    """Of our replica."""
    upstream_settings: Mapping[str, Any] | None = None
    """Of ``TranscriptionServer.run``; None: this is our replica."""

    def command(self, port: int) -> list[str]:
        """Return the command line; blocking, as it may make upstream's environment first.

        Raises ServerError when that environment can't be made.
        """
        if self.upstream_settings is None:
            return [
                *MODULE,
                "stack.replica",
                f"--port={port}",
                f"--max-sessions={MAX_SESSIONS}",
                f"--max-connection-time={MAX_CONNECTION_TIME}",
                *self.module_options,
            ]
        try:
            python = interpreter(SERVER)
        except UpstreamUnavailableError as error:
            raise ServerError(f"{self.name} can't be installed: {error}") from None
        script = str(Path(__file__).with_name("upstream_server.py"))
        return [str(python), "-P", script, json.dumps({"port": port, **self.upstream_settings})]

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables, beside those that are inherited."""
        both = {
            "PYTHONUNBUFFERED": "1",
            "CUDA_VISIBLE_DEVICES": "",  # the comparison is one of CPUs, wherever it runs
            "HF_HUB_OFFLINE": "1",
        }
        if self.upstream_settings is None:
            # What the process engine gives its replicas.
            root = str(Path(__file__).parents[1].resolve())
            return both | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": root}
        # As run_server.py: one thread, unless the variable says otherwise.
        return both | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}


def end_in_order() -> None:
    """Let SIGTERM and SIGHUP cancel the current task as Ctrl-C does: servers are stopped."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)


def make(
    key: str, *, replica_options: Sequence[str] = (), upstream_options: Mapping[str, Any]
) -> Server:
    """Make the server of one of the ``KEYS``.

    ``replica_options`` are added to our replica's command line, ``upstream_options`` to the
    keyword arguments of upstream's ``run``; both override what is set here.
    """
    match key:
        case "ours-fitted":
            window = ("--encoder-window=fitted", *replica_options)
            return Server(key, "whisperctl, window fitted", module_options=window)
        case "ours-full":
            window = ("--encoder-window=full", *replica_options)
            return Server(key, "whisperctl, window 30 s", module_options=window)
        case "upstream":
            settings = {**UPSTREAM_SETTINGS, **upstream_options}
            return Server(key, f"whisper-live {VERSION}", upstream_settings=settings)
        case "upstream-batch":
            settings = {**UPSTREAM_SETTINGS, **UPSTREAM_BATCH_SETTINGS, **upstream_options}
            return Server(key, f"whisper-live {VERSION}, batching", upstream_settings=settings)
    raise ValueError(f"no server '{key}'")


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers on ``port`` of loopback."""

    server: Server
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise ServerError when its process has ended."""
        code = self.process.poll()
        if code is not None:
            said = last_line(self.log)
            raise ServerError(
                f"{self.server.name} ended by itself (exit code {code})"
                + (f"; its last words: {said}" if said else ".")
            )

    def cpu_seconds(self) -> float | None:
        """Return the CPU time, user and system, that its processes have used; None: it is gone."""
        try:
            root = psutil.Process(self.process.pid)
            processes = [root, *root.children(recursive=True)]
        except psutil.Error:
            return None
        used = 0.0
        for process in processes:
            with suppress(psutil.Error):
                times = process.cpu_times()
                # The time of children that have ended is their parent's.
                used += times.user + times.system
                used += times.children_user + times.children_system
        return used


@asynccontextmanager
async def running(server: Server, log: Path) -> AsyncIterator[Running]:
    """Start a server, wait until it answers, and stop it with all its processes in the end.

    Its output is written to ``log``. Raises ServerError when it doesn't start.
    """
    port = free_port()
    command = await asyncio.to_thread(server.command, port)
    process = _start(server, command, log)
    try:
        started = Running(server, port, process, log)
        await _until_up(started)
        yield started
    finally:
        _stop(process)


def _start(server: Server, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A process group of its own: Ctrl-C reaches the benchmark alone, which stops it.
                start_new_session=True,
                cwd=log.parent,
                env=_inherited() | server.environment,
            )
        except OSError as error:
            raise ServerError(f"{server.name} can't be started: {error.strerror}.") from None


def _inherited() -> dict[str, str]:
    # With a key our replica would let nobody in who doesn't bring it.
    return {name: value for name, value in os.environ.items() if name != "WHISPERCTL_API_KEY"}


async def _until_up(started: Running) -> None:
    deadline = time.monotonic() + _START_DEADLINE
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        while time.monotonic() < deadline:
            started.check()
            with suppress(OSError, httpx.HTTPError):
                if started.server.upstream_settings is not None:
                    _, writer = await asyncio.open_connection("127.0.0.1", started.port)
                    writer.close()
                    return
                answer = await client.get(f"http://127.0.0.1:{started.port}/ready")
                if answer.status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(_POLL)
    raise ServerError(
        f"{started.server.name} didn't answer within {_START_DEADLINE:.0f} s; see {started.log}."
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process group: in order, and after a deadline, or at a second Ctrl-C, by force."""
    try:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_DEADLINE)
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
