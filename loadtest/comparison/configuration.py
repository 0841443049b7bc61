"""What runs were configured differently, and which of their figures that makes doubtful. Pure."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from loadtest.comparison.model import ConfigurationRow, letter
from loadtest.figures import Unit, format_figure
from loadtest.runfile import ClientResult, Run, RunStatus, served_model
from loadtest.statistics import MIN_SAMPLES_P95, MIN_SAMPLES_P99

_NAMES: Final = {
    "num_clients": "clients",
    "audio_directory": "audio directory",
    "chunk": "chunk (s)",
    "ramp": "ramp (s)",
    "duration": "audio a session (s)",
    "gap": "gap (s)",
    "use_vad": "voice activity detection",
    "audio_format": "audio format",
    "connect_timeout": "connect timeout (s)",
    "finish_timeout": "finish timeout (s)",
    "quiet": "quiet (s)",
}
_NOT_CONFIGURATION: Final = frozenset({"stack", "step", "steps", "environment.created_at"})


def configuration_rows(runs: Sequence[Run]) -> list[ConfigurationRow]:
    """Return what is not the same in all runs, with its value in each."""
    flat = [_entries(run) for run in runs]
    rows = []
    for name in _all_names(flat):
        values = ["–" if entries.get(name) is None else str(entries[name]) for entries in flat]
        if len(set(values)) > 1:
            rows.append(ConfigurationRow(_shown_name(name), values))
    return rows


def shared_configuration(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what is the same in all runs: names as people read them, and raw values.

    The stack's begin with ``stack``, the machine's with ``environment``.
    """
    flat = [_entries(run) for run in runs]
    return {
        _shown_name(name): flat[0].get(name)
        for name in _all_names(flat)
        if all(entries.get(name) == flat[0].get(name) for entries in flat)
    }


def _entries(run: Run) -> dict[str, Any]:
    settings = run.test_configuration.model_dump(mode="json")
    entries: dict[str, Any] = {"label": run.label, "status": run.status.value}
    entries |= _flatten(
        {key: value for key, value in settings.items() if key not in _NOT_CONFIGURATION}
    )
    entries |= _flatten(settings["stack"] or {}, "stack")
    entries |= _flatten(run.environment, "environment")
    return entries


def _all_names(flat: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for entries in flat for name in entries))


def _shown_name(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " "))


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix} {key}".strip()
        if isinstance(value, dict):
            flat |= _flatten(value, name)
        else:
            flat[name if prefix else key] = value
    return flat


def _seconds(value: float | None) -> str:
    return "whole clips" if value is None else f"{value:g} s"


def _model(run: Run) -> str:
    return served_model(run) or "unknown"


def _machine(run: Run) -> str:
    parts = [run.environment.get(name) for name in ("cpu", "cores", "memory", "system")]
    if all(part is None for part in parts):
        return "unknown"
    cpu, cores, memory, system = parts
    text = f"{cpu}, {cores} cores, "
    text += format_figure(memory if isinstance(memory, int) else None, Unit.BYTES)
    gpus = run.environment.get("gpus") or []
    names = [str(gpu.get("name")) for gpu in gpus if isinstance(gpu, dict)]
    return ", ".join([text, str(system), *names])


_MATTERS: Final[tuple[tuple[str, Callable[[Run], str], str], ...]] = (
    (
        "client counts",
        lambda run: str(run.test_configuration.num_clients),
        "what differs may be the load, not what you changed",
    ),
    ("seeds", lambda run: str(run.test_configuration.seed), "the clients sent different audio"),
    (
        "chunk sizes",
        lambda run: f"{run.test_configuration.chunk:g} s",
        "a larger chunk makes each latency larger",
    ),
    (
        "durations",
        lambda run: _seconds(run.test_configuration.duration),
        "longer sessions are harder to hold",
    ),
    (
        "audio formats",
        lambda run: run.test_configuration.audio_format,
        "they load network and server differently",
    ),
    (
        "places of the generator",
        lambda run: run.test_configuration.generator,
        "the way to the server is part of each latency",
    ),
    (
        "targets",
        lambda run: run.test_configuration.host,
        "the way to the server is part of each latency",
    ),
    ("models", _model, "what differs may be the model"),
    ("machines", _machine, "what differs may be the machine"),
)
"""What must be alike, how it is written, and what follows when it is not."""


def warnings(runs: Sequence[Run]) -> list[str]:
    """Say why figures of these runs should not be held against each other, and which not trusted.

    Runs are called A, B and so on, in order.
    """
    found = []
    for number, run in enumerate(runs):
        found += [f"{letter(number)} {text}" for text in _doubts(run)]
    for name, value, consequence in _MATTERS:
        values = [value(run) for run in runs]
        if len(set(values)) > 1:
            found.append(f"Different {name} ({'; '.join(values)}): {consequence}.")
    audio = _different_audio(runs)
    if audio:
        found.append(audio)
    lengths = [run.summary.average_audio_duration for run in runs]
    if min(lengths) > 0 and max(lengths) / min(lengths) > 1.25:
        found.append(
            f"The sessions' audio lasts {min(lengths):.0f} to {max(lengths):.0f} s: client counts "
            "are not comparable."
        )
    return found


def _doubts(run: Run) -> list[str]:
    """Say what is doubtful about one run, without its name."""
    doubts = []
    if run.status is not RunStatus.COMPLETED:
        doubts.append(f"was {run.status.value} before its end.")
    if run.summary.generator_distorted:
        doubts.append("had a load generator that was itself late: its latencies are too large.")
    ended = run.summary.successful_clients + run.summary.failed_clients
    if run.summary.failed_clients:
        doubts.append(
            f"had {run.summary.failed_clients} of {ended} sessions fail: its latencies leave out "
            "what they did not come to."
        )
    count = run.summary.latency.count
    if count < MIN_SAMPLES_P95:
        doubts.append(f"has {count} latency samples: too few for p95 and p99.")
    elif count < MIN_SAMPLES_P99:
        doubts.append(f"has {count} latency samples: too few for p99.")
    return doubts


def _different_audio(runs: Sequence[Run]) -> str:
    """Say which client sent other audio in which run; empty when all sent the same."""
    first = {client.client_id: client for client in runs[0].clients}
    for number, run in enumerate(runs[1:], 1):
        shared = [client for client in run.clients if client.client_id in first]
        different = [client for client in shared if not same_clips(client, first[client.client_id])]
        if different:
            client = different[0]
            before = first[client.client_id]
            return (
                f"{len(different)} of {len(shared)} clients played other audio in "
                f"{letter(number)} than in A (client {client.client_id}: {_played(client)} against "
                f"{_played(before)}): some clips are harder than others."
            )
    return ""


def same_clips(one: ClientResult, two: ClientResult) -> bool:
    """Tell whether two sessions were to send the same audio: names, seconds, reference text."""
    if (one.audio_file, one.audio_duration) != (two.audio_file, two.audio_duration):
        return False
    # Another directory's clip may have the same name. Sessions cut off may not know their text.
    return one.reference == two.reference or None in {one.reference, two.reference}


def _played(client: ClientResult) -> str:
    name = client.audio_file if len(client.audio_file) <= 40 else f"{client.audio_file[:39]}…"
    return f"{name}, {client.audio_duration:.1f} s"
