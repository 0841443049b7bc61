"""Processes that use a known amount of one thing, and what the reader says of them."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stack.status import PartSample
from stack.telemetry.processes import ProcessReader

MB = 1_000_000


@contextlib.contextmanager
def running(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the end of the test, and whatever it has started."""
    process = subprocess.Popen(
        [sys.executable, "-uc", code, *arguments], stdout=subprocess.PIPE, text=True
    )
    family = psutil.Process(process.pid)
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.Error):
            for child in family.children(recursive=True):
                child.kill()
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def until(
    reader: ProcessReader, pid: int, condition: Callable[[PartSample | None], Any], what: str
) -> PartSample | None:
    end = time.monotonic() + 30
    while True:
        sample = reader.read([pid]).get(pid)
        if condition(sample):
            return sample
        assert time.monotonic() < end, f"not in time: {what}: {sample}"
        time.sleep(0.05)


def test_a_process_that_burns_a_core_reads_what_it_got_of_it() -> None:
    reader = ProcessReader()
    with running("while True: pass") as busy:
        process = psutil.Process(busy.pid)
        until(reader, busy.pid, lambda sample: sample and sample.cpu is not None, "a rate")
        began, before = time.monotonic(), sum(process.cpu_times()[:2])
        found: list[float] = []
        while time.monotonic() < began + 3:
            found.append(reader.read([busy.pid])[busy.pid].cpu or 0.0)
            time.sleep(0.1)
        really = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
    # The first of them look back a second before the first look.
    assert found[-1] == pytest.approx(really, abs=0.25)
    assert sum(found) / len(found) == pytest.approx(really, abs=0.25)
    assert max(found) < 1.1


def test_what_it_starts_counts_too_while_it_runs_and_after_it_has_ended() -> None:
    code = (
        "import subprocess, sys, time\n"
        "while True:\n"
        "    subprocess.run([sys.executable, '-c', 'import time\\nheld = b\"x\" * 100_000_000\\n"
        "end = time.monotonic() + 0.7\\nwhile time.monotonic() < end: pass'])\n"
    )
    reader = ProcessReader()
    with running(code) as parent:
        alone = psutil.Process(parent.pid)
        until(reader, parent.pid, lambda sample: sample and sample.cpu is not None, "a rate")
        own = sum(alone.cpu_times()[:2])
        seen = []
        end = time.monotonic() + 5
        while time.monotonic() < end:
            sample = reader.read([parent.pid])[parent.pid]
            seen.append((sample.cpu, sample.memory or 0))
            time.sleep(0.1)
        own = sum(alone.cpu_times()[:2]) - own
    known = [cpu for cpu, _ in seen if cpu is not None]
    assert len(known) == len(seen), "a child that ends is no counter that begins anew"
    assert own < 0.5, "the parent only waits"
    assert sum(known) / len(known) > 0.15
    assert min(known) >= 0.0
    assert max(memory for _, memory in seen) > 100 * MB


def test_a_process_that_holds_500_mb_reads_500_mb() -> None:
    reader = ProcessReader()
    quiet = "print('held')\nimport time; time.sleep(600)"
    with (
        running(quiet) as bare,
        running(f"held = b'x' * {500 * MB}\n{quiet}") as process,
    ):
        for one in (bare, process):
            assert one.stdout is not None
            assert one.stdout.readline() == "held\n"
        samples = reader.read([bare.pid, process.pid])
        interpreter, sample = samples[bare.pid], samples[process.pid]
    assert sample.memory is not None
    assert interpreter.memory is not None
    assert sample.memory - interpreter.memory == pytest.approx(500 * MB, rel=0.05)
    assert sample.cpu_limit is sample.memory_limit is sample.throttled is None, "it has none"


def test_what_it_writes_to_disk_is_counted_and_its_network_is_unknown(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "out = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
        "began, count = time.monotonic(), 0\n"
        "while True:\n"
        "    os.lseek(out, 0, 0); os.write(out, b'x' * (1 << 20)); os.fdatasync(out)\n"
        "    count += 1\n"
        "    time.sleep(max(0.0, began + count / 10 - time.monotonic()))\n"
    )
    reader = ProcessReader()
    with running(code, str(tmp_path / "file")) as writer:
        if psutil.Process(writer.pid).io_counters() is None:
            pytest.skip("this kernel counts no disk of processes")
        until(reader, writer.pid, lambda sample: sample and sample.disk_written, "it writes")
        began = time.monotonic()
        before = psutil.Process(writer.pid).io_counters().write_bytes
        samples = []
        while time.monotonic() < began + 3:
            samples.append(reader.read([writer.pid])[writer.pid])
            time.sleep(0.1)
        really = psutil.Process(writer.pid).io_counters().write_bytes - before
        rate = really / (time.monotonic() - began)
    written = [sample.disk_written or 0.0 for sample in samples]
    assert really > 0, "the kernel saw it"
    assert sum(written) / len(written) == pytest.approx(rate, rel=0.4)
    assert {sample.network_received for sample in samples} == {None}
    assert {sample.network_sent for sample in samples} == {None}


def test_one_that_has_ended_but_was_not_waited_for_is_gone() -> None:
    reader = ProcessReader()
    with running("pass") as process:
        until(reader, process.pid, lambda sample: sample is None, "a zombie uses nothing")
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
