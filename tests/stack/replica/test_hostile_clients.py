"""What bad clients can do: nothing to others, and each is told what was wrong."""

import asyncio
import contextlib
import gc
import json
import signal
import socket as sockets
import statistics
import subprocess
import sys
import time

import httpx
import psutil
import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hostile import (
    BAD_AUDIO,
    BAD_FIRST,
    ODD_AUDIO,
    crowd,
    every_attack,
    first_message,
    half_a_handshake,
    later_message,
    vanish,
)

from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.plan import LoadPlan
from stack.protocol import ProtocolError, SessionOptions, parse_options
from test_audio import CLIPS_DIRECTORY

RATE = 16_000


@pytest.mark.parametrize("name", BAD_FIRST)
async def test_bad_options_get_a_reason(running, name):
    told = await first_message(running.url, BAD_FIRST[name])
    assert told.code in (1007, 1008), told
    assert told.is_told
    if told.errors:
        (sentence,) = told.errors
        assert sentence.endswith(".")
        assert "Traceback" not in sentence


@pytest.mark.parametrize("name", BAD_AUDIO)
async def test_bad_audio_gets_a_reason(running, name):
    told = await later_message(running.url, BAD_AUDIO[name])
    assert told.code in (1007, 1009), told
    assert told.is_told


@pytest.mark.parametrize("name", ODD_AUDIO)
async def test_odd_audio_is_survived(running, name):
    told = await later_message(running.url, ODD_AUDIO[name])
    assert (told.errors, told.code) == ((), 1000)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
fields = st.dictionaries(st.sampled_from([*SessionOptions.model_fields, "other"]), json_values)


@given(given_options=fields)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_options_are_taken_or_refused_with_a_sentence(given_options):
    refusal = ""
    try:
        options = parse_options(json.dumps(given_options))
    except ProtocolError as error:
        refusal = str(error)
    assert refusal.endswith(".") if refusal else 1 <= len(options.uid) <= 256


async def test_nothing_is_left_behind(start, transcriber, wait_until):
    with start(transcriber) as replica:
        tasks_before = len(asyncio.all_tasks(replica.loop))
        await every_attack(replica.url, replica.port, lambda *_: None)
        await asyncio.to_thread(wait_until, lambda: replica.status()["sessions"] == 0, "no session")
        assert replica.replica._scheduler._entries == {}
        assert replica.replica._handshakes == 0
        await asyncio.to_thread(
            wait_until,
            lambda: len(asyncio.all_tasks(replica.loop)) <= tasks_before + 1,
            "no task left",
        )


async def test_two_hundred_at_once(start, transcriber, wait_until):
    with start(transcriber, max_sessions=50) as replica:
        ends = await crowd(replica.url, 200)
        assert {told.code for told in ends} == {1000}
        assert replica.status()["sessions"] == 0
        refused = replica.metric('whisperlive_connections_rejected_total{reason="full"}')
        assert replica.metric("whisperlive_connections_total") + refused == 200


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("stack.replica.connection.SLOW_READER", 0.5)
    monkeypatch.setattr("stack.replica.serving.LINGER", 0.5)


@pytest.mark.usefixtures("impatient")
async def test_a_reader_that_stops_reading_is_ended_and_costs_nobody(
    start, transcriber, talk, clip, wait_until
):
    with start(transcriber) as replica:
        raw = sockets.create_connection(("127.0.0.1", replica.port))
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2048)
        connection = await websockets.connect(
            replica.url, sock=raw, max_queue=1, ping_interval=None
        )
        options = {"uid": "slow", "language": "en", "word_timestamps": True}
        await connection.send(json.dumps({**options, "send_last_n_segments": 1000}))
        connection.transport.pause_reading()

        async def flood():
            with contextlib.suppress(websockets.ConnectionClosed):
                for _ in range(40):
                    await connection.send(clip.samples.astype("<f4").tobytes())

        flooding = asyncio.create_task(flood())
        try:
            async with talk(replica) as good:
                await good.send(clip.samples)
                assert await good.finish() == 1000
            assert clip.wer(good.text) <= 0.05
            await asyncio.to_thread(
                wait_until, lambda: replica.status()["sessions"] == 0, "its end", deadline=60
            )
            await asyncio.to_thread(
                wait_until, lambda: not replica.server.server_state.connections, "no connection"
            )
        finally:
            flooding.cancel()
            connection.transport.abort()
            await asyncio.gather(flooding, return_exceptions=True)


@contextlib.contextmanager
def process(log):
    """Run a replica as a process of its own."""
    with sockets.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "stack.replica", f"--port={port}", "--max-sessions=64"]
    with log.open("wb") as output:  # a pipe that nobody reads would stop it
        running = subprocess.Popen(command, stderr=output)
    try:
        end = time.monotonic() + 30
        while True:
            assert running.poll() is None
            assert time.monotonic() < end
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200:
                    break
            time.sleep(0.05)
        yield running, port
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=30)


async def measure(port, results):
    """Stream two clips as people talk and give the median of what their words took to be shown."""
    plan = LoadPlan(
        clients=(2,),
        port=port,
        audio_directory=CLIPS_DIRECTORY,
        results_directory=results,
        duration=8.0,
    )
    async for event in LoadController(plan).run():
        if isinstance(event, StepFinished):
            found = event.run
    assert found.summary.successful_clients == 2, [one.errors for one in found.clients]
    return statistics.median(
        sample for client in found.clients for sample in client.word_latency_samples
    )


async def test_others_hardly_notice_and_the_memory_comes_back(tmp_path):
    with process(tmp_path / "log") as (running, port):
        url = f"ws://127.0.0.1:{port}/"
        alone = await measure(port, tmp_path)
        await every_attack(url, port, lambda *_: None)
        before = psutil.Process(running.pid).memory_info().rss
        untold = []

        def note(name, told):
            if not told.is_told:
                untold.append((name, told))

        async def attack():
            while True:
                await every_attack(url, port, note)
                await crowd(url, 200)

        measuring = asyncio.create_task(measure(port, tmp_path))
        async with asyncio.timeout(30), httpx.AsyncClient() as http:
            # A crowd at the door may take all places, and that is no fault.
            while (await http.get(f"http://127.0.0.1:{port}/status")).json()["sessions"] < 2:
                assert not measuring.done(), measuring.exception()
                await asyncio.sleep(0.02)
        attacking = asyncio.create_task(attack())
        try:
            attacked = await measuring
            assert not attacking.done(), attacking.exception()
        finally:
            attacking.cancel()
            await asyncio.gather(attacking, return_exceptions=True)
        assert running.poll() is None, "the process lives"
        assert untold == []
        assert attacked <= 2 * alone
        after = psutil.Process(running.pid).memory_info().rss
        assert after - before < 64 * 1024 * 1024
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "Traceback" not in log


async def test_half_handshakes_and_lost_connections(running):
    assert await half_a_handshake(running.port, b"\x16\x03\x01\x00\xa5") != b"101"
    await vanish(running.url)
    gc.collect()
    assert running.http.get("/health").status_code == 200
