"""What Prometheus sees of a replica; upstream's names where the meaning is the same."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

STAGES: Final = ("receive", "vad", "features", "queue", "encode", "decode", "send")

_BUCKETS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip


class Metrics:
    """All of a replica's metrics, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.connections = Counter(
            "whisperlive_connections", "Sessions started.", registry=registry
        )
        self.active = Gauge("whisperlive_connections_active", "Sessions now.", registry=registry)
        self.rejected = Counter(
            "whisperlive_connections_rejected", "Sessions refused.", ["reason"], registry=registry
        )
        self.transcription = Histogram(
            "whisperlive_transcription_latency_seconds",
            "Seconds of one pass of the model over a session's audio.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.audio_seconds = 0.0
        self._audio = Counter(
            "whisperlive_audio_processed_seconds",
            "Seconds of audio transcribed.",
            registry=registry,
        )
        self.segments = Counter(
            "whisperlive_segments_emitted",
            "Segments sent to clients.",
            ["completed"],
            registry=registry,
        )
        self.errors = Counter("whisperlive_errors", "Errors.", ["type"], registry=registry)
        self.queue_depth = Gauge(
            "whisperctl_replica_queue_depth",
            "Sessions that wait for inference.",
            registry=registry,
        )
        self.ready = Gauge(
            "whisperctl_replica_ready", "1 when it takes new sessions.", registry=registry
        )
        self.memory = Gauge("whisperctl_replica_memory_bytes", "Resident bytes.", registry=registry)
        self._stages = Histogram(
            "whisperctl_replica_stage_seconds",
            "Seconds of each stage; receive: decoding a message, queue: from due to its pass.",
            ["stage"],
            buckets=_BUCKETS,
            registry=registry,
        )
        for stage in STAGES:
            self._stages.labels(stage)

    def heard(self, seconds: float) -> None:
        """Count audio that was transcribed."""
        self.audio_seconds += seconds
        self._audio.inc(seconds)

    def stage(self, name: str, seconds: float) -> None:
        """Record one timing of a stage; ``name`` is one of STAGES."""
        self._stages.labels(name).observe(seconds)

    def render(self) -> bytes:
        """Render the exposition text."""
        return generate_latest(self._registry)
