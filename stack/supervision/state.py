"""The state directory of a stack: what it should be, and what runs.

``desired.json`` is written by commands, and by the supervisor where a change of the model goes on;
``state.json`` by the supervisor alone. Both are replaced whole. Whoever changes the desired state
holds a lock meanwhile, so that no change is lost; the supervisor holds another for as long as it
lives, so that there is never a second one and everybody can see whether there is one, however it
died.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import platformdirs
import psutil
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stack.engine import StackError
from stack.files import write_atomically
from stack.spec import EngineName, Strategy
from stack.status import ReplicaState, StackEvent
from stack.supervision.desired import Desired, Phase

EVENTS_KEPT: Final = 200

_Model = TypeVar("_Model", bound=BaseModel)


def state_directory() -> Path:
    """Return the directory of what whisperctl keeps about this machine."""
    named = os.environ.get("WHISPERCTL_STATE_DIR")
    return Path(named) if named else Path(platformdirs.user_state_dir("whisperctl"))


def state_root() -> Path:
    """Return the directory under which every stack has its own."""
    return state_directory() / "stacks"


class ProcessIdentity(BaseModel):
    """A process, told from later ones that got the same id."""

    model_config = ConfigDict(frozen=True)

    pid: int
    create_time: float
    """Seconds since the epoch, as the kernel says."""

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Return a running process's identity."""
        try:
            return cls(pid=pid, create_time=psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def find(self) -> psutil.Process | None:
        """Return the process while it runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.create_time) > 0.02:
                return None
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.Error:
            return None
        return process


class ContainerIdentity(BaseModel):
    """A container in one of its lives: the same one started again is another part."""

    model_config = ConfigDict(frozen=True)

    container: str
    """The engine's id of it."""
    started_at: str
    """As the engine writes it; it is only compared."""


Part = ProcessIdentity | ContainerIdentity
"""A running part of a stack."""


class ReplicaRecord(BaseModel):
    """One replica as the supervisor knows it."""

    name: str
    state: ReplicaState = ReplicaState.STARTING
    part: Part | None = None
    """What runs it; None while nothing does."""
    host: str = "127.0.0.1"
    port: int | None = None
    """Where sessions and the supervisor reach it."""
    generation: int = 0
    kills: int = 0
    """How often it was killed because somebody asked for that."""
    model: str = ""
    """What it was started with; empty of one that an earlier version started."""
    restarts: int = 0
    failures: int = 0
    """Deaths in a row without a stable minute between."""
    started_at: float | None = None
    since: float | None = None
    """When it came into its state; seconds since the epoch."""
    deadline: float | None = None
    """When its drain is over, whether or not its sessions are; seconds since the epoch."""
    detail: str = ""

    @property
    def address(self) -> str | None:
        """``host:port``; None before it has one."""
        if self.port is None:
            return None
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class BalancerRecord(BaseModel):
    """The balancer as the supervisor knows it."""

    part: Part | None = None
    address: str | None = None
    """``host:port`` under which the supervisor asks for its targets."""
    restarts: int = 0
    alive: bool = False
    targets: tuple[str, ...] = ()
    """Replicas that it says new sessions go to."""
    strategy: Strategy | None = None
    """How it was last told to choose."""


class State(BaseModel):
    """What runs; written by the supervisor alone."""

    replicas: list[ReplicaRecord] = []
    balancer: BalancerRecord = Field(default_factory=BalancerRecord)
    events: list[StackEvent] = []
    stopping: bool = False


class StackDirectory:
    """One stack's state directory. Every method does blocking file I/O."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def logs(self) -> Path:
        """Directory of the parts' logs."""
        return self.path / "logs"

    @property
    def balancer_config(self) -> Path:
        """The balancer's configuration file."""
        return self.path / "balancer.json"

    def exists(self) -> bool:
        """Whether there is a stack."""
        return (self.path / "desired.json").is_file()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock under which the desired state is changed. It leaves no file behind."""
        root = self.path.parent
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(root, os.O_RDONLY)
        except OSError as error:
            raise StackError(
                f"State directory {root} can't be used: {error.strerror}; "
                "name another one in WHISPERCTL_STATE_DIR."
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def create(self, desired: Desired, key: str | None) -> None:
        """Make the directory of a new stack, whose replicas ask for ``key``."""
        self.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.chmod(0o700)
        if key:
            write_atomically(self._key, key.encode(), mode=0o600)
        self.write_desired(desired)

    @property
    def _key(self) -> Path:
        return self.path / "key"

    def read_key(self) -> str | None:
        """Return the key that every replica of this stack asks for, whoever starts it."""
        try:
            return self._key.read_text() or None
        except OSError:
            return None

    def read_desired(self) -> Desired | None:
        """Return what the stack should be; None when there is no stack."""
        return _read(self.path / "desired.json", Desired)

    def write_desired(self, desired: Desired) -> None:
        """Replace what the stack should be."""
        data = desired.model_dump_json(indent=1).encode()
        write_atomically(self.path / "desired.json", data, mode=0o600)

    def change(self, change: Callable[[Desired], Desired]) -> Desired:
        """Change what the stack should be, under the lock; raises StackError without a stack."""
        with self.lock():
            desired = self.read_desired()
            if desired is None or desired.phase is Phase.DOWN:
                raise StackError(
                    f"There is no stack '{self.path.name}'; bring one up with 'whisperctl up'."
                )
            changed = change(desired)
            if changed != desired:
                self.write_desired(changed)
            return changed

    def read_state(self) -> State:
        """Return what runs, as the supervisor last wrote it."""
        return _read(self.path / "state.json", State) or State()

    def write_state(self, state: State) -> None:
        """Replace what runs."""
        data = state.model_dump_json(indent=1).encode()
        write_atomically(self.path / "state.json", data, mode=0o600)

    def traces_of_engine(self) -> EngineName:
        """Guess what runs the stack, from state that may be damaged; ``process`` without a sign."""
        for name in ("desired.json", "state.json"):
            try:
                text = (self.path / name).read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if '"engine": "docker"' in text or '"container":' in text:
                return EngineName.DOCKER
        return EngineName.PROCESS

    def remove(self) -> None:
        """Delete the directory and everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def claim_supervision(self) -> int | None:
        """Take the supervisor's lock and return its handle; None when somebody has it."""
        return self._supervision(fcntl.LOCK_EX)

    def is_supervised(self) -> bool:
        """Whether a supervisor lives."""
        # A shared lock, so that two who ask at once don't take each other for a supervisor.
        handle = self._supervision(fcntl.LOCK_SH)
        if handle is None:
            return self.exists()
        os.close(handle)
        return False

    def _supervision(self, kind: int) -> int | None:
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        return handle


def _read(path: Path, model: type[_Model]) -> _Model | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        raise StackError(
            f"State file {path} is unusable ({str(error).splitlines()[0]}); end what runs of the "
            f"stack with 'whisperctl down --name {path.parent.name} --force'."
        ) from None
