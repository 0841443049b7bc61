"""A command in a terminal of its own: a real pseudo-terminal that can be looked at and closed."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from typing import Any

_TAKE_CONTROL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """Runs a command; everything it draws is read at once, so that it never waits for us."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        controlling: bool = True,
        size: tuple[int, int] = (140, 45),
    ) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.modes_before = self.modes
        self._drawn = bytearray()

        # These would be believed more than the terminal itself.
        size_names = {"COLUMNS", "LINES"}
        inherited = {name: text for name, text in os.environ.items() if name not in size_names}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_CONTROL, *command] if controlling else command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env={**inherited, **environment, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        self._wake, self._waker = os.pipe()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while self._wake not in select.select([self._master, self._wake], [], [])[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            self._drawn += data

    @property
    def drawn(self) -> str:
        """Everything it has drawn so far, escape sequences included."""
        return bytes(self._drawn).decode("utf-8", "replace")

    @property
    def modes(self) -> list[Any]:
        """How the terminal is set."""
        return termios.tcgetattr(self._slave)

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._master, keys.encode())

    def close(self) -> None:
        """Close the terminal, as who closes its window does."""
        if self._master >= 0:
            os.write(self._waker, b"x")
            self._reader.join(10)
            for one in (self._master, self._slave, self._wake, self._waker):
                os.close(one)
            self._master = -1

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.close()


def whisperctl(*arguments: object, before: str = "") -> list[str]:
    """Return the command that runs whisperctl, after Python statements ``before`` it."""
    words = [str(argument) for argument in arguments]
    code = f"import sys\n{before}\nfrom console.cli import main\nsys.exit(main({words!r}))"
    return [sys.executable, "-c", code]
