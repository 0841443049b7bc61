"""A running ``whisperctl serve``."""

import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil


@dataclass
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    """With its token."""

    @property
    def address(self) -> str:
        """``host:port``."""
        return urlsplit(self.url).netloc

    @property
    def consoles(self) -> list[psutil.Process]:
        """The processes of the consoles that are open."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.process.pid).children()
            return [one for one in children if one.status() != psutil.STATUS_ZOMBIE]
        return []

    def end(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """End it and return its exit code and all that it has printed since it was up."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


Serve = Callable[..., Served]
