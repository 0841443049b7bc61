"""Health check of a replica's container: exit code 0 if it answers, 1 if not.

Run as a plain file by an isolated interpreter, because it runs every half minute in every
container: nothing but the standard library's sockets is loaded.
"""

import socket
import sys


def healthy(port: int = 9090, timeout: float = 4.0) -> bool:
    """Tell whether ``GET /health`` on this container is answered with 200."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(0 if healthy() else 1)
