"""``python -m stack.process DIRECTORY``: supervise the stack of this state directory."""

import asyncio
import logging
import signal
import sys
from pathlib import Path

from stack.process.state import StackDirectory
from stack.process.supervisor import supervise


def main() -> int:
    """Supervise until the stack is down."""
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m stack.process DIRECTORY")
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # The end of a terminal is none of the stack's business.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return asyncio.run(supervise(StackDirectory(Path(sys.argv[1]))))


if __name__ == "__main__":
    sys.exit(main())
