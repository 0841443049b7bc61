"""Files over HTTP, as OpenAI defines it."""

import asyncio
import io
import json
import re

import av
import httpx
import numpy as np
import pytest
from support.files import Held, post, refusal
from support.recordings import RATE, encoded, wav
from support.replica import Wrapping

from stack.replica.languages import NAMES
from stack.replica.rest import PATH

KEY = "correct-horse"


def test_json_is_the_default(running, clip):
    answer = post(running, wav(clip.samples))
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"text"}
    assert clip.wer(answer.json()["text"]) <= 0.05
    name = f'whisperlive_rest_requests_total{{endpoint="{PATH}",status="200"}}'
    assert running.metric(name) >= 1


def test_text(running, clip):
    answer = post(running, wav(clip.samples), response_format="text")
    assert answer.headers["content-type"].startswith("text/plain")
    assert clip.wer(answer.text) <= 0.05


def test_srt_and_vtt(running, clip):
    srt = post(running, wav(clip.samples), response_format="srt").text
    blocks = [block.split("\n") for block in srt.strip().split("\n\n")]
    assert [block[0] for block in blocks] == [str(n) for n in range(1, len(blocks) + 1)]
    time = r"\d\d:\d\d:\d\d[,.]\d\d\d"
    assert all(re.fullmatch(rf"{time} --> {time}", block[1]) for block in blocks)
    assert all("," in block[1] and len(block) == 3 for block in blocks)
    assert clip.wer(" ".join(block[2] for block in blocks)) <= 0.05
    answer = post(running, wav(clip.samples), response_format="vtt")
    assert answer.headers["content-type"].startswith("text/vtt")
    head, *cues = answer.text.strip().split("\n\n")
    assert head == "WEBVTT"
    assert [cue.split("\n")[1] for cue in cues] == [block[2] for block in blocks]


def test_verbose_json(running, clip):
    body = post(running, wav(clip.samples), response_format="verbose_json").json()
    assert (body["task"], body["language"]) == ("transcribe", "english")
    assert body["duration"] == pytest.approx(clip.seconds, abs=0.01)
    assert "words" not in body
    assert [segment["id"] for segment in body["segments"]] == list(range(len(body["segments"])))
    assert "".join(segment["text"] for segment in body["segments"]).strip() == body["text"]
    times = [
        moment for segment in body["segments"] for moment in (segment["start"], segment["end"])
    ]
    assert times == sorted(times)
    # What is not known is left out rather than made up.
    assert "avg_logprob" not in body["segments"][0]


@pytest.mark.parametrize("field", ["timestamp_granularities[]", "timestamp_granularities"])
def test_word_times(running, clip, field):
    fields = {"response_format": "verbose_json", field: "word"}
    body = post(running, wav(clip.samples), **fields).json()
    assert "segments" not in body
    assert clip.wer(" ".join(word["word"] for word in body["words"])) <= 0.05
    times = [moment for word in body["words"] for moment in (word["start"], word["end"])]
    assert times == sorted(times)
    both = {"response_format": "verbose_json", "timestamp_granularities[]": ["word", "segment"]}
    assert {"words", "segments"} <= set(post(running, wav(clip.samples), **both).json())


def test_a_stream_of_events(running, clip):
    files = {"file": ("speech.wav", wav(clip.samples))}
    data = {"model": "whisper-1", "stream": "true"}
    with running.http.stream("POST", PATH, files=files, data=data) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line[6:]) for line in answer.iter_lines() if line]
    *deltas, done = events
    assert {one["type"] for one in deltas} == {"transcript.text.delta"}
    assert len(deltas) >= 3
    assert done["type"] == "transcript.text.done"
    assert "".join(one["delta"] for one in deltas).strip() == done["text"]
    assert clip.wer(done["text"]) <= 0.05


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        ("mp3", "libmp3lame"),
        ("flac", "flac"),
        ("ogg", "libopus"),
        ("webm", "libopus"),
        ("ipod", "aac"),
    ],
)
def test_kinds_of_files(running, clip, kind, codec):
    data = encoded(clip.samples, kind, codec)
    # The name's ending says nothing.
    answer = post(running, data, name="speech.xyz")
    assert clip.wer(answer.json()["text"]) <= 0.1


def test_a_long_file_is_heard_in_windows(running, clips):
    names = ["rooms-and-gates", "bus-and-weather", "minutes", "red-and-white"] * 2
    samples = np.concatenate([clips[name].samples for name in names])
    assert len(samples) > 80 * RATE
    text = " ".join(clips[name].text for name in names)
    body = post(running, wav(samples), response_format="verbose_json").json()
    assert type(clips["minutes"])(clips["minutes"].path, samples, text).wer(body["text"]) <= 0.05
    assert body["segments"][-1]["end"] == pytest.approx(len(samples) / RATE, abs=2)


def test_silence_has_no_text(running):
    answer = post(running, wav(np.zeros(5 * RATE, np.float32)), response_format="verbose_json")
    assert (answer.json()["text"], answer.json()["segments"]) == ("", [])
    assert post(running, wav(np.zeros(RATE, np.float32)), response_format="srt").text == ""


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": "xml"}, "response_format"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "1.5"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"language": "tlh"}, "language"),
        ({"stream": "perhaps"}, "stream"),
        ({"stream": "true", "response_format": "srt"}, "stream"),
        (
            {"timestamp_granularities[]": "letter", "response_format": "verbose_json"},
            "timestamp_granularities",
        ),
        ({"timestamp_granularities[]": "word"}, "timestamp_granularities"),
        ({"prompt": "x" * 3000}, "prompt"),
    ],
)
def test_bad_fields_are_named(running, clip, fields, param):
    assert refusal(post(running, wav(clip.samples), **fields), 400)["param"] == param


