"""NVIDIA's management library (NVML), asked by one thread of its own.

NVML calls can hang for as long as the driver likes. A thread that waits for one holds up neither
the event loop, nor the threads that read other figures, nor the end of the program.
"""

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pynvml

T = TypeVar("T")

NO_LIBRARY: Final = "driver's library not found"
"""What is said of a machine without NVIDIA's driver."""
_WORDS: Final = {
    pynvml.NVML_ERROR_NOT_SUPPORTED: "not supported",
    pynvml.NVML_ERROR_NO_PERMISSION: "no permission",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "driver not loaded",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "driver and library differ in version",
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: NO_LIBRARY,
    pynvml.NVML_ERROR_GPU_IS_LOST: "lost",
    pynvml.NVML_ERROR_GPU_NOT_FOUND: "lost",
    pynvml.NVML_ERROR_RESET_REQUIRED: "needs a reset",
    pynvml.NVML_ERROR_TIMEOUT: "no answer",
}
_AWAY: Final = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_GPU_NOT_FOUND,
        pynvml.NVML_ERROR_RESET_REQUIRED,
    }
)
_ONLY_THIS_FIGURE: Final = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_NOT_FOUND,
    }
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """NVML's answer where it gives none."""

    code: int
    """NVML_ERROR_…"""

    @property
    def word(self) -> str:
        """What it means, in a word or a few."""
        return _WORDS.get(self.code, f"driver error {self.code}")

    @property
    def lost(self) -> bool:
        """Whether the card, or the driver, is away."""
        return self.code in _AWAY

    @property
    def of_card(self) -> bool:
        """Whether something is wrong with the whole card, not only with what was asked for."""
        return self.code not in _ONLY_THIS_FIGURE


def ask(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what NVML says, or a Refusal. Raises nothing."""
    try:
        return call(*arguments)
    except pynvml.NVMLError as error:
        return Refusal(error.value)
    except pynvml.NVMLLibraryMismatchError:
        return Refusal(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    except UnicodeDecodeError:
        return Refusal(pynvml.NVML_ERROR_UNKNOWN)


def figure(call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what NVML says, None where it can't say."""
    answer = ask(call, *arguments)
    return None if isinstance(answer, Refusal) else answer


def ask_newest(calls: tuple[str, ...], *arguments: Any) -> Any:
    """Ask the first of these functions that the driver has; older drivers lack the newer ones."""
    answer: Any = Refusal(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    for name in calls:
        call = getattr(pynvml, name, None)
        if call is None:
            continue
        answer = ask(call, *arguments)
        missing = isinstance(answer, Refusal) and (
            answer.code == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
        )
        if not missing:
            break
    return answer


class NvmlThread:
    """Runs calls one after the other in a thread that nobody waits for at the end."""

    PATIENCE: Final = 0.7
    """Seconds after which a call counts as hanging: no other is queued behind it."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._busy_since: float | None = None

    def submit(self, call: Callable[[], T]) -> "Future[T] | None":
        """Queue a call; None while an earlier one hangs."""
        with self._lock:
            since = self._busy_since
            if since is not None and time.monotonic() - since > self.PATIENCE:
                return None
            if self._thread is None:
                # A daemon: the interpreter ends without it. A pool's threads would be waited for.
                self._thread = threading.Thread(target=self._run, name="nvml", daemon=True)
                self._thread.start()
        future: Future[T] = Future()
        self._calls.put((future, call))
        return future

    def run(self, call: Callable[[], T], timeout: float = PATIENCE) -> T | None:
        """Return what a call returns; None when it takes more than ``timeout`` seconds."""
        future = self.submit(call)
        if future is None:
            return None
        try:
            return future.result(timeout)
        except FutureTimeoutError:
            future.cancel()  # one that has not begun is left out
            return None

    def _run(self) -> None:
        while True:
            future, call = self._calls.get()
            if not future.set_running_or_notify_cancel():
                continue
            self._busy_since = time.monotonic()
            try:
                result = call()
            except Exception as error:
                self._busy_since = None
                future.set_exception(error)
            else:
                # Before the answer: who gets it may ask the next thing at once.
                self._busy_since = None
                future.set_result(result)


THREAD: Final = NvmlThread()
"""The one thread of this process that asks NVML: what it initialises is the whole process's."""
