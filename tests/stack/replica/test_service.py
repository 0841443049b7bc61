"""What stands beside the sessions: health, readiness, metrics, admission, draining, the key."""

import asyncio
import contextlib
import json
import threading

import httpx
import numpy as np
import pytest
import websockets
from support.replica import Wrapping

from stack.replica.transcriber import ModelUnavailableError

RATE = 16_000
KEY = "correct-horse"


class Waiting(Wrapping):
    """A model that is still being loaded until told otherwise."""

    def __init__(self, transcriber):
        super().__init__(transcriber)
        self.loaded = threading.Event()

    def warm(self):
        assert self.loaded.wait(30)
        super().warm()


async def test_it_is_healthy_before_it_is_ready(start, transcriber, talk, wait_until):
    model = Waiting(transcriber)
    with start(model, ready=False) as replica:
        try:
            wait_until(lambda: replica.http.get("/health").status_code == 200, "health")
            answer = replica.http.get("/ready")
            assert (answer.status_code, answer.json()["ready"]) == (503, False)
            assert "loaded" in answer.json()["reason"]
            assert replica.status()["state"] == "starting"
            async with talk(replica, ready=False) as client:
                message = await client.receive()
                assert message["status"] == "WAIT"
                assert message["message"] > 0
        finally:
            model.loaded.set()
        wait_until(lambda: replica.http.get("/ready").status_code == 200, "readiness")
        assert replica.status()["state"] == "ready"


async def test_the_first_client_finds_the_model_loaded(start, talk):
    """Upstream loads the model when the first client connects."""
    with start() as replica:
        begun = asyncio.get_running_loop().time()
        async with talk(replica) as client:
            assert asyncio.get_running_loop().time() - begun < 2
            await client.finish()
        assert replica.metric("whisperctl_replica_ready") == 1


async def test_status_and_metrics(running, talk, clips):
    before = running.metric("whisperlive_audio_processed_seconds_total")
    started = running.metric("whisperlive_connections_total")
    clip = clips["evening-plane"]
    async with talk(running, use_vad=True) as client:
        assert running.status()["sessions"] == 1
        assert running.metric("whisperlive_connections_active") == 1
        await client.send(clip.samples)
        await client.finish()
    status = running.status()
    assert status["name"] == "replica-under-test"
    assert (status["state"], status["model"], status["queue_depth"]) == ("ready", "offline", 0)
    assert status["rss"] > 10_000_000
    assert status["audio_seconds_total"] > 0
    heard = running.metric("whisperlive_audio_processed_seconds_total") - before
    assert heard == pytest.approx(len(clip.samples) / RATE, abs=0.01)
    assert running.metric("whisperlive_connections_total") == started + 1
    assert running.metric('whisperlive_segments_emitted_total{completed="true"}') >= 2
    for stage in ("receive", "vad", "features", "queue", "encode", "decode", "send"):
        name = f'whisperctl_replica_stage_seconds_count{{stage="{stage}"}}'
        assert running.metric(name) > 0, stage
    assert running.metric("whisperlive_transcription_latency_seconds_count") > 0


async def test_the_handshake_names_the_replica(running):
    async with websockets.connect(running.url) as socket:
        assert socket.response.headers["X-Replica"] == "replica-under-test"


async def test_a_full_replica_says_how_long_to_wait(start, transcriber, talk):
    with start(transcriber, max_sessions=1, max_connection_time=120.0) as replica:
        async with talk(replica), talk(replica, ready=False) as refused:
            message = await refused.receive()
            assert message["status"] == "WAIT"
            assert 1.5 < message["message"] <= 2.0
            assert await refused.to_the_end() == 1000
        assert replica.metric('whisperlive_connections_rejected_total{reason="full"}') == 1


async def test_draining_keeps_old_sessions_and_takes_no_new(start, transcriber, talk, clips):
    clip = clips["evening-plane"]
    with start(transcriber) as replica:
        async with talk(replica) as old:
            assert replica.http.post("/drain", headers={"Origin": "http://x"}).status_code == 403
            assert replica.status()["state"] == "ready"
            assert replica.http.get("/drain").status_code == 405
            answer = replica.http.post("/drain")
            assert answer.json() == {"state": "draining", "sessions": 1}
            ready = replica.http.get("/ready")
            assert (ready.status_code, "draining" in ready.json()["reason"]) == (503, True)
            async with talk(replica, ready=False) as refused:
                assert (await refused.receive())["status"] == "WAIT"
            # A balancer is told at once, so that it can go elsewhere.
            url = f"ws://127.0.0.1:{replica.port}/"
            with pytest.raises(websockets.exceptions.InvalidStatus, match="503"):
                async with websockets.connect(url, additional_headers={"X-Balanced": "1"}):
                    pass
            await old.send(clip.samples)
            assert await old.finish() == 1000
        assert clip.wer(old.text) <= 0.1