def test_what_is_taken_without_effect(running, clip):
    fields = {"temperature": "0.5", "language": "en", "prompt": "Good morning.", "hotwords": "gate"}
    assert clip.wer(post(running, wav(clip.samples), **fields).json()["text"]) <= 0.1


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF",
        b"this is a text file\n" * 50,
        np.random.default_rng(0).bytes(5000),
        wav(np.zeros(0, np.float32)),
        b"\x1aE\xdf\xa3" + b"\x00" * 200,
    ],
)
def test_files_that_are_no_audio(running, data):
    error = refusal(post(running, data), 400)
    assert error["param"] == "file"


def test_a_file_without_audio(running):
    data = io.BytesIO()
    with av.open(data, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=10, width=16, height=16, pix_fmt="yuv420p")
        frame = av.VideoFrame(16, 16, "yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert "no audio" in refusal(post(running, data.getvalue()), 400)["message"]


def test_a_file_cut_off_gives_what_there_is(running, clip):
    data = encoded(clip.samples, "flac", "flac")
    text = post(running, data[: len(data) * 2 // 3]).json()["text"]
    assert len(text.split()) > 5
    data = wav(clip.samples)
    assert post(running, data[: len(data) // 2]).json()["text"] != ""


def test_forms_that_cannot_be_read(running):
    assert refusal(post(running, None), 400)["param"] == "file"
    assert refusal(post(running, b""), 400)["param"] == "file"
    assert running.http.get(PATH).status_code == 405
    for kind, body in (
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b"nonsense"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--",
        ),
    ):
        refusal(running.http.post(PATH, content=body, headers={"Content-Type": kind}), 400)
    fields = {f"f{index}": "x" for index in range(50)}
    refusal(post(running, wav(np.zeros(RATE, np.float32)), **fields), 400)


def test_a_file_that_is_too_large(running):
    too_much = 26 * 1024 * 1024
    assert refusal(post(running, b"\x00" * too_much), 413)["param"] == "file"

    def unannounced():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(too_much // 65536):
            yield b"\x00" * 65536

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    try:
        answer = running.http.post(PATH, content=unannounced(), headers=headers)
    except httpx.WriteError:
        pass  # the rest was not waited for
    else:
        refusal(answer, 413)
    assert running.replica._files.running == 0


def test_audio_that_is_too_long(running, clip, monkeypatch):
    monkeypatch.setattr("stack.replica.audio_files.LONGEST", 10)
    assert "longer than" in refusal(post(running, wav(clip.samples)), 400)["message"]


def test_keys_and_other_origins(start, transcriber, running, clip):
    data = wav(clip.samples[:RATE])
    assert refusal(post(running, data, headers={"Origin": "http://x"}), 403)
    with start(transcriber, api_key=KEY) as replica:
        assert refusal(post(replica, data), 401)["code"] == "invalid_api_key"
        headers = {"Authorization": f"Bearer {KEY}", "Origin": "http://x"}
        assert post(replica, data, headers=headers).status_code == 200


def test_a_replica_that_goes_takes_no_file(start, transcriber, clip):
    with start(transcriber) as replica:
        replica.http.post("/drain")
        answer = post(replica, wav(clip.samples))
        assert refusal(answer, 503)["code"] == "not_ready"
        assert answer.headers["Retry-After"].isdigit()


async def test_too_many_at_once_and_a_shutdown_that_waits(
    start, transcriber, clip, monkeypatch, wait_until
):
    monkeypatch.setattr("stack.replica.rest.MAX_AT_ONCE", 1)
    model = Held(transcriber)
    with start(model) as replica:
        first = asyncio.create_task(asyncio.to_thread(post, replica, wav(clip.samples)))
        await asyncio.to_thread(wait_until, model.asked.is_set, "the first")
        answer = await asyncio.to_thread(post, replica, wav(clip.samples))
        assert refusal(answer, 429)["code"] == "rate_limit_exceeded"
        assert replica.status()["sessions"] == 1
        done = asyncio.run_coroutine_threadsafe(replica.replica.shut_down(20), replica.loop)
        model.go.set()
        await asyncio.wait_for(asyncio.wrap_future(done), 20)
        assert clip.wer((await first).json()["text"]) <= 0.05


def test_a_model_that_fails_is_told(start, transcriber, clip, wait_until):
    class Failing(Wrapping):
        def hear(self, request):
            return RuntimeError("out of memory")

    with start(Failing(transcriber)) as replica:
        error = refusal(post(replica, wav(clip.samples)), 500)
        assert (error["type"], "memory" in error["message"]) == ("server_error", False)
        (event,) = post(replica, wav(clip.samples), stream="true").text.strip().split("\n")
        assert json.loads(event[6:])["error"] == error
        wait_until(lambda: replica.replica._files.running == 0, "the place to be free")


def test_every_language_has_a_name(running):
    from faster_whisper.tokenizer import _LANGUAGE_CODES  # noqa: PLC0415

    assert set(NAMES) == set(_LANGUAGE_CODES)
    assert NAMES["yue"] == "cantonese"
    assert NAMES["ht"] == "haitian creole"


def test_one_model_for_all_files(start, transcriber, clip, monkeypatch):
    """Older versions of upstream load a model for each request."""
    loaded = []

    def load(settings):
        loaded.append(settings.model)
        return transcriber

    monkeypatch.setattr("stack.replica.server.load_transcriber", load)
    with start() as replica:
        for _ in range(3):
            assert post(replica, wav(clip.samples[: 2 * RATE])).status_code == 200
    assert len(loaded) == 1
