"""Containers that use a known amount of one thing, and what a real Docker engine says of them."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import docker
import psutil
import pytest

from stack.docker.stats import FORGET, StatsStreams
from stack.status import PartSample
from tests.stack.docker.conftest import IMAGE

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("images")]

MB = 1_000_000
Run = Callable[..., Any]


@pytest.fixture
def run(client: docker.DockerClient) -> Iterator[Run]:
    """Start containers that run a Python program; they are gone afterwards."""
    started = []

    def start(program: str, **options: Any) -> Any:
        command = ["python3", "-u", "-c", program]
        container = client.containers.run(IMAGE, command, detach=True, entrypoint=[], **options)
        started.append(container)
        return container

    yield start
    for container in started:
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True, v=True)


def until(
    streams: StatsStreams,
    container: Any,
    condition: Callable[[PartSample | None], Any],
    what: str,
    deadline: float = 30.0,
) -> PartSample | None:
    """Read the container's samples until one is as it should be."""
    end = time.monotonic() + deadline
    while True:
        sample = streams.read([container.id]).get(container.id)
        if condition(sample):
            return sample
        assert time.monotonic() < end, f"not in time: {what}: {sample}"
        time.sleep(0.05)


def rates(streams: StatsStreams, container: Any, name: str, seconds: int = 5) -> Sequence[float]:
    """Return the figure of so many seconds in a row, from when it is first known."""
    until(streams, container, lambda sample: sample and getattr(sample, name) is not None, name)
    found = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sample = streams.read([container.id])[container.id]
        value = getattr(sample, name)
        if not found or value != found[-1]:
            found.append(value)
        time.sleep(0.1)
    return found


def test_a_container_that_burns_a_core_reads_one_core(run: Run) -> None:
    streams = StatsStreams()
    quiet = run("import time; time.sleep(600)")
    busy = run("while True: pass")
    # What it really got is what the kernel says of its one process; on a busy machine that is less.
    process = psutil.Process(int(busy.top(ps_args="-eo pid")["Processes"][0][0]))
    until(streams, busy, lambda sample: sample and sample.cpu is not None, "its first rate")
    began, before = time.monotonic(), sum(process.cpu_times()[:2])
    found = rates(streams, busy, "cpu", 6)
    really = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
    assert sum(found) / len(found) == pytest.approx(really, abs=0.1)
    assert max(found) < 1.1, "never more than one core"
    idle = until(streams, quiet, lambda sample: sample and sample.cpu is not None, "a rate")
    assert idle.cpu is not None
    assert idle.cpu < 0.1
    assert idle.cpu_limit is idle.memory_limit is None


def test_a_container_that_holds_500_mb_reads_that_whatever_is_cached_of_files(
    run: Run,
) -> None:
    # A file of the same size is read and written beside it: page cache is not what it holds.
    program = (
        f"held = b'x' * {500 * MB}\n"
        f"open('/var/tmp/file', 'wb').write(b'y' * {300 * MB})\n"
        "data = open('/var/tmp/file', 'rb')\n"
        f"while data.read({MB}): pass\n"
        "print('held')\nimport time; time.sleep(600)"
    )
    bare = run("print('held')\nimport time; time.sleep(600)", user="0")
    container = run(program, user="0", mem_limit=2 * 2**30)
    streams = StatsStreams()
    for one in (bare, container):
        end = time.monotonic() + 60
        while b"held" not in one.logs():
            assert time.monotonic() < end, one.logs()
            time.sleep(0.1)

    def settled(sample: PartSample | None) -> bool:
        return sample is not None and sample.memory is not None and sample.cpu is not None

    interpreter = until(streams, bare, settled, "the interpreter alone")
    end = time.monotonic() + 20
    while True:
        sample = until(streams, container, settled, "its memory")
        # Dirty pages of the file stay on the active list until they are written.
        if abs(sample.memory - interpreter.memory - 500 * MB) < 25 * MB or time.monotonic() > end:
            break
        time.sleep(0.2)
    assert sample.memory - interpreter.memory == pytest.approx(500 * MB, rel=0.05)
    assert sample.memory_limit == 2 * 2**30


def test_a_quota_is_a_limit_and_what_it_holds_back_is_seen(
    run: Run, client: docker.DockerClient
) -> None:
    streams = StatsStreams()
    container = run("while True: pass", cpu_quota=30_000, cpu_period=100_000)
    found = rates(streams, container, "throttled", 5)
    sample = streams.read([container.id])[container.id]
    assert sample.cpu is not None
    assert sample.cpu < 0.4
    # On a quiet machine it is 0.7; where others take the cores its 0.3 s last longer than that.
    assert 0.2 < max(found) < 0.85, "it waits for the rest of the second"
    assert sample.cpu_limit == pytest.approx(0.3)
    client.api.update_container(container.id, cpu_quota=50_000)
    until(streams, container, lambda now: now and now.cpu_limit == 0.5, "the new limit", 20)


SENDER = """
import socket, time
server = socket.create_server(("0.0.0.0", 7000))
peer, _ = server.accept()
block = b"x" * 100_000
began, sent = time.monotonic(), 0
while True:
    peer.sendall(block)
    sent += len(block)
    time.sleep(max(0.0, began + sent / 5_000_000 - time.monotonic()))
"""
RECEIVER = """
import socket, sys, time
while True:
    try:
        peer = socket.create_connection((sys.argv[-1], 7000))
        break
    except OSError:
        time.sleep(0.1)
while peer.recv(1 << 20): pass
"""


