"""What files over HTTP do to each other, to live sessions, and when their client goes."""

import asyncio
import contextlib
import json
import logging
import socket
import sys
import tempfile
from pathlib import Path

import httpx
import numpy as np
import pytest
from support.files import Held, post, refusal
from support.recordings import RATE, wav
from support.replica import Wrapping

from stack.replica import rest
from stack.replica.rest import PATH

HEAD = (
    f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n"
    "Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
)


COUNT = f'whisperlive_rest_requests_total{{endpoint="{PATH}",status="499"}}'


@pytest.fixture
def spooled(tmp_path, monkeypatch):
    """Count the temporary files that are open; on Linux they have no name any more."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def count():
        found = 0
        for one in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found += str(one.readlink()).startswith(str(tmp_path))
        return found

    return count if sys.platform == "linux" else lambda: 0


@pytest.fixture
def held(start, transcriber):
    model = Held(transcriber)
    with start(model) as replica:
        yield model, replica
        model.go.set()


def nothing_left(running):
    return running.replica._files.running == 0 and running.replica._scheduler._entries == {}


async def test_four_at_once_do_not_mix(running, clips):
    names = ["rooms-and-gates", "bus-and-weather", "minutes", "red-and-white"]
    answers = await asyncio.gather(
        *(asyncio.to_thread(post, running, wav(clips[name].samples)) for name in names)
    )
    for name, answer in zip(names, answers, strict=True):
        assert clips[name].wer(answer.json()["text"]) <= 0.1


async def test_live_sessions_come_before_a_file(start, transcriber, talk, clips, wait_until):
    order = []

    class Noting(Wrapping):
        def hear(self, request):
            order.append("file" if request.accurate else "live")
            return super().hear(request)

    clip = clips["evening-plane"]
    long = np.concatenate([clips["minutes"].samples] * 24)
    with start(Noting(transcriber)) as replica:
        posting = asyncio.create_task(asyncio.to_thread(post, replica, wav(long)))
        await asyncio.to_thread(wait_until, lambda: "file" in order, "the file's first pass")
        async with talk(replica) as client:
            for first in range(0, len(clip.samples), RATE):
                await client.send(clip.samples[first : first + RATE])
            await client.finish()
        assert not posting.done()
        assert clip.wer(client.text) <= 0.1
        live = [place for place, one in enumerate(order) if one == "live"]
        # Each live pass waits for one of the file's at most: the one that is under way.
        assert order[live[0] : live[-1]].count("file") <= len(live)
        assert (await posting).status_code == 200


@pytest.mark.parametrize("stream", ["false", "true"])
async def test_a_client_that_leaves_takes_all_with_it(held, clip, wait_until, spooled, stream):
    model, replica = held
    async with httpx.AsyncClient(base_url=str(replica.http.base_url)) as client:
        files = {"file": ("speech.wav", wav(np.tile(clip.samples, 5)))}
        asking = asyncio.create_task(client.post(PATH, files=files, data={"stream": stream}))
        await asyncio.to_thread(wait_until, model.asked.is_set, "the pass")
        if sys.platform == "linux":
            assert spooled() == 1
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await asyncio.to_thread(wait_until, lambda: nothing_left(replica), "the end")
    await asyncio.to_thread(wait_until, lambda: spooled() == 0, "the file to go")
    model.go.set()
    assert replica.metric(COUNT) == (stream == "false")
    assert clip.wer(post(replica, wav(clip.samples)).json()["text"]) <= 0.05


def test_a_client_that_leaves_a_stream_half_read(running, clip, wait_until):
    files = {"file": ("speech.wav", wav(np.tile(clip.samples, 10)))}
    with running.http.stream("POST", PATH, files=files, data={"stream": "true"}) as answer:
        first = next(line for line in answer.iter_lines() if line)
    assert json.loads(first[6:])["type"] == "transcript.text.delta"
    wait_until(lambda: nothing_left(running), "the end")


def test_a_client_that_leaves_while_it_sends(running, wait_until):
    with socket.create_connection(("127.0.0.1", running.port)) as client:
        client.sendall(HEAD.encode())
        wait_until(lambda: running.replica._files.running == 1, "the upload")
    wait_until(lambda: nothing_left(running), "the end")


def test_a_refused_upload_is_read_so_that_its_answer_arrives(running):
    body = bytes(8 * 1024 * 1024)  # more than the sockets' buffers hold
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        "Origin: http://elsewhere.example\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as client:
        client.sendall(head.encode() + body)
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"other origins" in answer


def test_an_upload_that_stands_still_gives_up_its_place(running, monkeypatch, wait_until):
    monkeypatch.setattr(rest, "UPLOAD_PAUSE", 0.2)
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as client:
        client.sendall(HEAD.encode())
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"send it again." in answer
    wait_until(lambda: nothing_left(running), "the end")


async def test_a_stream_that_nobody_reads_gives_up_its_place(monkeypatch):
    monkeypatch.setattr(rest, "READ_PAUSE", 0.05)
    released = asyncio.Event()
    release = contextlib.AsyncExitStack()
    release.callback(released.set)

    async def events():
        yield "data: {}\n\n"

    async def blocked(message=None):
        await asyncio.Event().wait()

    answer = rest._Streaming(events(), release)
    await asyncio.wait_for(answer({"type": "http"}, blocked, blocked), 10)
    assert released.is_set()


def test_a_stream_of_no_audio_is_refused_as_such(running):
    assert refusal(post(running, b"text\n" * 500, stream="true"), 400)["param"] == "file"
    assert nothing_left(running)


def test_a_media_type_in_capitals(running, clip):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        + wav(clip.samples[: 3 * RATE])
        + b"\r\n--x--\r\n"
    )
    headers = {"Content-Type": "Multipart/Form-Data; boundary=x"}
    assert running.http.post(PATH, content=body, headers=headers).status_code == 200


def test_logs_name_no_file_and_no_text(start, transcriber, clip, caplog):
    class Failing(Wrapping):
        def hear(self, request):
            return RuntimeError("out of memory")

    caplog.set_level(logging.DEBUG, logger="stack")
    fields = {"name": "secret-name.wav", "prompt": "secret-prompt", "hotwords": "secret-words"}
    for model in (transcriber, Failing(transcriber)):
        with start(model) as replica:
            post(replica, wav(clip.samples), **fields)
            post(replica, b"no audio", **fields)
    assert "A pass failed" in caplog.text
    assert "secret" not in caplog.text
    assert clip.text.split()[1] not in caplog.text
