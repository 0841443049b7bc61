"""What Prometheus sees of a replica; upstream's names where the meaning is the same."""

import time
from collections import deque
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from stack.replica.hearing import Heard

STAGES: Final = ("receive", "vad", "features", "queue", "encode", "decode", "send")

RECENT: Final = 10.0
"""Seconds over which gauges of the present look back."""

_BUCKETS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0,
)  # fmt: skip

_BATCHES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)


class Profile:
    """Where the time of one session went: seconds by stage, and its passes."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._asked = 0
        self.spared = 0
        self._in_batches = 0

    def add(self, stage: str, seconds: float) -> None:
        """Add to a stage; ``stage`` is one of STAGES."""
        self._seconds[stage] += seconds

    def passed(self, heard: Heard) -> None:
        """Add a pass."""
        for stage, seconds in heard.stages.items():
            self._seconds[stage] += seconds
        if heard.batch:
            self._asked += 1
            self._in_batches += heard.batch
        else:
            self.spared += 1

    def summary(self, audio_seconds: float) -> str:
        """Say it in one line; ``audio_seconds`` is how much audio the session sent."""
        stages = ", ".join(f"{stage} {seconds:.3f} s" for stage, seconds in self._seconds.items())
        batch = self._in_batches / self._asked if self._asked else 0.0
        inference = sum(self._seconds[one] for one in ("vad", "features", "encode", "decode"))
        factor = f"{inference / audio_seconds:.4f}" if audio_seconds else "–"
        return (
            f"{self._asked} passes (mean batch {batch:.1f}), {self.spared} spared; {stages}; "
            f"real-time factor {factor}"
        )


class Recent:
    """Values of the last seconds, with their sum and number."""

    def __init__(self, seconds: float = RECENT) -> None:
        self._seconds = seconds
        self._values: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Take in a value of now."""
        now = time.monotonic()
        self._values.append((now, value))
        self._sum += value
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._values and self._values[0][0] < now - self._seconds:
            self._sum -= self._values.popleft()[1]

    @property
    def total(self) -> float:
        """Their sum."""
        self._forget(time.monotonic())
        return max(0.0, self._sum) if self._values else 0.0

    @property
    def mean(self) -> float:
        """Their mean; 0 without any."""
        total = self.total
        return total / len(self._values) if self._values else 0.0