def test_5_mb_a_second_are_sent_by_one_and_received_by_the_other(
    run: Run, client: docker.DockerClient
) -> None:
    streams = StatsStreams()
    sender = run(SENDER)
    sender.reload()
    address = sender.attrs["NetworkSettings"]["IPAddress"]
    receiver = run(RECEIVER.replace("sys.argv[-1]", repr(address)))
    until(
        streams,
        sender,
        lambda sample: sample and (sample.network_sent or 0) > 4 * MB,
        "it sends",
    )
    sent = rates(streams, sender, "network_sent", 4)
    received = rates(streams, receiver, "network_received", 4)
    # Headers of TCP, IP and Ethernet come on top, and acknowledgements go back.
    assert sum(sent) / len(sent) == pytest.approx(5 * MB, rel=0.15)
    assert sum(received) / len(received) == pytest.approx(5 * MB, rel=0.15)
    back = streams.read([receiver.id])[receiver.id].network_sent
    assert back is not None
    assert back < MB


WRITER = """
import mmap, os, time
block = mmap.mmap(-1, 1 << 20)
block.write(b"x" * (1 << 20))
out = os.open("/var/tmp/file", os.O_WRONLY | os.O_CREAT | getattr(os, "O_DIRECT", 0))
began = time.monotonic()
count = 0
while True:
    if count % 64 == 0: os.lseek(out, 0, 0)
    os.write(out, block)
    count += 1
    time.sleep(max(0.0, began + count / 10 - time.monotonic()))
"""


def test_10_mib_a_second_to_disk_are_roughly_that(run: Run, client: docker.DockerClient) -> None:
    root = client.info()["DockerRootDir"]
    mounts = [one for one in psutil.disk_partitions() if root.startswith(one.mountpoint)]
    device = max(mounts, key=lambda one: len(one.mountpoint), default=None)
    # Recent kernels with version 1 of control groups count only where there is a limit.
    limits = [{"Path": device.device, "Rate": 10**10}] if device else None
    container = run(WRITER, user="0", device_write_bps=limits, device_read_bps=limits)
    streams = StatsStreams()
    until(streams, container, lambda sample: sample and sample.cpu is not None, "a rate")
    counted = container.stats(stream=False)["blkio_stats"]["io_service_bytes_recursive"]
    if not counted:
        assert streams.read([container.id])[container.id].disk_written is None, "not zero"
        pytest.skip("this kernel counts no disk of containers: unknown, as it should be")
    found = rates(streams, container, "disk_written", 5)
    assert sum(found) / len(found) == pytest.approx(10 * 2**20, rel=0.3)
    sample = streams.read([container.id])[container.id]
    assert sample.disk_read is not None
    assert sample.disk_read < 2**20


def test_the_stream_outlives_a_restart_and_ends_with_the_container(run: Run) -> None:
    streams = StatsStreams()
    container = run("while True: pass")
    known = until(streams, container, lambda sample: sample and sample.cpu, "its first rate")
    assert known is not None
    container.restart(timeout=0)
    # Its counters begin anew: that is no rate below zero, and none of thousands either.
    seen = []
    end = time.monotonic() + 8
    while time.monotonic() < end:
        sample = streams.read([container.id]).get(container.id)
        if sample is not None and sample.cpu is not None:
            seen.append(sample.cpu)
        time.sleep(0.05)
    assert 0.0 <= min(seen) <= max(seen) < 1.3
    assert until(streams, container, lambda sample: sample and sample.cpu, "again")
    container.stop(timeout=0)
    until(streams, container, lambda sample: sample is None, "a stopped one says nothing", 3)
    container.start()
    assert until(streams, container, lambda sample: sample and sample.cpu, "once more")
    assert streams.open_streams == 1
    container.remove(force=True)
    until(streams, container, lambda sample: sample is None, "a removed one says nothing", 5)
    end = time.monotonic() + FORGET + 10
    while streams.open_streams:
        assert time.monotonic() < end, "nobody asks any more: the thread ends"
        time.sleep(0.2)


def test_a_paused_container_uses_nothing_and_still_says_so(run: Run) -> None:
    streams = StatsStreams()
    container = run("while True: pass")
    until(streams, container, lambda sample: sample and (sample.cpu or 0) > 0.1, "it works")
    container.pause()
    paused = until(streams, container, lambda sample: sample and sample.cpu == 0.0, "paused")
    assert paused is not None
    assert paused.memory
    container.unpause()


def test_streams_that_nobody_reads_leave_nothing_open(run: Run) -> None:
    streams = StatsStreams()
    containers = [run("import time; time.sleep(600)") for _ in range(3)]
    own = psutil.Process()
    before = own.num_fds()
    for container in containers:
        until(streams, container, lambda sample: sample and sample.cpu is not None, "a rate")
    assert streams.open_streams == 3
    end = time.monotonic() + FORGET + 10
    while streams.open_streams or own.num_fds() > before:
        assert time.monotonic() < end, f"{own.num_fds()} instead of {before} open files"
        time.sleep(0.2)
