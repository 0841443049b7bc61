"""A client's view of a session: text, times, the end of audio, and how sessions end."""

import asyncio
import itertools
import socket as sockets

import numpy as np
import pytest
from support.replica import Wrapping

from stack.protocol import END_OF_AUDIO, AudioFormat, encode_audio
from stack.replica.scheduler import Pace

RATE = 16_000


async def test_a_clip_is_transcribed_and_flushed(running, talk, clip):
    async with talk(running) as client:
        await client.send(clip.samples)
        assert await client.finish() == 1000
    assert clip.wer(client.text) <= 0.05
    assert client.messages[0]["backend"] == "faster_whisper"
    assert client.messages[0]["flush"] is True
    last = client.messages[-1]["segments"][-1]
    assert last["completed"] is True
    assert float(last["end"]) <= clip.seconds


async def test_text_comes_while_the_client_still_talks(running, talk, clip):
    async with talk(running) as client:
        await client.send(clip.samples[: 4 * RATE])
        message = await client.until(lambda message: "segments" in message)
        assert message["segments"][-1]["text"].strip()
        await client.send(clip.samples[4 * RATE :])
        await client.finish()
    assert clip.wer(client.text) <= 0.05


async def test_a_pause_completes_the_last_segment_at_once(running, talk, clips):
    """Upstream needs twelve equal passes for it, about ten seconds."""
    clip = clips["evening-plane"]
    async with talk(running) as client:
        await client.send(clip.samples)
        await client.send(np.zeros(2 * RATE, np.float32))
        await client.until(
            lambda message: (
                "segments" in message
                and message["segments"][-1]["completed"]
                and float(message["segments"][-1]["end"]) > clip.seconds - 1.5
            )
        )
        assert clip.wer(client.text) <= 0.1
        passes = sum("segments" in message for message in client.messages)
        assert passes <= 10
        await client.finish()


async def test_a_rest_shorter_than_the_least_chunk_is_heard(running, talk, clips):
    """Upstream stops at the end of audio and loses what it has not heard (no flush)."""
    clip = clips["minutes"]
    async with talk(running) as client:
        await client.send(clip.samples[: int(0.95 * RATE)])
        assert await client.finish() == 1000
    assert client.text != ""


async def test_end_of_audio_as_text_message(running, talk, clips):
    clip = clips["evening-plane"]
    async with talk(running) as client:
        await client.send(clip.samples)
        await client.socket.send(END_OF_AUDIO.decode())
        assert await client.to_the_end() == 1000
    assert clip.wer(client.text) <= 0.1


async def test_audio_after_the_end_is_ignored(running, talk, clips):
    clip = clips["evening-plane"]
    async with talk(running) as client:
        await client.send(clip.samples)
        await client.socket.send(END_OF_AUDIO)
        await client.send(clips["minutes"].samples[: 2 * RATE])
        assert await client.to_the_end() == 1000
    assert clip.wer(client.text) <= 0.1


async def test_an_end_without_audio(running, talk):
    async with talk(running) as client:
        assert await client.finish() == 1000
    assert client.completed == []


async def test_more_than_45_seconds_sent_at_once_lose_nothing(running, talk, clips):
    """Upstream's buffer loses its oldest 30 s above 45 s; one frame here holds over 80 s."""
    names = ["rooms-and-gates", "bus-and-weather", "minutes", "red-and-white", "other-accent"] * 2
    samples = np.concatenate([clips[name].samples for name in names])
    assert len(samples) > 90 * RATE
    expected = " ".join(clips[name].text for name in names)
    async with talk(running) as client:
        await client.socket.send(samples.astype("<f4").tobytes())
        assert await client.finish() == 1000
    whole = type(clips["minutes"])(clips["minutes"].path, samples, expected)
    assert whole.wer(client.text) <= 0.1
    assert abs(float(client.completed[-1]["end"]) - len(samples) / RATE) < 2.0


async def test_a_message_cut_into_continuation_frames(running, talk, clips):
    clip = clips["evening-plane"]
    data = clip.samples.astype("<f4").tobytes()
    third = len(data) // 12 * 4
    async with talk(running) as client:
        await client.socket.send([data[:third], data[third : 2 * third], data[2 * third :]])
        await client.finish()
    assert clip.wer(client.text) <= 0.1


