"""Frames of Docker's statistics, of both versions of control groups; as the engine writes them."""

from typing import Any

import pytest

from stack.docker.frames import Limits, cores_in, counters_of, limits_of, memory_of, read_at

VERSION_1: dict[str, Any] = {
    "read": "2026-11-21T18:09:14.961893483Z",
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 254, "minor": 0, "op": "Read", "value": 1000},
            {"major": 254, "minor": 0, "op": "Write", "value": 50},
            {"major": 254, "minor": 0, "op": "Sync", "value": 7},
            {"major": 254, "minor": 0, "op": "Total", "value": 1057},
            {"major": 8, "minor": 0, "op": "Read", "value": 1},
        ]
    },
    "cpu_stats": {
        "cpu_usage": {"total_usage": 2_500_000_000},
        "throttling_data": {"throttled_time": 250_000_000},
    },
    "memory_stats": {
        "usage": 900,
        "stats": {"total_inactive_file": 300, "inactive_file": 100},
        "limit": 25_276_502_016,
    },
    "networks": {
        "eth0": {"rx_bytes": 10, "tx_bytes": 20},
        "eth1": {"rx_bytes": 1, "tx_bytes": 2},
    },
}
VERSION_2 = VERSION_1 | {
    "memory_stats": {"usage": 900, "stats": {"anon": 500, "file": 400, "inactive_file": 350}},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 254, "minor": 0, "op": "read", "value": 1000},
            {"major": 254, "minor": 0, "op": "write", "value": 50},
        ]
    },
}


def test_both_versions() -> None:
    assert counters_of(VERSION_1) == {
        "cpu": 2.5, "throttled": 0.25, "received": 11, "sent": 22, "read": 1001, "written": 50,
    }  # fmt: skip
    assert memory_of(VERSION_1) == 600, "usage - total_inactive_file"
    assert counters_of(VERSION_2)["read"] == 1000
    assert counters_of(VERSION_2)["written"] == 50
    assert memory_of(VERSION_2) == 550, "usage - inactive_file"


def test_when_it_was_read() -> None:
    first, second = read_at(VERSION_1), read_at({"read": "2026-11-21T18:09:15.961893Z"})
    assert first is not None
    assert second is not None
    assert second - first == pytest.approx(1.0, abs=1e-5)
    assert read_at({"read": "2026-11-21T18:09:15Z"}) is not None
    assert read_at({"read": "0001-01-01T00:00:00Z"}) is None, "it does not run"
    assert read_at({"read": "yesterday"}) is read_at({}) is None


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"cpu_stats": None, "memory_stats": {}, "networks": None, "blkio_stats": None},
        {"cpu_stats": {"cpu_usage": {"total_usage": 0}}, "memory_stats": {"usage": None}},
        {"cpu_stats": {"cpu_usage": {"total_usage": "1"}}, "networks": {}},
        {"blkio_stats": {"io_service_bytes_recursive": []}},
        {"blkio_stats": {"io_service_bytes_recursive": ["x", {"op": "Read", "value": -1}]}},
    ],
)
def test_what_is_not_said_is_unknown_and_not_zero(frame: dict[str, Any]) -> None:
    assert counters_of(frame) == {}
    assert memory_of(frame) is None


def test_limits() -> None:
    assert limits_of({"NanoCpus": 0, "CpuQuota": 0, "CpusetCpus": "", "Memory": 0}) == Limits()
    assert limits_of({"CpuQuota": -1, "CpuPeriod": 0}) == Limits()
    assert limits_of({"NanoCpus": 1_500_000_000, "Memory": 100}) == Limits(1.5, 100)
    assert limits_of({"CpuQuota": 50_000, "CpuPeriod": 0}) == Limits(0.5)
    assert limits_of({"NanoCpus": 3_000_000_000, "CpusetCpus": "0-1"}) == Limits(2.0)
    assert cores_in("0-3,8") == 5
