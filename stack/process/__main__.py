"""``python -m stack.process --state-root DIR --stack NAME``: the supervisor, detached.

It forks before it imports anything of weight: whoever started it waits a moment only, and is not
its parent afterwards, so that it never becomes somebody's zombie.
"""

import argparse
import os
import sys
from pathlib import Path


def supervise(root: Path, name: str) -> int:
    """Look after the stack until it is down; returns the exit status."""
    import asyncio
    import logging
    import signal

    from stack.process.directory import StackDirectory
    from stack.process.supervisor import Supervisor

    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    directory = StackDirectory(root, name)
    with directory.supervision() as mine:
        if not mine:
            return 0
        supervisor = Supervisor(directory)
        supervisor.adopt()
        asyncio.run(supervisor.run())
    return 0


def main() -> int:
    """Parse the command line, detach and supervise."""
    parser = argparse.ArgumentParser(prog="stack.process", description="A stack's supervisor.")
    parser.add_argument("--state-root", type=Path, required=True)
    parser.add_argument("--stack", required=True)
    parser.add_argument("--foreground", action="store_true", help="stay in the foreground")
    arguments = parser.parse_args()
    if not arguments.foreground and os.fork() > 0:
        os._exit(0)
    return supervise(arguments.state_root, arguments.stack)


if __name__ == "__main__":
    sys.exit(main())
