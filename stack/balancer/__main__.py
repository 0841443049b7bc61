"""``python -m stack.balancer``: serve until SIGTERM, following the configuration file."""

import argparse
import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from stack.balancer.config import BalancerConfig
from stack.balancer.proxy import Balancer

_LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks at the configuration file."""

_log = logging.getLogger("stack.balancer")


def read_config(path: Path) -> BalancerConfig:
    """Read the configuration; raises ValueError or OSError with what is wrong."""
    return BalancerConfig.model_validate_json(path.read_bytes())


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size


async def follow(path: Path, balancer: Balancer) -> None:
    """Apply every change of the file; a broken one is refused and the old one stays."""
    seen = (0, 0, 0)
    while True:
        try:
            stamp = await asyncio.to_thread(_stamp, path)
            if stamp != seen:
                seen = stamp
                config = await asyncio.to_thread(read_config, path)
                balancer.configure(config)
                names = ", ".join(target.name for target in config.targets) or "nobody"
                _log.info("New sessions go to %s, %s.", names, config.strategy.value)
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            _log.error("Configuration %s is refused, the old one stays: %s", path.name, reason)
        await asyncio.sleep(_LOOK_INTERVAL)


def listen(host: str, port: int) -> socket.socket:
    """Bind the port; exits with a sentence when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
    except OSError as error:
        sys.exit(f"Port {port} on {host} can't be opened: {error.strerror}.")
    return opened


async def serve(path: Path, listening: socket.socket, deadline: float) -> None:
    """Serve until SIGTERM or SIGINT."""
    balancer = Balancer(read_config(path))
    await balancer.start(listening)
    following = asyncio.create_task(follow(path, balancer))
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    await over.wait()
    following.cancel()
    await balancer.stop(deadline)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m stack.balancer", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8990)
    parser.add_argument("--config", type=Path, required=True, help="JSON file, followed")
    parser.add_argument(
        "--deadline", type=float, default=1.0, help="seconds open sessions get after SIGTERM"
    )
    options = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        asyncio.run(serve(options.config, listen(options.host, options.port), options.deadline))
    except (OSError, ValidationError) as error:
        sys.exit(f"Configuration {options.config} can't be used: {str(error).splitlines()[0]}")


if __name__ == "__main__":
    main()
