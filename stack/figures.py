"""How the figures of samples are called in what other tools read. Pure.

By the name of the field in a sample; every exporter takes names and units from here.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Figure(NamedTuple):
    """A field that is one number."""

    name: str
    """With its unit last, as Prometheus names metrics; ``_total`` of one that only grows."""
    text: str


class Parted(NamedTuple):
    """A field that has one number for each of several keys, or that is made of words."""

    name: str
    label: str
    """What the keys, or the words, are."""
    text: str


PART_FIGURES: Final[Mapping[str, Figure]] = {
    "cpu": Figure("cpu_cores", "Cores' worth of CPU time."),
    "cpu_limit": Figure("cpu_limit_cores", "Cores that it may use at most."),
    "throttled": Figure(
        "cpu_throttled_ratio", "Seconds a second in which its CPU limit held it back."
    ),
    "memory": Figure("memory_bytes", "Memory without page cache."),
    "memory_limit": Figure("memory_limit_bytes", "Memory that it may use at most."),
    "network_received": Figure("network_received_bytes_per_second", "Bytes received a second."),
    "network_sent": Figure("network_sent_bytes_per_second", "Bytes sent a second."),
    "disk_read": Figure("disk_read_bytes_per_second", "Bytes read from block devices a second."),
    "disk_written": Figure(
        "disk_written_bytes_per_second", "Bytes written to block devices a second."
    ),
}
REPLICA_FIGURES: Final[Mapping[str, Figure]] = {
    **PART_FIGURES,
    "gpu_memory": Figure("gpu_memory_bytes", "GPU memory; see gpu_memory_shared."),
    "gpu_memory_total": Figure("gpu_memory_total_bytes", "GPU memory of the cards that it uses."),
    "gpu_utilisation": Figure("gpu_utilisation_ratio", "GPU time; see gpu_utilisation_shared."),
    "gpu_encoder": Figure("gpu_encoder_ratio", "Fraction of the video encoder's time."),
    "gpu_memory_shared": Figure("gpu_memory_shared", "1 where gpu_memory is the whole card's."),
    "gpu_utilisation_shared": Figure(
        "gpu_utilisation_shared", "1 where the utilisation is the card's."
    ),
    "gpu_shared": Figure("gpu_shared", "1 where either of the two is the card's."),
    "sessions": Figure("sessions", "Open sessions."),
    "queue_depth": Figure("queue_depth", "Sessions that wait for inference."),
    "batch_size": Figure("batch_size", "Passes in one call of the model, mean of the last second."),
    "real_time_factor": Figure("real_time_factor", "Seconds of inference a second of live audio."),
    "rejected_total": Figure("rejected_sessions_total", "Sessions refused since its start."),
}
BALANCER_FIGURES: Final[Mapping[str, Figure]] = {
    **PART_FIGURES,
    "active_connections": Figure("active_connections", "Connections with a request in progress."),
    "accepted_total": Figure("accepted_connections_total", "Connections accepted since its start."),
    "handled_total": Figure(
        "handled_connections_total", "Connections of those that were not dropped."
    ),
    "requests_total": Figure("requests_total", "Requests since its start."),
    "sessions_ended": Figure("sessions_ended_per_second", "Sessions that ended in a second."),
    "session_p50": Figure("session_median_seconds", "Length of sessions that ended in 10 s."),
    "session_max": Figure("session_max_seconds", "The longest of sessions that ended in 10 s."),
    "connect_p50": Figure(
        "connect_median_seconds", "Time until a replica took a connection, of the last 10 s."
    ),
    "connect_p95": Figure(
        "connect_p95_seconds", "Time until a replica took a connection, of the last 10 s."
    ),
    "connect_max": Figure(
        "connect_max_seconds", "Time until a replica took a connection, of the last 10 s."
    ),
}
MACHINE_FIGURES: Final[Mapping[str, Figure]] = {
    "cpu": Figure("cpu_ratio", "Fraction of all cores that is not idle."),
    "cores": Figure("cores", "Cores of the machine."),
    "memory": Figure("memory_bytes", "Memory of the machine."),
    "memory_available": Figure("memory_available_bytes", "Memory that a new process could get."),
}
GPU_FIGURES: Final[Mapping[str, Figure]] = {
    "memory": Figure("memory_bytes", "Memory of the card."),
    "memory_used": Figure("memory_used_bytes", "Memory in use, by whomever."),
    "utilisation": Figure("utilisation_ratio", "Fraction of time in which anything ran."),
    "encoder": Figure("encoder_ratio", "Fraction of the video encoder's time."),
    "temperature": Figure("temperature_celsius", "Temperature."),
    "power": Figure("power_watts", "Power drawn."),
    "power_limit": Figure("power_limit_watts", "Power that it may draw."),
    "clock": Figure("clock_hertz", "Clock of the streaming multiprocessors."),
    "clock_limit": Figure("clock_limit_hertz", "Clock that they could reach."),
    "mig": Figure("mig", "1 where the card is split into MIG instances."),
}
REPLICA_PARTED: Final[Mapping[str, Parted]] = {
    "stage_seconds": Parted(
        "stage_seconds", "stage", "Seconds that a stage took, mean of the last second."
    ),
}
BALANCER_PARTED: Final[Mapping[str, Parted]] = {
    "answers_total": Parted("answers_total", "class", "Requests that ended, by their answer."),
    "served_total": Parted("served_total", "replica", "Requests that ended, by replica."),
}
PART_WORDS: Final[Mapping[str, Parted]] = {
    "missing": Parted("missing", "source", "Sources that should have answered and did not."),
}
REPLICA_WORDS: Final[Mapping[str, Parted]] = {
    **PART_WORDS,
    "gpus": Parted("gpus", "gpu", "Cards that it uses, or could use where that can't be told."),
}
GPU_WORDS: Final[Mapping[str, Parted]] = {
    "throttle": Parted("throttle", "reason", "What holds the clock down."),
    "problem": Parted("problem", "problem", "Why there are no figures."),
}
