"""GPU figures from the driver to the run file: a real stack, real load, scripted cards."""

import json
from pathlib import Path

import pytest
from fakes.nvml import TWO_CARDS, World, with_lines
from support.commands import Command

from loadtest.store import RunStore

MIB = 2**20


def test_from_the_driver_to_the_run_file(
    run: Command, nvml: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPERCTL_STATE_DIR", str(tmp_path / "state"))
    try:
        up = run("up", "--engine", "process", "--replicas", 2, "--model", "offline", "--port", 0)
        assert up.code == 0, up.err
        status = json.loads(run("status", "--json").out)
        one, two = [replica["pid"] for replica in status["replicas"]]
        lines = (f"compute {one} {5222 * MIB}", f"sample {one} 0 37 0", f"compute {two} -")
        nvml.set(with_lines(TWO_CARDS, {"GPU-a": lines}))

        shown = run("status").out.splitlines()
        (first,) = [line for line in shown if line.startswith("replica-1")]
        (second,) = [line for line in shown if line.startswith("replica-2")]
        assert "5.1 / 24.0 GiB (21 %)" in first
        assert "37.0 %" in first
        assert "6.0 / 24.0 GiB (25 %) card" in second
        (card,) = [line for line in shown if line.startswith("GPU 0")]
        assert "L4  6.0 / 24.0 GiB (25 %)  60 %  64 °C  66 / 72 W  power limit" in card
        told = json.loads(run("status", "--json").out)
        assert told["replicas"][0]["sample"]["gpus"] == [0]
        assert [gpu["name"] for gpu in told["gpus"]] == ["NVIDIA L4", "NVIDIA A2"]

        load = run(
            *("load", "--clients", 1, "--duration", 3, "--results-dir", tmp_path / "results"),
            *("--port", status["spec"]["balancer"]["port"]),
        )
        assert load.code == 0, load.out + load.err
    finally:
        run("down")
    (line,) = [
        line
        for line in run("show", "latest", "--results-dir", tmp_path / "results").out.splitlines()
        if line.startswith("replica-2")
    ]
    assert "6,144 MiB card" in line
    saved = RunStore(tmp_path / "results").load("latest")
    rows = [row.machine for row in saved.timeline if row.machine is not None]
    assert rows
    for machine in rows:
        assert [card.memory_used for card in machine.gpus] == [6 * 2**30, 2**30]
        assert machine.gpus[0].throttle == ("power limit",)
    used = saved.summary.resources
    assert (used["replica-1"].gpu_memory_peak, used["replica-1"].gpu_shared) == (5222 * MIB, False)
    assert used["replica-2"].gpu_memory_shared
    assert not used["replica-2"].gpu_utilisation_shared, "it did nothing, and the driver says so"
    assert [gpu["power_limit"] for gpu in saved.environment["gpus"]] == [72.0, 60.0]