async def test_shutting_down_flushes_what_was_heard(start, transcriber, talk, clips):
    clip = clips["evening-plane"]
    with start(transcriber) as replica:
        async with talk(replica) as client:
            await client.send(clip.samples)
            await client.until(lambda message: "segments" in message)
            done = asyncio.run_coroutine_threadsafe(replica.replica.shut_down(20), replica.loop)
            assert await client.to_the_end() == 1001
            await asyncio.wait_for(asyncio.wrap_future(done), 20)
            assert client.text != ""
            assert client.messages[-1]["segments"][-1]["completed"] is True
        assert replica.status()["sessions"] == 0


async def test_the_key(start, transcriber, talk):
    with start(transcriber, api_key=KEY) as replica:
        for headers in (None, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(replica.url, additional_headers=headers)
            assert refused.value.response.status_code == 401
        async with talk(replica, headers={"Authorization": f"Bearer {KEY}"}) as client:
            await client.finish()
        async with websockets.connect(f"{replica.url}?token={KEY}") as socket:
            await socket.close()
        protocols = [websockets.Subprotocol("bearer"), websockets.Subprotocol(KEY)]
        async with websockets.connect(replica.url, subprotocols=protocols) as socket:
            assert socket.subprotocol == "bearer"
        assert replica.http.post("/drain").status_code == 403
        allowed = replica.http.post("/drain", headers={"Authorization": f"Bearer {KEY}"})
        assert allowed.status_code == 200


async def test_too_many_handshakes(start, transcriber, monkeypatch):
    monkeypatch.setattr("stack.replica.server.MAX_HANDSHAKES", 1)
    with start(transcriber) as replica:
        async with websockets.connect(replica.url):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(replica.url)
            assert refused.value.response.status_code == 503


@pytest.fixture
def low_limit(monkeypatch):
    monkeypatch.setattr("stack.replica.connection.UNHEARD_LIMIT", 5.0)
    monkeypatch.setattr("stack.replica.connection.SLICE_SECONDS", 1)


@pytest.mark.usefixtures("low_limit")
async def test_a_fast_sender_is_slowed_down_not_cut(start, transcriber, talk, clips, wait_until):
    """Unheard audio stays bounded while the model is busy, and all of it is transcribed."""
    go = threading.Event()
    most = 0.0

    class Slow(Wrapping):
        def hear(self, request):
            assert go.wait(30)
            return super().hear(request)

    model = Slow(transcriber)
    names = ["rooms-and-gates", "minutes"]
    samples = np.concatenate([clips[name].samples for name in names])
    with start(model) as replica:
        async with talk(replica) as client:
            await client.socket.send(samples.astype("<f4").tobytes())
            (connection,) = wait_until(lambda: replica.replica._connections, "the session")
            wait_until(lambda: connection.session.unheard > 5.0, "the limit")
            most = connection.session.unheard
            go.set()
            await client.finish()
    assert most <= 6.0
    text = " ".join(clips[name].text for name in names)
    assert type(clips["minutes"])(clips["minutes"].path, samples, text).wer(client.text) <= 0.1


async def test_a_message_over_the_limit_ends_the_connection(running, talk):
    async with talk(running) as client:
        with contextlib.suppress(websockets.ConnectionClosed):
            await client.socket.send(b"\x00" * (17 * 1024 * 1024))
        assert await client.to_the_end() == 1009


def test_a_model_that_fails_on_its_first_audio(start, wait_until):
    class Broken:
        def warm(self):
            raise RuntimeError("libcublas is not found\nand more")

    with start(Broken(), ready=False) as replica:
        failure = wait_until(lambda: replica.replica.failure, "the failure")
    assert isinstance(failure, ModelUnavailableError)
    assert "libcublas is not found; try another --device" in str(failure)


def test_nothing_of_what_is_said_is_logged(running, clips, caplog):
    async def speak():
        async with websockets.connect(running.url) as socket:
            await socket.send(json.dumps({"uid": "x", "initial_prompt": "secretive"}))
            await socket.send(clips["evening-plane"].samples.astype("<f4").tobytes())
            await socket.send(b"END_OF_AUDIO")
            return "".join([message async for message in socket])

    with caplog.at_level("DEBUG", logger="stack.replica"):
        assert "warm plane" in asyncio.run(speak()).lower()
        httpx.get(f"http://127.0.0.1:{running.port}/health")
    assert "plane" not in caplog.text
    assert "secretive" not in caplog.text
