"""Starts upstream's server; run by the interpreter of its own environment, not by ours.

    python -P benchmarks/upstream_server.py '{"port": 9090, …}'

The JSON object holds the keyword arguments of upstream's ``TranscriptionServer.run``. Upstream's
package has this module only in its repository (run_server.py), not in what it releases.
"""

import json
import logging
import sys

from whisper_live.server import TranscriptionServer


def main() -> None:
    """Serve until a signal ends the process."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    TranscriptionServer().run("127.0.0.1", **json.loads(sys.argv[1]))


if __name__ == "__main__":
    main()
