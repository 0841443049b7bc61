"""The supervisor: twice a second makes what runs into what should run."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import time
from typing import Any, Final

from stack.engine import StackError
from stack.process import identity
from stack.process.directory import StackDirectory, write_atomically
from stack.process.parts import (
    bound_log,
    free_port,
    last_line,
    module_command,
    replica_command,
    spawn,
)
from stack.process.plan import (
    END_SECONDS,
    STABLE_SECONDS,
    Action,
    Deed,
    back_off,
    balancer_config,
    plan,
)
from stack.process.probe import ReplicaAnswer, ask_balancer, ask_drain, ask_replica, local_client
from stack.process.state import Actual, ActualBalancer, ActualReplica, Desired, Phase, Stage

log = logging.getLogger("supervisor")

INTERVAL: Final = 0.5
LOG_CHECK_TICKS: Final = 20


class Supervisor:
    """Looks after one stack; hold ``StackDirectory.supervision`` while it runs.

    ``tick`` is one look with the deeds that follow from it; it returns False once the stack is
    down and its files are gone.
    """

    def __init__(self, directory: StackDirectory) -> None:
        self.directory = directory
        self.actual = Actual()
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._written: Actual | None = None
        self._config_text = ""
        self._revision = 0
        self._client = local_client()
        self._ticks = 0

    def adopt(self) -> None:
        """Take over what an earlier supervisor left running."""
        with contextlib.suppress(StackError):  # a damaged record: the marked processes remain
            self.actual = self.directory.read_actual()
        known = {each.process.pid for each in self.actual.replicas if each.process is not None}
        if self.actual.balancer.process is not None:
            known.add(self.actual.balancer.process.pid)
        for part, processes in identity.marked_processes(self.directory.path).items():
            for process in processes:
                if process.pid not in known and not self._has_known_parent(process.pid, known):
                    log.warning("A %s that nobody wrote down (pid %d) ends.", part, process.pid)
                    identity.kill_family(process)
        self._revision = int(time.time())
        adopted = sum(identity.is_alive(each.process) for each in self.actual.replicas)
        self.actual = self.actual.model_copy(update={"supervisor": identity.identify(os.getpid())})
        if adopted:
            self._event("stack", f"A new supervisor adopted {adopted} running replicas.")
        self._write()

    @staticmethod
    def _has_known_parent(pid: int, known: set[int]) -> bool:
        return any(parent in known for parent in identity.ancestors(pid))

    async def run(self) -> None:
        """Tick until the stack is down."""
        try:
            while True:
                began = time.monotonic()
                try:
                    if not await self.tick():
                        return
                except Exception:
                    # Whatever it was, the stack is better off watched.
                    log.exception("A look at the stack failed.")
                await asyncio.sleep(max(0.05, INTERVAL - (time.monotonic() - began)))
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the HTTP client."""
        await self._client.aclose()

    async def tick(self) -> bool:
        """Look once and act; returns False when there is nothing left to look after."""
        desired = await asyncio.to_thread(self.directory.read_desired)
        if desired is None:
            # Somebody removed the files by hand: nobody could ever end these processes.
            self._end_everything()
            return False
        self._see_deaths(desired)
        await self._balance(desired)
        self._write()
        open_connections = await self._ask_all(desired)
        now = time.monotonic()
        actions = plan(desired, self.actual, open_connections, now)
        await self._take_out_first(desired, actions)
        for action in actions:
            await self._act(desired, action)
        self._write_config(desired)
        self._write()
        self._ticks += 1
        if self._ticks % LOG_CHECK_TICKS == 0:
            await asyncio.to_thread(self._bound_logs)
        if desired.phase is Phase.DOWN and not self.actual.replicas:
            return not await self._finish()
        return True

    # -- seeing ---------------------------------------------------------------------------

    def _exit_code(self, pid: int) -> int | None:
        child = self._children.pop(pid, None)
        return child.wait() if child is not None else None

    def _reap(self) -> None:
        for child in self._children.values():
            child.poll()

    def _see_deaths(self, desired: Desired) -> None:
        self._reap()
        for replica in self.actual.replicas:
            if replica.stage is Stage.GONE or identity.is_alive(replica.process):
                continue
            code = self._exit_code(replica.process.pid) if replica.process else None
            if replica.stage is Stage.ENDING:
                self._update(replica.name, stage=Stage.GONE, process=None, ready=False)
                self._event(replica.name, "has ended.")
                continue
            self._died(replica, code, desired)

    def _died(self, replica: ActualReplica, code: int | None, desired: Desired) -> None:
        now = time.monotonic()
        stable = replica.ready_since is not None and now - replica.ready_since >= STABLE_SECONDS
        failures = 1 if stable else replica.failures + 1
        delay = back_off(failures)
        said = last_line(self.directory.log(replica.name)) if not replica.ever_ready else ""
        detail = how_it_ended(code) + (f": {said}" if said else "")
        self._update(
            replica.name,
            stage=Stage.GONE,
            process=None,
            ready=False,
            ready_since=None,
            unanswered_since=None,
            reported_draining=False,
            sessions=None,
            failures=failures,
            start_failures=0 if replica.ever_ready else replica.start_failures + 1,
            next_start=now + delay,
            detail=detail,
        )
        text = f"{detail.rstrip('.')}; it starts again in {delay:g} s."
        self._event(replica.name, text, severity="error")
        self._write_config(desired)

    async def _ask_all(self, desired: Desired) -> dict[str, int] | None:
        live = [each for each in self.actual.replicas if each.stage is not Stage.GONE]
        address = f"{_reachable(desired.spec.balancer.host)}:{desired.balancer_port}"
        answers, open_connections = await asyncio.gather(
            asyncio.gather(*(ask_replica(self._client, each.address) for each in live)),
            ask_balancer(self._client, address),
        )
        for replica, answer in zip(live, answers, strict=True):
            self._hear(replica, answer)
        self._hear_balancer(open_connections)
        return open_connections

    def _hear(self, replica: ActualReplica, answer: ReplicaAnswer) -> None:
        now = time.monotonic()
        if not answer.answered:
            since = replica.unanswered_since or now
            if replica.ever_ready:
                self._update(replica.name, unanswered_since=since)
            return
        changes: dict[str, Any] = {
            "unanswered_since": None,
            "sessions": answer.sessions,
            "reported_draining": answer.draining,
            "ready": answer.ready,
        }
        if answer.ready:
            changes |= {"ever_ready": True, "start_failures": 0, "detail": ""}
            changes["ready_since"] = replica.ready_since or now
            if replica.ready_since is None and replica.stage is Stage.RUNNING:
                self._event(replica.name, f"is ready after {now - replica.started:.1f} s.")
        self._update(replica.name, **changes)

    def _hear_balancer(self, open_connections: dict[str, int] | None) -> None:
        answers = open_connections is not None
        balancer = self.actual.balancer
        changes: dict[str, Any] = {"answers": answers}
        if answers:
            changes |= {"ever_answered": True, "detail": ""}
            if time.monotonic() - balancer.started >= STABLE_SECONDS:
                changes["failures"] = 0
        self._set_balancer(balancer.model_copy(update=changes))

    # -- doing ----------------------------------------------------------------------------

    async def _take_out_first(self, desired: Desired, actions: list[Action]) -> None:
        """Let the balancer know before a replica that still takes sessions is ended."""
        ending = {action.name for action in actions if action.deed is Deed.END}
        sure = [each for each in self.actual.replicas if each.name in ending and each.ready]
        if sure and desired.phase is Phase.UP:
            for replica in sure:
                self._update(replica.name, ready=False)
            self._write_config(desired)
            await asyncio.sleep(0.1)

    async def _act(self, desired: Desired, action: Action) -> None:
        now = time.monotonic()
        replica = self._find(action.name)
        match action.deed:
            case Deed.START:
                await asyncio.to_thread(self._start_replica, desired, action)
            case Deed.TAKE_OUT:
                self._update(
                    action.name,
                    stage=Stage.DRAINING,
                    stage_since=now,
                    deadline=action.deadline,
                    drain_asked=False,
                )
                self._event(action.name, "gets no new session and goes when its last has ended.")
            case Deed.ASK_DRAIN if replica is not None:
                heard = await ask_drain(self._client, replica.address)
                # Sessions counted before this moment may have grown since.
                self._update(action.name, drain_asked=True, sessions=None)
                if not heard:
                    self._event(action.name, "did not take the drain request.", severity="warning")
            case Deed.END if replica is not None:
                identity.send_signal(replica.process, signal.SIGTERM)
                self._update(
                    action.name, stage=Stage.ENDING, stage_since=now, deadline=now + END_SECONDS
                )
            case Deed.KILL if replica is not None:
                identity.kill_family(replica.process)
                self._event(action.name, "did not end and was killed.", severity="warning")
            case Deed.FORGET:
                kept = tuple(each for each in self.actual.replicas if each.name != action.name)
                self.actual = self.actual.model_copy(update={"replicas": kept})
            case _:
                pass

    def _start_replica(self, desired: Desired, action: Action) -> None:
        before = self._find(action.name)
        port = free_port("127.0.0.1")
        now = time.monotonic()
        replica = ActualReplica(
            name=action.name,
            generation=action.generation,
            host="127.0.0.1",
            port=port,
            started_at=time.time(),
            started=now,
            stage_since=now,
        )
        if before is not None:
            replica = replica.model_copy(
                update={
                    "restarts": before.restarts + 1,
                    "failures": before.failures,
                    "start_failures": before.start_failures,
                }
            )
        try:
            child = spawn(self.directory, action.name, replica_command(desired, action.name, port))
        except OSError as error:
            self._put(replica)
            self._died(replica.model_copy(update={"detail": str(error)}), None, desired)
            return
        self._children[child.pid] = child
        self._put(replica.model_copy(update={"process": identity.identify(child.pid)}))
        self._write()
        self._event(action.name, f"starts on port {port}.")

    async def _balance(self, desired: Desired) -> None:
        balancer = self.actual.balancer
        now = time.monotonic()
        if balancer.process is not None:
            if identity.is_alive(balancer.process):
                self._write_config(desired)
                return
            code = self._exit_code(balancer.process.pid)
            failures = balancer.failures + 1
            detail = how_it_ended(code)
            if not balancer.ever_answered:
                said = last_line(self.directory.log("balancer"))
                detail += f": {said}" if said else ""
            text = f"{detail.rstrip('.')}; it starts again in {back_off(failures):g} s."
            self._event("balancer", text, severity="error")
            balancer = balancer.model_copy(
                update={
                    "process": None,
                    "answers": False,
                    "failures": failures,
                    "next_start": now + back_off(failures),
                    "detail": detail,
                }
            )
            self._set_balancer(balancer)
        if desired.phase is Phase.UP and now >= (balancer.next_start or 0.0):
            await asyncio.to_thread(self._start_balancer, desired, balancer)

    def _start_balancer(self, desired: Desired, before: ActualBalancer) -> None:
        self._write_config(desired)
        command = module_command("stack.balancer")
        child = spawn(
            self.directory,
            "balancer",
            [*command, "--config", str(self.directory.balancer_config)],
        )
        self._children[child.pid] = child
        self._set_balancer(
            before.model_copy(
                update={
                    "process": identity.identify(child.pid),
                    "started": time.monotonic(),
                    "restarts": before.restarts + (before.next_start is not None),
                    "next_start": None,
                }
            )
        )
        self._write()

    def _write_config(self, desired: Desired) -> None:
        config = balancer_config(desired, self.actual, time.monotonic())
        text = config.model_dump_json()
        if text == self._config_text:
            return
        self._revision += 1
        stamped = config.model_copy(update={"revision": self._revision})
        write_atomically(self.directory.balancer_config, stamped.model_dump_json(indent=1))
        self._config_text = text
        # A signal before the handlers stand would end it; the file's time tells it soon enough.
        if self.actual.balancer.ever_answered and self.actual.balancer.answers:
            identity.send_signal(self.actual.balancer.process, signal.SIGHUP)

    # -- ending ---------------------------------------------------------------------------

    async def _finish(self) -> bool:
        """End the balancer and remove the files; False when the stack is wanted again."""
        return await asyncio.to_thread(self._finish_now)

    def _finish_now(self) -> bool:
        with self.directory.locked():
            desired = self.directory.read_desired()
            if desired is not None and desired.phase is Phase.UP:
                return False
            self._end_everything()
            self.directory.remove()
            return True

    def _end_everything(self) -> None:
        parts = [each.process for each in self.actual.replicas]
        parts.append(self.actual.balancer.process)
        end_processes([part for part in parts if part is not None], self._reap)
        for processes in identity.marked_processes(self.directory.path).values():
            for process in processes:
                identity.kill_family(process)
        self._reap()

    # -- bookkeeping ----------------------------------------------------------------------

    def _bound_logs(self) -> None:
        for path in self.directory.logs.glob("*.log"):
            bound_log(path)

    def _find(self, name: str) -> ActualReplica | None:
        return next((each for each in self.actual.replicas if each.name == name), None)

    def _put(self, replica: ActualReplica) -> None:
        others = [each for each in self.actual.replicas if each.name != replica.name]
        self.actual = self.actual.model_copy(update={"replicas": (*others, replica)})

    def _update(self, name: str, **changes: Any) -> None:
        self.actual = self.actual.model_copy(
            update={
                "replicas": tuple(
                    each.model_copy(update=changes) if each.name == name else each
                    for each in self.actual.replicas
                )
            }
        )

    def _set_balancer(self, balancer: ActualBalancer) -> None:
        self.actual = self.actual.model_copy(update={"balancer": balancer})

    def _event(self, subject: str, text: str, *, severity: str = "information") -> None:
        log.info("%s: %s", subject, text)
        self.actual = self.actual.with_event(subject, text, time=time.time(), severity=severity)

    def _write(self) -> None:
        if self.actual != self._written:
            self.directory.write_actual(self.actual)
            self._written = self.actual


def how_it_ended(code: int | None) -> str:
    """Return in words how a process ended; None is a process of an earlier supervisor."""
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def end_processes(
    parts: list[identity.PartIdentity], reap: Any = lambda: None, patience: float = END_SECONDS
) -> None:
    """Ask processes to end, wait ``patience`` seconds, then kill what is left. Blocks."""
    for part in parts:
        identity.send_signal(part, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        reap()
        if not any(identity.is_alive(part) for part in parts):
            return
        time.sleep(0.05)
    for part in parts:
        identity.kill_family(part)
    deadline = time.monotonic() + 2.0
    while time.monotonic() < deadline and any(identity.is_alive(part) for part in parts):
        reap()
        time.sleep(0.02)


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104
