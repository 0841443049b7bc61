"""The supervisor: one process a stack, which makes what is into what should be.

It compares and mends a few times a second and keeps nothing that matters in memory: a new one goes
on from the state directory where a killed one left off, and adopts what runs.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any, Final

import httpx

from stack.engine import StackError
from stack.status import ReplicaState, sessions_text
from stack.supervision.balancing import BalancerCare
from stack.supervision.desired import Desired, Phase
from stack.supervision.ending import end_all
from stack.supervision.events import EventLog
from stack.supervision.judgement import backoff, said_state
from stack.supervision.rollout import advance
from stack.supervision.runtime import Runtime
from stack.supervision.state import ReplicaRecord, StackDirectory, State

STABLE: Final = 60.0
"""Seconds a replica must live for its earlier deaths to be forgotten."""
ANSWER_TIMEOUT: Final = 1.0
UNHEALTHY_AFTER: Final = 5.0
"""Seconds without an answer after which a replica is unhealthy and gets no new session."""
KILL_AFTER: Final = 8.0
"""Seconds between the polite signal and the last one."""

_log = logging.getLogger("stack.supervisor")


class Supervisor:
    """Looks after one stack until it is down."""

    def __init__(self, directory: StackDirectory, runtime: Runtime) -> None:
        self._directory = directory
        self._runtime = runtime
        self._state = directory.read_state()
        self._answers: dict[str, dict[str, Any]] = {}
        self._answered_at: dict[str, float] = {}
        self._retry_at: dict[str, float] = {}
        self._drain_until: dict[str, float] = {}
        self._ended_at: dict[str, float] = {}
        self._drain_asked: set[str] = set()
        self._killed: set[str] = set()
        self._states = {record.name: record.state for record in self._state.replicas}
        self._adopted = False
        self._trouble = ""
        """What keeps the engine itself from answering."""
        self._written: State | None = None
        self._event = EventLog(self._state).add
        self._balancer = BalancerCare(runtime, self._state, self._event, self._save)

    async def run(self) -> None:
        """Supervise until the stack is down; its directory is gone then."""
        if self._state.replicas:
            self._event("stack", "A new supervisor has taken over.")
        # A replica with a key drains for nobody else.
        key = self._directory.read_key()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(
            timeout=ANSWER_TIMEOUT, trust_env=False, headers=headers
        ) as client:
            while True:
                try:
                    desired = await asyncio.to_thread(self._directory.read_desired)
                except StackError as error:
                    # Damaged: what runs stays as it is until somebody mends that, or ends it.
                    await self._note_trouble(error)
                    await asyncio.sleep(self._runtime.interval)
                    continue
                if desired is None:
                    # Somebody deleted the directory: what nobody could find again must not stay.
                    if not self._runtime.findable:
                        await self._shut_down(client, None, drain=0.0)
                    return
                try:
                    await self._adopt()
                    if desired.phase is Phase.DOWN:
                        await self._go_down(client, desired)
                        return
                    await self.step(client, desired)
                    self._trouble = ""
                except StackError as error:
                    # The engine itself is away: what runs is neither dead nor to be started.
                    await self._note_trouble(error)
                except Exception:
                    # A full disk, say: the stack is better off watched than alone.
                    _log.exception("A comparison failed; the next one follows.")
                await asyncio.sleep(self._runtime.interval)

    async def _note_trouble(self, error: StackError) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            self._event("stack", self._trouble, severity="error")
            await asyncio.to_thread(self._save)

    async def _adopt(self) -> None:
        if not self._adopted:
            for done in await asyncio.to_thread(self._runtime.adopt, self._state):
                self._event("stack", done)
            self._adopted = True

    async def step(self, client: httpx.AsyncClient, desired: Desired) -> None:
        """Compare once and mend what differs."""
        await asyncio.to_thread(self._runtime.refresh)
        await asyncio.to_thread(self._kill_asked, desired)
        await asyncio.to_thread(self._note_deaths)
        await self._ask(client, [each for each in self._state.replicas if each.part], desired)
        self._judge()
        desired = await asyncio.to_thread(
            advance, self._directory, desired, self._state, self._event
        )
        self._add_missing(desired)
        await asyncio.to_thread(self._start_due, desired)
        await self._retire(client, desired)
        await self._balancer.look(client, desired)
        await asyncio.to_thread(self._save)
        await asyncio.to_thread(self._runtime.tidy)

    # --- what there is --------------------------------------------------------------------------

    def _kill_asked(self, desired: Desired) -> None:
        for record in self._state.replicas:
            asked = desired.kills.get(record.name, 0)
            if asked <= record.kills:
                continue
            record.kills = asked
            if self._runtime.end(record.part, at_once=True):
                self._killed.add(record.name)
                record.state, record.detail = ReplicaState.DEAD, "killed, as asked"
                cut = self._answers.get(record.name, {}).get("sessions")
                text = "Killed, as asked." + (f" {sessions_text(cut)} cut." if cut else "")
                self._event(record.name, text, severity="warning")
            self._save()

    def _note_deaths(self) -> None:
        now = time.monotonic()
        for record in self._state.replicas:
            if record.part is None or self._runtime.runs(record.part):
                continue
            killed = record.name in self._killed
            self._killed.discard(record.name)
            if record.name in self._drain_until:
                self._runtime.discard(record.part)
            record.part = None
            if killed or record.name in self._drain_until:
                continue  # that was asked for
            lived = time.time() - (record.started_at or 0.0)
            record.failures = 1 if lived > STABLE else record.failures + 1
            record.state = ReplicaState.DEAD
            record.detail = self._runtime.last_words(record.name)
            delay = backoff(record.failures)
            self._retry_at[record.name] = now + delay
            self._event(
                record.name, f"It died and is started again in {delay:g} s.", severity="error"
            )

    async def _ask(
        self, client: httpx.AsyncClient, records: Iterable[ReplicaRecord], desired: Desired
    ) -> None:
        async def ask(record: ReplicaRecord) -> None:
            answer = await self._runtime.ask(client, record, desired)
            if answer is None:
                self._answers.pop(record.name, None)
            else:
                self._answers[record.name] = answer
                self._answered_at[record.name] = time.monotonic()

        await asyncio.gather(*(ask(record) for record in records))

    def _judge(self) -> None:
        now = time.monotonic()
        for record in self._state.replicas:
            if record.part is None or record.name in self._killed:
                continue
            answer = self._answers.get(record.name)
            before = record.state
            if answer is not None:
                record.state = said_state(answer)
            elif before is not ReplicaState.STARTING:
                silent = now - self._answered_at.setdefault(record.name, now)
                if silent > UNHEALTHY_AFTER:
                    record.state = ReplicaState.UNHEALTHY
            if record.name in self._drain_until:
                record.state = ReplicaState.DRAINING
            if record.state is ReplicaState.STARTING and answer is not None:
                record.detail = str(answer.get("doing") or "")[:200]
            if record.state is before:
                continue
            record.detail = ""
            if record.state is ReplicaState.READY:
                warm = time.time() - (record.started_at or time.time())
                took = f" after {warm:.1f} s" if before is ReplicaState.STARTING else ""
                self._event(record.name, f"Ready{took}: it takes sessions.")
            elif record.state is ReplicaState.UNHEALTHY:
                record.detail = f"no answer for {UNHEALTHY_AFTER:g} s; it gets no new session"
                self._event(record.name, "It does not answer.", severity="warning")

    # --- what should be -------------------------------------------------------------------------

    def _add_missing(self, desired: Desired) -> None:
        there = {record.name for record in self._state.replicas}
        for name in desired.names:
            if name not in there:
                generation, kills = desired.generations.get(name, 0), desired.kills.get(name, 0)
                record = ReplicaRecord(name=name, generation=generation, kills=kills)
                self._state.replicas.append(record)
        self._state.replicas.sort(key=lambda record: (len(record.name), record.name))

    def _start_due(self, desired: Desired) -> None:
        now = time.monotonic()
        for record in self._state.replicas:
            due = now >= self._retry_at.get(record.name, 0.0)
            if record.part is None and record.name in desired.names and due:
                self._start(record, desired)

    def _start(self, record: ReplicaRecord, desired: Desired) -> None:
        try:
            running = self._runtime.start_replica(desired, record.name)
        except StackError as error:
            record.failures += 1
            record.state, record.detail = ReplicaState.DEAD, str(error)
            delay = backoff(record.failures)
            self._retry_at[record.name] = time.monotonic() + delay
            text = f"It can't be started, next try in {delay:g} s: {error}"
            self._event(record.name, text, severity="error")
            return
        record.part, record.host, record.port = running.part, running.host, running.port
        record.deadline = None
        if record.started_at is not None:
            record.restarts += 1
        record.started_at = time.time()
        record.state, record.detail = ReplicaState.STARTING, ""
        record.model = desired.spec_of(record.name).replica.model
        record.generation = desired.generations.get(record.name, 0)
        self._know_nothing_of(record.name)
        self._event(record.name, "Starting.")
        # At once, so that a supervisor that dies now leaves no process that nobody knows.
        self._save()

    async def _retire(self, client: httpx.AsyncClient, desired: Desired) -> None:
        """Drain and end replicas that should not be, or should be replaced."""
        now = time.monotonic()
        for record in list(self._state.replicas):
            wanted = record.name in desired.names
            if wanted and record.generation >= desired.generations.get(record.name, 0):
                if record.part is not None and record.name not in self._ended_at:
                    # It was to go and is wanted again before it went.
                    await self._keep(client, record)
                continue
            if record.part is None:
                if wanted:
                    record.generation = desired.generations.get(record.name, 0)
                    record.failures = 0
                    self._retry_at.pop(record.name, None)
                else:
                    self._forget(record)
                continue
            if record.name not in self._drain_until:
                self._drain_until[record.name] = now + desired.spec.drain_timeout
                record.deadline = time.time() + desired.spec.drain_timeout
                record.state, record.detail = ReplicaState.DRAINING, ""
                self._event(record.name, "Draining: it keeps its sessions, gets no new one.")
                continue  # the balancer hears of it first; the replica at the next comparison
            await self._end_drained(client, record, now)

    async def _keep(self, client: httpx.AsyncClient, record: ReplicaRecord) -> None:
        """Replace a replica that was draining and is wanted again: its drain can't be undone."""
        if record.name not in self._drain_until:
            return
        record.generation = -1
        await self._end_drained(client, record, time.monotonic())

    async def _end_drained(
        self, client: httpx.AsyncClient, record: ReplicaRecord, now: float
    ) -> None:
        sessions = self._answers.get(record.name, {}).get("sessions")
        if record.name not in self._ended_at:
            over = now >= self._drain_until[record.name]
            balancer = self._state.balancer
            if balancer.alive and record.name in balancer.targets and not over:
                return  # new sessions still come: whoever drains now turns them away
            started = record.name in self._answered_at
            fresh = record.name not in self._drain_asked
            self._drain_asked.add(record.name)
            await self._post_drain(client, record, complain=fresh)
            if fresh and started and not over:
                return  # what it said of its sessions is older than the drain
            # One that is too busy to answer may have sessions; one that never did has none.
            if sessions == 0 or not started or over:
                if over and sessions:
                    text = (
                        f"Its time to drain is over; {sessions_text(sessions)} flushed and ended."
                    )
                    self._event(record.name, text, severity="warning")
                self._ended_at[record.name] = now
                await asyncio.to_thread(self._runtime.end, record.part)
        elif now - self._ended_at[record.name] > KILL_AFTER:
            await asyncio.to_thread(self._runtime.end, record.part, at_once=True)

    async def _post_drain(
        self, client: httpx.AsyncClient, record: ReplicaRecord, *, complain: bool = True
    ) -> None:
        try:
            answer = await client.post(f"http://{record.address}/drain")
            answer.raise_for_status()
        except httpx.HTTPError as error:
            if complain:
                _log.warning("%s did not take the drain: %s", record.name, error)

    def _forget(self, record: ReplicaRecord) -> None:
        self._state.replicas.remove(record)
        self._know_nothing_of(record.name)
        self._retry_at.pop(record.name, None)
        self._event(record.name, "Gone.")

    def _know_nothing_of(self, name: str) -> None:
        for known in (self._drain_until, self._ended_at, self._answers, self._answered_at):
            known.pop(name, None)
        self._drain_asked.discard(name)

    # --- the end --------------------------------------------------------------------------------

    async def _go_down(self, client: httpx.AsyncClient, desired: Desired) -> None:
        self._state.stopping = True
        self._event("stack", "Going down.")
        await asyncio.to_thread(self._save)
        drain = desired.spec.drain_timeout if desired.drain_on_down else 0.0
        if drain:
            for record in self._state.replicas:
                record.state, record.deadline = ReplicaState.DRAINING, time.time() + drain
            await asyncio.to_thread(self._save)
            # The balancer first, so that nobody is sent to a replica that turns him away.
            await asyncio.to_thread(self._balancer.configure, desired)
            await asyncio.sleep(self._runtime.interval)
        await self._shut_down(client, desired, drain=drain)
        await asyncio.to_thread(self._runtime.remove)
        await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        with self._directory.lock():
            self._directory.remove()

    async def _shut_down(
        self, client: httpx.AsyncClient, desired: Desired | None, *, drain: float
    ) -> None:
        records = [record for record in self._state.replicas if record.part is not None]
        if drain and desired is not None:
            await asyncio.gather(*(self._post_drain(client, record) for record in records))
            deadline = time.monotonic() + drain
            while time.monotonic() < deadline:
                await self._ask(client, records, desired)
                if all(self._is_empty(record) for record in records):
                    break
                if await asyncio.to_thread(self._is_hastened):
                    break
                await asyncio.sleep(self._runtime.interval)
        running = [record.part for record in records]
        running.append(self._state.balancer.part)
        parts = [part for part in running if part is not None]
        await asyncio.to_thread(end_all, self._runtime, parts, KILL_AFTER)

    def _is_hastened(self) -> bool:
        """Tell whether somebody doesn't want to wait for the sessions any longer."""
        try:
            now = self._directory.read_desired()
        except StackError:
            return False
        return now is None or not now.drain_on_down

    def _is_empty(self, record: ReplicaRecord) -> bool:
        """Tell whether a replica has no session: one that is too busy to answer may have some."""
        answer = self._answers.get(record.name)
        if answer is None:
            return record.name not in self._answered_at or not self._runtime.runs(record.part)
        return answer.get("sessions") == 0

    # --- what is known of it --------------------------------------------------------------------

    def _save(self) -> None:
        for record in self._state.replicas:
            if self._states.get(record.name) is not record.state:
                record.since = time.time()
        self._states = {record.name: record.state for record in self._state.replicas}
        if self._state != self._written and self._directory.path.is_dir():
            self._directory.write_state(self._state)
            self._written = self._state.model_copy(deep=True)
