"""A first user's session by keys alone, in a real terminal: from nothing to a comparison."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

TMUX = shutil.which("tmux")
pytestmark = [
    pytest.mark.skipif(TMUX is None, reason="tmux is not installed"),
    pytest.mark.timeout(300),
]


class Terminal:
    """A terminal of 140x45 in which one command runs, on a tmux server of its own."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def _tmux(self, *arguments: str) -> str:
        assert TMUX is not None
        done = subprocess.run(
            [TMUX, "-L", self._socket, "-f", os.devnull, "-u", *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        return done.stdout

    def start(self, command: list[str], environment: dict[str, str]) -> None:
        settings = [f"{name}={value}" for name, value in environment.items()]
        # The sizes that the test's own terminal has are not this one's.
        line = shlex.join(["env", "-u", "COLUMNS", "-u", "LINES", *settings, *command])
        self._tmux("new-session", "-d", "-s", "trial", "-x", "140", "-y", "45", "cat")
        # tmux itself now and then loses the code with which a pane's command ended.
        told = f'{line}; echo "ended with code $?"; exec cat'
        self._tmux("respawn-pane", "-k", "-t", "trial", told)

    def press(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", "-t", "trial", key)

    def write(self, text: str) -> None:
        self._tmux("send-keys", "-t", "trial", "-l", text)

    @property
    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", "trial")

    def _looks(self, first: str, last: str) -> str:
        """Return what is drawn between two texts, with its colours."""
        drawn = self._tmux("capture-pane", "-e", "-p", "-t", "trial")
        return drawn[drawn.find(first) : drawn.find(last)]

    def press_and_see(self, key: str, *, first: str, last: str) -> None:
        """Press a key and wait for what it changes, such as the field with the focus."""
        # The cursor blinks: what it alone changes is no answer to the key.
        end = time.monotonic() + 1.5
        before = set()
        while time.monotonic() < end:
            before.add(self._looks(first, last))
            time.sleep(0.1)
        self.press(key)
        self.until(lambda: self._looks(first, last) not in before, f"{key} changes something")

    @property
    def exit_code(self) -> int | None:
        found = re.search(r"^ended with code (\d+)", self.screen, re.MULTILINE)
        return int(found[1]) if found else None

    def until(self, condition: Callable[[], object], what: str, deadline: float = 60.0) -> None:
        end = time.monotonic() + deadline
        while not condition():
            assert time.monotonic() < end, f"not within {deadline:g} s: {what}\n{self.screen}"
            assert self.exit_code in {None, 0}, f"it ended, before {what}\n{self.screen}"
            time.sleep(0.1)

    def sees(self, *texts: str, deadline: float = 60.0) -> None:
        self.until(
            lambda: all(text in self.screen for text in texts), " and ".join(texts), deadline
        )

    def end(self) -> None:
        self._tmux("kill-server")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal(f"whisperctl-test-{uuid.uuid4().hex[:8]}")
    yield terminal
    terminal.end()


def put_load(terminal: Terminal) -> None:
    """Start a series of 2 and 4 clients, 3 s each: whatever the form looks like."""
    form = {"first": "what load", "last": "Start (enter)"}
    terminal.press("l")
    terminal.sees(*form.values())
    # Entering a field selects what is in it: typing replaces that.
    terminal.write("2,4")
    for _ in ("find the capacity", "up to so many", "seconds of audio"):
        terminal.press_and_see("Down", **form)
    terminal.write("3")
    terminal.press("Enter")


def ours(state: Path) -> list[psutil.Process]:
    """Return the processes that belong to the stacks of this state directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("WHISPERCTL_STATE_DIR") == str(state):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_first_session_by_keys_alone(terminal: Terminal, tmp_path: Path) -> None:
    state, results = tmp_path / "state", tmp_path / "results"
    environment = {
        "WHISPERCTL_STATE_DIR": str(state),
        "WHISPERCTL_CONFIG_DIR": str(tmp_path / "config"),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-m", "console", "tui", "--name", "session", "--port", "0"]
    terminal.start([*command, "--results-dir", str(results)], environment)
    try:
        play(terminal, results)
        terminal.until(lambda: not ours(state), "all processes are gone")
        assert not list(state.rglob("desired.json"))
    finally:
        for process in ours(state):
            process.kill()


def play(terminal: Terminal, results: Path) -> None:
    terminal.sees("stack session is not up  press u")
    terminal.press("u")
    terminal.sees("2/2 replicas")
    terminal.press("+")
    terminal.sees("3/3 replicas", "replica-3")

    put_load(terminal)
    terminal.sees("talking")
    # Whether it met its limits is a matter of what else the machine does.
    terminal.until(lambda: len(list(results.glob("run_*.json"))) == 2, "two runs are saved", 120)
    terminal.press("1")
    terminal.sees("no load")

    terminal.press("3")
    terminal.sees("2 runs in", "Capacity")
    # From the series to its first run.
    terminal.press("Down")
    terminal.sees("4 clients on")
    # Marking goes on to the next run.
    terminal.press("Space")
    terminal.sees("2 clients on")
    terminal.press("Space", "c")
    terminal.sees("success rate", "configured differently")
    terminal.press("Escape")
    terminal.sees("2 runs in")

    terminal.press("4")
    terminal.sees("all parts", "Ready after")
    terminal.press("1")
    terminal.sees("3/3 replicas")
    # Nobody talks: nothing is asked.
    terminal.press("d")
    # Only now it is over: before, quitting asks what becomes of the stack.
    terminal.sees("stack session is not up  press u")
    terminal.press("q")
    terminal.until(lambda: terminal.exit_code == 0, "it ended with exit code 0")
