"""Makes runs and clips for tests."""

import json
import wave
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from loadtest.plan import ClientAssignment, Piece, Slo
from loadtest.recording import StepHeader, StepRecord
from loadtest.runfile import ClientResult, Outcome, Run, RunStatus, TestConfiguration
from loadtest.statistics import distribution
from loadtest.wer import word_errors


def write_clip(
    directory: Path, name: str, *, seconds: float, words: list[str] | None, rate: int = 16_000
) -> Path:
    """Write a quiet clip whose words last half a second each, with a gap of a tenth between."""
    path = directory / f"{name}.wav"
    samples = np.random.default_rng(1).normal(0, 200, round(seconds * rate)).astype("<i2")
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(rate)
        audio.writeframes(samples.tobytes())
    if words is not None:
        path.with_suffix(".txt").write_text(" ".join(words).capitalize() + ".\n")
        times = [
            {"word": word, "start": index * 0.6, "end": index * 0.6 + 0.5}
            for index, word in enumerate(words)
        ]
        path.with_suffix(".words.json").write_text(json.dumps({"words": times}))
    return path


def configuration(clients: int = 1, **values: Any) -> TestConfiguration:
    """Return a step's configuration."""
    defaults: dict[str, Any] = {
        "num_clients": clients,
        "host": "127.0.0.1",
        "port": 8990,
        "audio_directory": "clips",
        "clips": 3,
        "chunk": 0.1,
        "ramp": 0.0,
        "duration": None,
        "seed": 1,
        "language": "en",
        "use_vad": True,
        "audio_format": "float32",
        "connect_timeout": 30.0,
        "finish_timeout": 30.0,
        "quiet": 3.0,
        "slo": Slo(),
    }
    return TestConfiguration(**(defaults | values))


def header_for(
    run_id: str, *, clients: int = 1, created: datetime | None = None, **values: Any
) -> StepHeader:
    """Return the header of a step whose clients all play two seconds."""
    piece = Piece(path=Path("clips/two.wav"), samples=32_000, reference="Delta echo.")
    environment = values.pop("environment", {})
    label = values.pop("label", "")
    baseline = values.pop("baseline_wer", None)
    return StepHeader(
        run_id=run_id,
        series_id="series_x",
        label=label,
        created_at=created or datetime.now(UTC),
        test_configuration=configuration(clients, **values),
        clients=tuple(
            ClientAssignment(index=index, uid=f"uid-{index}", start_after=0.0, pieces=(piece,))
            for index in range(clients)
        ),
        baseline_wer=baseline,
        environment=environment,
    )


def client_result(index: int = 0, **values: Any) -> ClientResult:
    """Return a successful client's result."""
    samples = values.pop("latency_samples", [0.2 + 0.01 * number for number in range(25)])
    transcript = values.pop("transcript", "delta echo")
    defaults: dict[str, Any] = {
        "client_id": index,
        "uid": f"uid-{index}",
        "outcome": Outcome.SUCCESS,
        "success": values.get("outcome", Outcome.SUCCESS) is Outcome.SUCCESS,
        "replica": "replica-1",
        "message_count": 4,
        "audio_file": "two.wav",
        "audio_duration": 2.0,
        "audio_sent": 2.0,
        "started_at": 0.0,
        "processing_time": 2.3,
        "connection_time": 0.005,
        "first_result": 1.1,
        "finish": 0.3,
        "transcript": transcript,
        "reference": "Delta echo.",
        "wer": word_errors([("Delta echo.", transcript)]),
        "latency": distribution(samples),
        "final_latency": distribution(samples),
        "slip": distribution([0.001] * 20),
        "latency_samples": samples,
        "final_latency_samples": samples,
    }
    return ClientResult(**(defaults | values))


def example_run(
    run_id: str,
    *,
    clients: int = 1,
    created: datetime | None = None,
    results: list[ClientResult] | None = None,
    status: RunStatus = RunStatus.COMPLETED,
    **values: Any,
) -> Run:
    """Return a finished run."""
    record = StepRecord(header_for(run_id, clients=clients, created=created, **values))
    for result in results or [client_result(index) for index in range(clients)]:
        record.results[result.client_id] = result
    return record.run(status, 2.5)


def varied_run(run_id: str, factor: float = 1.0, *, sessions: int = 20, **values: Any) -> Run:
    """A run whose sessions differ a little, always in the same way."""
    generator = np.random.default_rng(1)
    client = values.pop("client", {})
    results = []
    for index in range(sessions):
        level = factor * (1 + 0.1 * generator.random())
        samples = [level * (0.2 + 0.01 * number) for number in range(25)]
        times = {"finish": level, "first_result": level, "connection_time": level / 100}
        results.append(client_result(index, latency_samples=samples, **(times | client)))
    return example_run(run_id, clients=sessions, results=results, **values)
