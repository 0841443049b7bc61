"""What telemetry costs whoever watches: ``python -m benchmarks.telemetry``.

A stack of real replicas with the offline model, on the process engine or on Docker, is sampled once
a second as a console does it: every replica, the balancer and the machine. What counts is the CPU
time of this process with all its threads; beside it stands what Docker's own processes used more
than without us.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Final

import psutil

from stack.docker.engine import DockerEngine
from stack.engine import Engine
from stack.process.engine import ProcessEngine
from stack.spec import BalancerSpec, ContainerSpec, EngineName, StackSpec
from stack.telemetry.machine import MachineReader

TARGET: Final = 0.03
"""Of one core, for eight replicas."""
_NAME: Final = "bench-telemetry"
_DOCKER: Final = ("dockerd", "containerd")


def spec(engine: EngineName, replicas: int, image: str | None, nginx: str | None) -> StackSpec:
    images = {
        name: value
        for name, value in (("image", image), ("balancer_image", nginx))
        if value is not None
    }
    return StackSpec(
        name=_NAME,
        engine=engine,
        replicas=replicas,
        balancer=BalancerSpec(port=0),
        containers=(
            ContainerSpec.model_validate({"gpus": "none", **images})
            if engine is EngineName.DOCKER
            else None
        ),
    )


def docker_seconds() -> float:
    """Return the CPU seconds that Docker's processes have used so far."""
    total = 0.0
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in _DOCKER:
            total += sum(process.cpu_times()[:2])
    return total


async def watch(engine: Engine, seconds: int) -> tuple[float, float, Sequence[float]]:
    """Sample for so long; returns our share of a core, Docker's, and the seconds of each sample."""
    machine = MachineReader()

    async def tick() -> None:
        async def rest() -> None:
            await asyncio.to_thread(machine.read, await engine.balancer_stats())

        samples, _ = await asyncio.gather(engine.stats(), rest())
        if any(sample.missing for sample in samples.values()):
            print("A source did not answer:", {k: v.missing for k, v in samples.items()})

    for _ in range(3):  # the first opens connections and streams
        await tick()
    began, own, docker = time.monotonic(), time.process_time(), docker_seconds()
    took = []
    for number in range(seconds):
        at = time.monotonic()
        await tick()
        took.append(time.monotonic() - at)
        await asyncio.sleep(max(0.0, began + number + 1 - time.monotonic()))
    passed = time.monotonic() - began
    return (
        (time.process_time() - own) / passed,
        (docker_seconds() - docker) / passed,
        sorted(took),
    )


async def measure(options: argparse.Namespace) -> float:
    engine: Engine = (
        DockerEngine(_NAME) if options.engine is EngineName.DOCKER else ProcessEngine(_NAME)
    )
    wanted = spec(options.engine, options.replicas, options.image, options.balancer_image)
    try:
        await engine.up(wanted, timeout=300)
        before, at = docker_seconds(), time.monotonic()
        await asyncio.sleep(options.seconds / 3)
        without = (docker_seconds() - before) / (time.monotonic() - at)
        share, docker, took = await watch(engine, options.seconds)
    finally:
        await engine.down()
    print(
        f"{options.replicas} replicas on engine {options.engine.value}, sampled once a second for "
        f"{options.seconds} s: {share:.2%} of one core "
        f"(a sample {took[len(took) // 2] * 1000:.0f} ms in the median, {took[-1] * 1000:.0f} ms "
        "at most)."
    )
    if options.engine is EngineName.DOCKER:
        print(f"Docker's own processes: {docker:.2%} of a core, {without:.2%} without us.")
    return share


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument(
        "--engine", type=EngineName, choices=list(EngineName), default=EngineName.PROCESS
    )
    parser.add_argument("--image", help="docker: image of the replicas")
    parser.add_argument("--balancer-image", help="docker: image with nginx")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        os.environ["WHISPERCTL_STATE_DIR"] = directory
        share = asyncio.run(measure(options))
    if share > TARGET:
        print(f"That is over the {TARGET:.0%} that telemetry may cost.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
