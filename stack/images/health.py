"""Health check of a replica's container: exit code 0 if it answers, 1 if not.

``--ready`` asks whether it takes sessions instead of whether it lives. Run as a plain file by an
isolated interpreter, because it runs every few seconds in every container: nothing but the standard
library's sockets is loaded.
"""

import socket
import sys


def answers(path: str, port: int = 9090, timeout: float = 4.0) -> bool:
    """Tell whether a GET of ``path`` on this container is answered with 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if answers("/ready" if "--ready" in sys.argv else "/health") else 1)
