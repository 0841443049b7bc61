"""What a client is told when something is wrong or worth knowing."""

import asyncio
import dataclasses
import json

import websockets
from support.replica import Wrapping

RATE = 16_000


async def test_options_that_are_wrong_get_a_sentence(running):
    cases = [
        (json.dumps({"language": "en"}), "uid", ""),
        (json.dumps({"uid": "u", "audio_format": "mp3"}), "audio_format", "u"),
        (json.dumps({"uid": "u", "task": "sing"}), "task", "u"),
        (json.dumps({"uid": "u", "no_speech_thresh": 7}), "no_speech_thresh", "u"),
        ("hello", "JSON object", ""),
        ("[]", "JSON object", ""),
        (b"\x00\x01", "JSON object", ""),
        (json.dumps({"uid": "u", "hotwords": "x" * 70_000}), "at most", ""),
    ]
    for message, part, uid in cases:
        async with websockets.connect(running.url) as socket:
            await socket.send(message)
            answer = json.loads(await asyncio.wait_for(socket.recv(), 10))
            assert (answer["status"], answer["uid"]) == ("ERROR", uid)
            assert part in answer["message"]
            await asyncio.wait_for(socket.wait_closed(), 10)
            assert socket.close_code == 1008


async def test_options_that_never_come(start, transcriber, monkeypatch, talk):
    monkeypatch.setattr("stack.replica.connection.OPTIONS_SECONDS", 0.2)
    with start(transcriber) as replica:
        async with websockets.connect(replica.url) as socket:
            answer = json.loads(await asyncio.wait_for(socket.recv(), 10))
            assert answer["status"] == "ERROR"
            await asyncio.wait_for(socket.wait_closed(), 10)
            assert socket.close_code == 1008


async def test_a_client_that_goes_before_its_options(running, wait_until):
    async with websockets.connect(running.url):
        pass
    wait_until(lambda: running.status()["sessions"] == 0, "no session")


async def test_audio_that_is_not_whole_samples(running, talk):
    async with talk(running) as client:
        await client.socket.send(b"\x00" * 4097)
        assert await client.to_the_end() == 1007
    assert client.messages[-1]["status"] == "ERROR"
    assert "4097 bytes" in client.messages[-1]["message"]


async def test_warnings(running, talk):
    async with talk(
        running,
        language="de",
        task="translate",
        vad_parameters={"threshold": 0.4, "loudness": 3, "onset": "high"},
    ) as client:
        await client.finish()
    warnings = [message["message"] for message in client.messages if "status" in message]
    assert len(warnings) == 3
    assert "English only" in warnings[0]
    assert "translate" in warnings[1]
    assert "loudness, onset" in warnings[2]


async def test_the_language_is_told_when_none_was_asked_for(running, talk):
    async with talk(running, language=None) as client:
        await client.finish()
    assert {"uid": client.uid, "language": "en", "language_prob": 1.0} in client.messages


async def test_a_multilingual_model_is_asked_for_the_language(start, talk, clips, transcriber):
    """The wire's side of it; the shipped model hears English only, so its answer is replaced."""

    class Multilingual(Wrapping):
        multilingual, languages = True, frozenset({"en", "de"})

        def hear(self, request):
            heard = super().hear(request)
            if request.language is not None:
                return dataclasses.replace(heard, language=request.language)
            sure = 0.9 if request.seconds > 3 else 0.3
            return dataclasses.replace(heard, language="de", language_probability=sure)

    clip = clips["evening-plane"]
    with start(Multilingual(transcriber)) as replica:
        async with talk(replica, language=None) as client:
            for first in range(0, len(clip.samples), RATE):
                await client.send(clip.samples[first : first + RATE])
            await client.finish()
        told = [message for message in client.messages if "language" in message]
        assert told == [{"uid": client.uid, "language": "de", "language_prob": 0.9}]
        assert clip.wer(client.text) <= 0.15, "the audio before it is not lost"
        async with talk(replica, ready=False, language="tlh") as client:
            assert "'tlh'" in (await client.receive())["message"]
            assert await client.to_the_end() == 1008


async def test_a_session_that_breaks_is_told(running, talk, clips, monkeypatch):
    def broken(self):
        raise KeyError("broken")

    async with talk(running) as client:
        monkeypatch.setattr("stack.replica.session.Session.take_updates", broken)
        await client.send(clips["evening-plane"].samples)
        assert await client.to_the_end() == 1011
    assert client.messages[-1]["status"] == "ERROR"


async def test_a_pass_that_fails_ends_only_its_session(start, talk, clips, transcriber):
    class Failing(Wrapping):
        def hear(self, request):
            if request.initial_prompt == "fail":
                raise RuntimeError("out of memory")
            return super().hear(request)

    clip = clips["evening-plane"]
    with start(Failing(transcriber)) as replica:
        async with talk(replica) as good, talk(replica, initial_prompt="fail") as bad:
            await bad.send(clip.samples)
            assert await bad.to_the_end() == 1011
            assert bad.messages[-1]["status"] == "ERROR"
            await good.send(clip.samples)
            assert await good.finish() == 1000
        assert replica.metric('whisperlive_errors_total{type="transcription"}') == 1
    assert clip.wer(good.text) <= 0.1
