"""Who looks after a stack: one supervisor an engine and stack, whatever its state directory.

A name in Linux's abstract socket namespace, which goes with whoever holds it, however he ends.
"""

import hashlib
import socket
import sys
import time


class Lease:
    """The right to look after a stack; held while this object is not closed."""

    def __init__(self, engine_id: str, stack: str) -> None:
        digest = hashlib.blake2b(f"{engine_id}\n{stack}".encode(), digest_size=12).hexdigest()
        self._name = f"\0whisperctl-supervisor-{digest}"
        self._socket: socket.socket | None = None

    def claim(self, *, patience: float = 0.0) -> bool:
        """Take it, waiting ``patience`` seconds for whoever is about to let go; False if held."""
        if sys.platform != "linux" or self._socket is not None:
            return True
        deadline = time.monotonic() + patience
        while True:
            held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                held.bind(self._name)
            except OSError:
                held.close()
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.1)
                continue
            self._socket = held
            return True

    def release(self) -> None:
        """Let go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
