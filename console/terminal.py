"""Drivers that outlive what they draw on: a closed terminal, a closed browser.

Textual's own block the event loop for ever once nobody takes their output, so that nothing could be
saved any more.
"""

import os
import select
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any, Final, TextIO

from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.drivers.web_driver import WebDriver

_RESET: Final = (
    "\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[<u"
    "\x1b[?1049l\x1b[?25h\x1b[?1004l"
)
"""Takes back what Textual's driver asks of a terminal; see its ``stop_application_mode``."""


class _Output:
    """A text stream that drops what can't be written any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write it, or drop it."""
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or drop what is buffered."""
        try:
            self._stream.flush()
        except OSError:
            # What stays in the buffer would fail again, at the interpreter's end.
            with suppress(OSError):
                _to_nowhere(self._stream.fileno())

    def fileno(self) -> int:
        """Return the stream's file descriptor."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()


def _to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


class TerminalDriver(LinuxDriver):
    """A terminal that may be closed."""

    def __init__(self, *arguments: Any, **values: Any) -> None:
        super().__init__(*arguments, **values)
        self._file: Any = _Output(self._file)

    def run_input_thread(self) -> None:
        """Read keys; a terminal that can't be read has gone, which ``input_lost`` tells of."""
        with suppress(OSError):
            super().run_input_thread()


class BrowserDriver(WebDriver):
    """A browser, by way of ``whisperctl serve``, either of which may go."""

    def __init__(self, *arguments: Any, **values: Any) -> None:
        super().__init__(*arguments, **values)
        write = self._write

        def write_while_wanted(data: bytes) -> None:
            with suppress(OSError):
                write(data)

        self._write: Any = write_while_wanted


def enduring(driver: type[Driver]) -> type[Driver]:
    """Return the driver that does the same as one of Textual's, and outlives its other side."""
    if driver is LinuxDriver:
        return TerminalDriver
    return BrowserDriver if driver is WebDriver else driver


def input_lost(descriptor: int = 0) -> bool:
    """Whether whoever is to write to our standard input has gone for good."""
    poll = select.poll()
    poll.register(descriptor, select.POLLHUP)
    try:
        return any(seen & (select.POLLHUP | select.POLLNVAL) for _, seen in poll.poll(0))
    except OSError:
        return True


def stop_reading(driver: Driver | None) -> None:
    """Have a driver's thread end that reads input: of a closed terminal there is no end of it."""
    event = getattr(driver, "exit_event", None)
    if isinstance(event, Event):
        event.set()


@contextmanager
def terminal_kept() -> Iterator[None]:
    """Give the terminal back as it was, also where Textual itself fails in starting or ending."""
    before = None
    with suppress(OSError, termios.error, ValueError, AttributeError):
        before = termios.tcgetattr(sys.stdin.fileno())
    try:
        yield
    except BaseException:
        if before is not None and sys.stderr.isatty():
            with suppress(OSError):
                sys.stderr.write(_RESET)
                sys.stderr.flush()
        raise
    finally:
        if before is not None:
            with suppress(OSError, termios.error, ValueError):
                termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, before)
