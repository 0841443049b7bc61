"""Which signals ask a process to end in order."""

import signal
from typing import Final

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return Ctrl-C, SIGTERM and the loss of the terminal; without the last one under ``nohup``."""
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return _ENDING[:-1] if nohup else _ENDING
