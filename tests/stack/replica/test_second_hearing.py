"""A session's whole audio once more, for the best final text."""

import numpy as np
import pytest
from support.replica import Wrapping

from stack.protocol import Segments, parse_server_message

RATE = 16_000


def of(messages, *, final):
    return [one for one in messages if "segments" in one and one.get("final", False) is final]


async def test_the_whole_text_comes_once_more_at_the_end(start, transcriber, talk, clips):
    names = ["rooms-and-gates", "minutes", "evening-plane"]
    samples = np.concatenate([clips[name].samples for name in names])
    expected = " ".join(clips[name].text for name in names)
    with start(transcriber, final_pass=True) as replica:
        async with talk(replica) as client:
            for first in range(0, len(samples), RATE):
                await client.send(samples[first : first + RATE])
            await client.socket.send(b"END_OF_AUDIO")
            streamed = []
            message = await client.receive()
            while not message.get("final"):
                streamed.append(message)
                message = await client.receive()
            assert await client.to_the_end() == 1000
    whole = type(clips["minutes"])(clips["minutes"].path, samples, expected)
    parsed = parse_server_message('{"uid": "u", "segments": [], "final": true}')
    assert isinstance(parsed, Segments)
    assert parsed.final
    assert whole.wer("".join(segment["text"] for segment in message["segments"])) <= 0.03
    assert {segment["completed"] for segment in message["segments"]} == {True}
    assert len(message["segments"]) > 10, "not only the last ones, as updates repeat"
    assert client.messages[-1] is message
    last = of(streamed, final=False)[-1]["segments"][-1]
    assert last["completed"], "the streamed text was complete before"


async def test_the_accurate_settings_take_whole_windows(start, transcriber, talk, clip):
    asked = []

    class Watching(Wrapping):
        def hear(self, request):
            asked.append(request)
            return super().hear(request)

    with start(Watching(transcriber), final_pass=True) as replica:
        async with talk(replica) as client:
            for first in range(0, len(clip.samples), RATE):
                await client.send(clip.samples[first : first + RATE])
            await client.finish()
    accurate = [request for request in asked if request.accurate]
    assert len(accurate) == 1, "13 s fit in one window"
    assert accurate[0].seconds == pytest.approx(clip.seconds)


async def test_without_time_for_it_the_streamed_text_stays(
    start, transcriber, talk, clip, monkeypatch
):
    monkeypatch.setattr("stack.replica.second.MOST_WAITING", 1.0)
    with start(transcriber, final_pass=True) as replica:
        async with talk(replica) as client:
            await client.socket.send(clip.samples.astype("<f4").tobytes())
            await client.finish()
        assert replica.replica._scheduler.queue_depth == 0
        assert replica.replica._scheduler._entries == {}
    assert of(client.messages, final=True) == []
    assert "given up" in client.messages[-1]["message"]
    assert clip.wer(client.text) <= 0.05


async def test_a_failing_second_hearing_costs_no_text(start, transcriber, talk, clip):
    class Failing(Wrapping):
        def hear(self, request):
            if request.accurate:
                return RuntimeError("out of memory")
            return super().hear(request)

    with start(Failing(transcriber), final_pass=True) as replica:
        async with talk(replica) as client:
            await client.send(clip.samples)
            assert await client.finish() == 1000
    assert "given up" in client.messages[-1]["message"]
    assert clip.wer(client.text) <= 0.05


async def test_a_client_that_leaves_takes_its_second_hearing_with_it(
    start, transcriber, talk, clip, wait_until
):
    with start(transcriber, final_pass=True) as replica:
        async with talk(replica) as client:
            await client.send(clip.samples[: 3 * RATE])
            wait_until(lambda: len(replica.replica._scheduler._entries) == 2, "both")
        wait_until(lambda: replica.replica._scheduler._entries == {}, "no work left")
