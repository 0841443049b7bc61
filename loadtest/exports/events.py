"""A run as JSON Lines: what happened, in order of time. Pure.

Each line is one object with ``event`` and ``time``, seconds after the step's start:
``run_started``, ``client_ready``, ``client_finished``, ``timeline``, ``run_finished``.
"""

import json
from typing import Any

from loadtest.runfile import ClientResult, Run

_LONG = {"latency_samples", "final_latency_samples", "word_latency_samples"} | {
    "word_final_latency_samples"
}


def json_lines(run: Run) -> str:
    """Write a run's events, the first ``run_started``, the last ``run_finished``."""
    between: list[dict[str, Any]] = []
    for client in run.clients:
        if client.connection_time is not None:
            between.append(_ready(client))
        between.append(_finished(client, run.summary.total_duration))
    between += [{"event": "timeline", **row.model_dump(mode="json")} for row in run.timeline]
    # Stable: a client of no known end is ready before it has finished.
    between.sort(key=lambda event: float(event["time"]))
    last = max([run.summary.total_duration, *(float(event["time"]) for event in between)])
    events = [_run_started(run), *between, _run_finished(run, last)]
    return "".join(
        json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"
        for event in events
    )


def _run_started(run: Run) -> dict[str, Any]:
    return {
        "event": "run_started",
        "time": 0.0,
        **run.model_dump(
            mode="json",
            by_alias=True,
            include={
                *("schema_version", "run_id", "series_id", "label", "created_at"),
                *("test_configuration", "environment"),
            },
        ),
    }


def _ready(client: ClientResult) -> dict[str, Any]:
    return {
        "event": "client_ready",
        "time": client.started_at + (client.connection_time or 0.0),
        "client_id": client.client_id,
        "replica": client.replica,
        "connection_time": client.connection_time,
    }


def _finished(client: ClientResult, total: float) -> dict[str, Any]:
    """Return a session's end.

    A run file has no time of the end itself: it is the start, the connection and the processing
    together. A session that was never let in has no processing; its start is given, and one that
    the end of the run cut off ends with the run. ``time_exact`` is false of both.
    """
    exact = client.processing_time is not None and client.connection_time is not None
    ended = client.started_at + (client.connection_time or 0.0)
    if client.processing_time is not None:
        ended += client.processing_time
    elif client.connection_time is not None:
        ended = total
    return {
        "event": "client_finished",
        "time": ended,
        "time_exact": exact,
        **client.model_dump(mode="json", exclude=_LONG),
    }


def _run_finished(run: Run, time: float) -> dict[str, Any]:
    return {
        "event": "run_finished",
        "time": time,
        **run.model_dump(mode="json", include={"run_id", "status", "summary"}),
    }