class Metrics:
    """All of a replica's metrics, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        def histogram(
            name: str,
            text: str,
            labels: tuple[str, ...] = (),
            buckets: tuple[float, ...] = _BUCKETS,
        ) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        self.connections = counter("whisperlive_connections", "Sessions started.")
        self.active = gauge("whisperlive_connections_active", "Sessions now.")
        self._rejected = counter(
            "whisperlive_connections_rejected", "Sessions refused.", ("reason",)
        )
        # What /status says every second is kept beside the registry, which takes milliseconds.
        self._rejected_total = 0
        self._timed: dict[str, tuple[float, int]] = dict.fromkeys(STAGES, (0.0, 0))
        self._batched = [0, 0]
        self._transcription = histogram(
            "whisperlive_transcription_latency_seconds",
            "Seconds of one call of the model, as each of its passes waits for it.",
        )
        self.audio_seconds = 0.0
        self._audio = counter(
            "whisperlive_audio_processed_seconds",
            "Seconds of live audio heard, each second once.",
        )
        self.segments = counter(
            "whisperlive_segments_emitted", "Segments sent to clients.", ("completed",)
        )
        self.requests = counter(
            "whisperlive_rest_requests", "HTTP requests answered.", ("endpoint", "status")
        )
        self.errors = counter("whisperlive_errors", "Errors.", ("type",))
        self._received = counter(
            "whisperctl_replica_audio_received_seconds", "Seconds of audio that clients sent."
        )
        self._transcribed = counter(
            "whisperctl_replica_audio_transcribed_seconds",
            "Seconds of audio given to the model, each second as often as passes repeat it.",
        )
        self.spared = counter(
            "whisperctl_replica_passes_spared",
            "Passes that needed no model: nothing was said in the new audio.",
        )
        self._batch = histogram(
            "whisperctl_replica_batch_size", "Passes in one call of the model.", buckets=_BATCHES
        )
        self._busy_seconds = counter(
            "whisperctl_replica_inference_seconds", "Seconds in which the inference thread worked."
        )
        self.queue_depth = gauge(
            "whisperctl_replica_queue_depth", "Sessions that wait for inference."
        )
        self._queue_wait = gauge(
            "whisperctl_replica_queue_wait_seconds",
            f"Mean seconds from due to heard of live sessions in the last {RECENT:.0f} s.",
        )
        self._utilisation = gauge(
            "whisperctl_replica_inference_utilisation",
            f"Share of the last {RECENT:.0f} s in which the inference thread worked.",
        )
        self._factor = gauge(
            "whisperctl_replica_real_time_factor",
            f"Seconds of inference a second of live audio, over the last {RECENT:.0f} s.",
        )
        self.ready = gauge("whisperctl_replica_ready", "1 when it takes new sessions.")
        self.memory = gauge("whisperctl_replica_memory_bytes", "Resident bytes.")
        self._stages = histogram(
            "whisperctl_replica_stage_seconds",
            "Seconds of each stage; receive: decoding a message, queue: from due to its pass, "
            "encode and decode: a call of the model, shared by the passes of its batch.",
            ("stage",),
        )
        for stage in STAGES:
            self._stages.labels(stage)
        self._waits = Recent()
        self._busy = Recent()
        self._live = Recent()
        self._began = time.monotonic()

    def received(self, seconds: float) -> None:
        """Count audio that came."""
        self._received.inc(seconds)

    def heard(self, seconds: float) -> None:
        """Count live audio that was heard for the first time."""
        self.audio_seconds += seconds
        self._audio.inc(seconds)
        self._live.add(seconds)

    def waited(self, seconds: float, *, live: bool) -> None:
        """Record how long a session waited for its pass."""
        self.stage("queue", seconds)
        if live:
            self._waits.add(seconds)

    def called(self, seconds: float) -> None:
        """Record a call of the inference thread."""
        self._busy_seconds.inc(seconds)
        self._busy.add(seconds)

    def passed(self, heard: Heard, audio_seconds: float, seconds: float) -> None:
        """Record a pass over some audio that was part of a call of some seconds."""
        for stage in ("vad", "features"):
            if stage in heard.stages:
                self.stage(stage, heard.stages[stage])
        if not heard.batch:
            self.spared.inc()
            return
        self._transcription.observe(seconds)
        self._transcribed.inc(audio_seconds)
        if heard.leads:
            self._batch.observe(heard.batch)
            self._batched[0] += heard.batch
            self._batched[1] += 1
            for stage in ("encode", "decode"):
                self.stage(stage, heard.stages[stage] * heard.batch)

    def refused(self, reason: str) -> None:
        """Count a session that was not let in."""
        self._rejected.labels(reason).inc()
        self._rejected_total += 1

    @property
    def queue_wait(self) -> float:
        """Mean seconds that live sessions waited lately."""
        return self._waits.mean

    def stage(self, name: str, seconds: float) -> None:
        """Record one timing of a stage; ``name`` is one of STAGES."""
        self._stages.labels(name).observe(seconds)
        total, count = self._timed[name]
        self._timed[name] = total + seconds, count + 1

    def totals(self) -> dict[str, Any]:
        """Return what /status says beside the state: totals since the start, in seconds and counts.

        From two of them whoever asks works out what was between. ``real_time_factor`` is that of
        the last seconds, None without live audio.
        """
        live = self._live.total
        return {
            "rejected_total": self._rejected_total,
            "real_time_factor": round(self._busy.total / live, 6) if live else None,
            "batches": {"total": self._batched[0], "count": self._batched[1]},
            "stages": {
                stage: {"total": round(total, 6), "count": count}
                for stage, (total, count) in self._timed.items()
            },
        }

    def render(self) -> bytes:
        """Render the exposition text."""
        lately = min(RECENT, max(0.1, time.monotonic() - self._began))
        self._queue_wait.set(self.queue_wait)
        self._utilisation.set(min(1.0, self._busy.total / lately))
        self._factor.set(self._busy.total / self._live.total if self._live.total else 0.0)
        return generate_latest(self._registry)