@pytest.mark.parametrize("audio_format", list(AudioFormat))
async def test_audio_formats(running, talk, clip, audio_format):
    async with talk(running, audio_format=audio_format.value) as client:
        for first in range(0, len(clip.samples), RATE):
            chunk = clip.samples[first : first + RATE]
            await client.socket.send(encode_audio(chunk, audio_format))
        await client.finish()
    # 8 bits are noisy; the model was trained on better sound.
    assert clip.wer(client.text) <= (0.4 if audio_format is AudioFormat.UINT8 else 0.05)


async def test_few_segments_are_repeated_and_none_is_missed(running, talk, clip):
    async with talk(running, send_last_n_segments=1) as client:
        await client.socket.send(clip.samples.astype("<f4").tobytes())
        await client.finish()
    lists = [message["segments"] for message in client.messages if "segments" in message]
    assert max(sum(segment["completed"] for segment in one) for one in lists) == 1
    assert clip.wer(client.text) <= 0.05


async def test_nothing_is_repeated_when_nothing_changed(running, talk, clip):
    async with talk(running) as client:
        await client.send(clip.samples)
        await client.finish()
    lists = [message["segments"] for message in client.messages if "segments" in message]
    assert all(one != other for one, other in itertools.pairwise(lists))


async def test_word_times(running, talk, clips):
    clip = clips["minutes"]
    async with talk(running, word_timestamps=True) as client:
        await client.send(clip.samples)
        await client.finish()
    for segment in client.completed:
        assert "".join(word["word"] for word in segment["words"]) == segment["text"]
        times = [float(word[key]) for word in segment["words"] for key in ("start", "end")]
        assert times == sorted(times)
        assert float(segment["start"]) <= times[0]
        assert times[-1] <= float(segment["end"])
        assert all(0 < word["probability"] <= 1 for word in segment["words"])
    assert len(client.completed) >= 3


async def test_prompt_and_hotwords_reach_the_model(start, talk, clips, transcriber):
    """Upstream's batch path ignores hotwords."""
    requests = []

    class Watching(Wrapping):
        def hear(self, request):
            requests.append(request)
            return super().hear(request)

    with start(Watching(transcriber)) as replica:
        async with talk(
            replica, initial_prompt="Good morning teacher.", hotwords="garden"
        ) as client:
            await client.send(clips["evening-plane"].samples)
            await client.finish()
    assert {request.hotwords for request in requests} == {"garden"}
    assert {request.initial_prompt for request in requests} == {"Good morning teacher."}
    assert clips["evening-plane"].wer(client.text) <= 0.15


async def test_use_vad_is_each_sessions_own(start, talk, clips, transcriber):
    """Upstream keeps the last client's choice for all."""
    checked: dict[str, set[bool]] = {}

    class Watching(Wrapping):
        def hear(self, request):
            key = request.initial_prompt
            checked.setdefault(key, set()).add(request.track.detector is not None)
            return super().hear(request)

    clip = clips["evening-plane"]
    with start(Watching(transcriber)) as replica:
        async with (
            talk(replica, use_vad=True, initial_prompt="with") as one,
            talk(replica, use_vad=False, initial_prompt="without") as other,
        ):
            for first in range(0, len(clip.samples), RATE):
                await one.send(clip.samples[first : first + RATE])
                await other.send(clip.samples[first : first + RATE])
            await asyncio.gather(one.finish(), other.finish())
    assert checked["with"] == {True}
    assert checked["without"] == {False}
    assert clip.wer(one.text) <= 0.15
    assert clip.wer(other.text) <= 0.15


async def test_speech_after_silence_is_not_lost(running, talk, clips):
    """Upstream skips the whole chunk in which it finds silence."""
    clip = clips["evening-plane"]
    silence = np.zeros(int(6.3 * RATE), np.float32)
    for use_vad in (True, False):
        async with talk(running, use_vad=use_vad) as client:
            await client.send(np.concatenate([silence, clip.samples, silence, clip.samples]))
            await client.finish()
        text = clip.text + " " + clip.text
        twice = type(clip)(clip.path, clip.samples, text)
        assert twice.wer(client.text) <= 0.1, use_vad
        assert float(client.completed[0]["start"]) == pytest.approx(6.5, abs=0.5)


