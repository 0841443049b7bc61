"""The ``whisperctl`` command line: each command is one call into ``stack`` or ``loadtest``."""

from console.cli.main import main

__all__ = ["main"]
