"""The comparison of generators as it is run: its options, its processes, and for real."""

import json
import os
import subprocess
import sys
import time

import pytest

from benchmarks.streams.__main__ import chosen_cores, parser
from benchmarks.streams.audio import write_order
from benchmarks.streams.figures import (
    LOCUST,
    OURS,
    SCRIPT,
)
from benchmarks.streams.running import GeneratorError, Settings, locust_command, measure
from benchmarks.streams.usage import Sampler, on_core, wait_until_quiet
from loadtest.clips import usable_clips
from test_audio import CLIPS_DIRECTORY

# --- the command line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", ["--generators=jmeter", "--clients=0", "--seconds=soon", "--quiet=2"]
)
def test_wrong_options_are_told(wrong, capsys):
    with pytest.raises(SystemExit) as end:
        parser().parse_args([wrong])
    assert end.value.code == 2
    assert "error: argument" in capsys.readouterr().err


def test_generator_and_sink_need_a_core_each():
    cores = sorted(os.sched_getaffinity(0))
    with on_core(cores[0]), pytest.raises(GeneratorError, match="only one core"):
        chosen_cores(parser().parse_args([]))
    if len(cores) > 1:
        assert chosen_cores(parser().parse_args([f"--sink-core={cores[0]}"])) == (
            cores[1],
            cores[0],
        )
        with pytest.raises(GeneratorError, match="not two of those"):
            chosen_cores(parser().parse_args(["--generator-core=99"]))


def test_child_processes_count():
    burn = "import sys, time\nwhile time.process_time() < 0.3: pass\nsys.stdin.read()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); input()"
    with (
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process,
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as sink,
    ):
        sampler = Sampler(process.pid, sink.pid, generator_core=0, sink_core=0)
        deadline = time.monotonic() + 30
        while not sampler.samples or sampler.samples[-1].generator < 0.3:
            assert time.monotonic() < deadline
            sampler.take()
        last = sampler.samples[-1]
        assert last.first < last.generator
        assert last.generator_core == last.sink_core > 0
        process.kill()
        sink.kill()


def test_waiting_for_quiet_has_an_end():
    # Nobody can use less than nothing: it gives up.
    wait_until_quiet([0], -1.0, 0.1)


# --- the real thing -------------------------------------------------------------------------------


def test_a_script_that_finds_nobody_says_that_its_sessions_failed(plan, tmp_path):
    written = write_order(plan, 3, usable_clips(CLIPS_DIRECTORY)[0], tmp_path)
    module = ["-m", "benchmarks.streams.plain_script", str(written.order)]
    subprocess.run([sys.executable, *module], check=True, timeout=60)
    said = json.loads(written.report.read_text())
    assert said["succeeded"] == 0
    assert sum(said["failures"].values()) == 3


@pytest.mark.parametrize("generator", [OURS, LOCUST, SCRIPT])
def test_each_generator_sends_all_of_it_and_is_measured(generator):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("generator and sink need a core each; there is one")
    if generator == LOCUST:
        try:
            locust_command()
        except GeneratorError as error:
            pytest.skip(str(error))
    found = measure(generator, 2, Settings(1.5, cores[0], cores[1]))
    assert (found.succeeded, found.failures) == (2, {})
    assert found.received == found.messages > 20
    assert found.slip.count == found.messages
    # The sink answers after 200 ms; nobody can have heard it sooner.
    assert found.latency.count == 2
    assert found.latency.min >= 0.2
    assert found.sending is not None
    used = found.sending.usage
    assert used.time > 1.0
    # Starting up takes much more than this little sending, which may be under a tick of the clock.
    assert 0 <= used.generator < found.whole_cpu / 2