async def test_no_text_on_silence_and_noise(running, talk):
    noise = np.random.default_rng(1).normal(0, 0.01, 12 * RATE).astype(np.float32)
    for samples in (np.zeros(12 * RATE, np.float32), noise):
        for use_vad in (True, False):
            async with talk(running, use_vad=use_vad) as client:
                await client.send(samples, chunk=0.5)
                assert await client.finish() == 1000
            assert [message for message in client.messages if "segments" in message] == []


async def test_a_client_that_vanishes_leaves_nothing(running, talk, clip, wait_until):
    async with talk(running) as client:
        assert running.status()["sessions"] == 1
        await client.send(clip.samples)
        client.socket.transport.abort()
    wait_until(lambda: running.status()["sessions"] == 0, "the session to go")
    assert running.status()["queue_depth"] == 0


async def test_a_client_that_closes_in_order_without_end(running, talk, clip, wait_until):
    async with talk(running) as client:
        await client.send(clip.samples[: 2 * RATE])
    wait_until(lambda: running.status()["sessions"] == 0, "the session to go")


async def test_a_client_that_stops_sending_gets_its_text_completed(
    start, talk, clip, transcriber, monkeypatch
):
    monkeypatch.setattr("stack.replica.session.LAST_IDLE", 0.5)
    with start(transcriber, pace=Pace(min_chunk=0.2)) as replica:
        async with talk(replica) as client:
            await client.socket.send(clip.samples.astype("<f4").tobytes())
            await client.until(
                lambda message: "segments" in message and message["segments"][-1]["completed"]
            )
            assert clip.wer(client.text) <= 0.05
            await client.finish()


async def test_idle_audio_shorter_than_a_chunk_is_heard(running, talk, clips):
    async with talk(running) as client:
        await client.send(clips["minutes"].samples[: int(0.95 * RATE)])
        await client.until(lambda message: "segments" in message)
        await client.finish()


async def test_an_idle_client_ends_with_its_time(start, talk, clips, transcriber):
    """Upstream looks at the time only when audio comes."""
    with start(max_connection_time=1.0) as replica:
        begun = asyncio.get_running_loop().time()
        async with talk(replica) as client:
            await client.send(clips["evening-plane"].samples[: int(0.95 * RATE)])
            assert await client.to_the_end() == 1000
        assert asyncio.get_running_loop().time() - begun < 15
        assert client.messages[-1] == {"uid": client.uid, "message": "DISCONNECT"}
        assert client.text != "", "what was heard is flushed before the end"


async def test_a_reader_that_stalls_gets_all_its_segments(running, talk, clips):
    """While a client does not read, updates fold into the newest, and none is lost."""
    names = ["rooms-and-gates", "minutes"]
    async with talk(running, send_last_n_segments=2) as client:
        receiving = client.socket.transport.get_extra_info("socket")
        receiving.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        client.socket.transport.pause_reading()
        for name in names:
            await client.send(clips[name].samples)
        await client.socket.send(END_OF_AUDIO)
        client.socket.transport.resume_reading()
        await client.to_the_end()
    both = type(clips["minutes"])(
        clips["minutes"].path,
        clips["minutes"].samples,
        " ".join(clips[name].text for name in names),
    )
    assert both.wer(client.text) <= 0.1


async def test_four_clients_at_once(running, talk, clips):
    names = ["rooms-and-gates", "bus-and-weather", "minutes", "red-and-white"]

    async def one(name):
        async with talk(running, use_vad=name == "minutes") as client:
            for first in range(0, len(clips[name].samples), RATE // 2):
                await client.send(clips[name].samples[first : first + RATE // 2])
                await asyncio.sleep(0)
            code = await client.finish()
        return code, clips[name].wer(client.text)

    results = await asyncio.gather(*(one(name) for name in names))
    assert {code for code, _ in results} == {1000}
    assert max(wer for _, wer in results) <= 0.1
