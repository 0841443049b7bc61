"""``python -m stack.supervision DIRECTORY``: supervise the stack of this state directory."""

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

from stack.engine import StackError
from stack.runtimes import runtime_of
from stack.spec import KEY_VARIABLE
from stack.supervision.runtime import Runtime
from stack.supervision.state import StackDirectory
from stack.supervision.supervisor import Supervisor


async def supervise(directory: StackDirectory, runtime: Runtime, *, patience: float = 5.0) -> int:
    """Supervise until the stack is down; returns 0 also when another supervisor does it."""
    deadline = time.monotonic() + patience
    while (handle := await asyncio.to_thread(directory.claim_supervision)) is None:
        # Whoever only asks whether there is a supervisor holds the lock for a moment.
        if time.monotonic() > deadline:
            return 0
        await asyncio.sleep(0.05)
    try:
        await Supervisor(directory, runtime).run()
    finally:
        os.close(handle)
    return 0


def main() -> int:
    """Supervise until the stack is down."""
    if len(sys.argv) != 2:
        sys.exit("Usage: python -m stack.supervision DIRECTORY")
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    for chatty in ("httpx", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # The end of a terminal is none of the stack's business.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    directory = StackDirectory(Path(sys.argv[1]))
    try:
        desired = directory.read_desired()
        if desired is None:
            return 0
        # The stack's own, not that of whoever happens to start this: all replicas ask for one key.
        os.environ.pop(KEY_VARIABLE, None)
        if key := directory.read_key():
            os.environ[KEY_VARIABLE] = key
        return asyncio.run(supervise(directory, runtime_of(desired.spec.engine, directory)))
    except StackError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
