"""Both sides of the wire protocol: what is rendered is parsed, and nonsense gets a sentence."""

import json

import numpy as np
import pytest

from stack.protocol import (
    MAX_OPTIONS_BYTES,
    AudioFormat,
    Disconnect,
    Language,
    Problem,
    ProtocolError,
    Ready,
    Segment,
    Segments,
    Wait,
    Word,
    decode_audio,
    encode_audio,
    parse_options,
    parse_server_message,
    render,
)

MESSAGES = [
    Ready(uid="u", backend="faster_whisper", flush=True),
    Wait(uid="u", minutes=1.5),
    Problem(uid="u", status="ERROR", text="No."),
    Problem(uid="u", status="WARNING", text="Hm."),
    Language(uid="u", language="de", probability=0.75),
    Disconnect(uid="u"),
    Segments(
        uid="u",
        segments=[
            Segment(start=0.0, end=1.5, text=" Grüße „so“", completed=True),
            Segment(
                start=1.5,
                end=2.0,
                text=" b",
                words=[Word(word=" b", start=1.5, end=2.0, probability=0.5)],
            ),
        ],
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_rendered_is_parsed(message):
    assert parse_server_message(render(message)) == message


def test_segments_as_upstreams_client_reads_them():
    rendered = json.loads(render(MESSAGES[-1]))
    assert rendered["segments"][0] == {
        "start": "0.000",
        "end": "1.500",
        "text": " Grüße „so“",
        "completed": True,
    }
    word = rendered["segments"][1]["words"][0]
    assert word == {"word": " b", "start": "1.500", "end": "2.000", "probability": 0.5}


def test_messages_of_upstreams_server():
    ready = parse_server_message(
        '{"uid": "u", "message": "SERVER_READY", "backend": "faster_whisper"}'
    )
    assert ready == Ready(uid="u", backend="faster_whisper", flush=False)
    assert parse_server_message('{"uid": "u", "status": "WAIT", "message": 3}') == Wait(
        uid="u", minutes=3
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nonsense", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ("[1]", "not an object"),
        pytest.param("[" * 60_000, "not JSON", id="nested"),
        ('{"uid": "u", "text": "hello"}', "unknown message"),
        ('{"uid": "u", "segments": [{"start": "x", "end": 1, "text": ""}]}', "segments.0.start"),
        ('{"uid": "u", "segments": 4}', "segments"),
        ('{"uid": "u", "status": "WAIT", "message": "long"}', "minutes"),
        ('{"uid": "u", "language": 4}', "language"),
    ],
)
def test_nonsense_from_a_server(text, part):
    with pytest.raises(ProtocolError, match=part):
        parse_server_message(text)


def test_options_of_upstreams_client():
    options = parse_options(
        json.dumps(
            {
                "uid": "u",
                "language": None,
                "task": "transcribe",
                "model": "small",
                "use_vad": True,
                "send_last_n_segments": 10,
                "no_speech_thresh": 0.45,
                "clip_audio": False,
                "same_output_threshold": 10,
                "enable_translation": False,
                "target_language": "fr",
                "hotwords": None,
                "enable_diarization": False,
                "max_speakers": 10,
                "known_speakers": [],
                "word_timestamps": False,
                "initial_prompt": None,
                "vad_parameters": None,
            }
        )
    )
    assert options.use_vad is True
    assert options.language is None
    assert options.audio_format is AudioFormat.FLOAT32


def test_options_of_a_hand_written_client():
    options = parse_options(b'{"uid": "u"}')
    assert options.use_vad is False
    assert options.send_last_n_segments == 10


@pytest.mark.parametrize(
    ("message", "part", "uid"),
    [
        ("", "JSON object", ""),
        ("null", "JSON object", ""),
        (b"\xff", "JSON object", ""),
        ("{}", "'uid'", ""),
        ('{"uid": ""}', "'uid'", ""),
        ('{"uid": 5}', "'uid'", ""),
        ('{"uid": "u", "audio_format": "opus"}', "'audio_format'", "u"),
        ('{"uid": "u", "send_last_n_segments": 0}', "'send_last_n_segments'", "u"),
        pytest.param(" " * (MAX_OPTIONS_BYTES + 1), "at most", "", id="long"),
        pytest.param("[" * 60_000, "JSON object", "", id="nested"),
    ],
)
def test_wrong_options(message, part, uid):
    with pytest.raises(ProtocolError, match=part) as raised:
        parse_options(message)
    assert raised.value.uid == uid


@pytest.mark.parametrize("audio_format", list(AudioFormat))
@pytest.mark.parametrize("seed", range(5))
def test_audio_there_and_back(audio_format, seed):
    source = np.random.default_rng(seed)
    samples = source.uniform(-1, 1, int(source.integers(0, 3000))).astype(np.float32)
    data = encode_audio(samples, audio_format)
    assert len(data) == len(samples) * audio_format.sample_bytes
    steps = {"float32": 1e-7, "int16": 1e-4, "uint8": 2e-2}
    assert np.allclose(decode_audio(data, audio_format), samples, atol=steps[audio_format.value])


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_any_bytes_decode_to_samples_within_bounds(audio_format):
    source = np.random.default_rng(7)
    for _ in range(50):
        data = source.bytes(int(source.integers(0, 200)) * 4)
        samples = decode_audio(data, audio_format)
        assert samples.dtype == np.float32
        assert len(samples) == len(data) // audio_format.sample_bytes
        assert np.isfinite(samples).all()
        assert np.abs(samples).max(initial=0) <= 1


def test_not_a_number_and_infinity_are_made_harmless():
    data = np.array([np.nan, np.inf, -np.inf, 0.5], "<f4").tobytes()
    assert decode_audio(data, AudioFormat.FLOAT32).tolist() == [0, 1, -1, 0.5]


@pytest.mark.parametrize("audio_format", [AudioFormat.FLOAT32, AudioFormat.INT16])
def test_half_a_sample(audio_format):
    with pytest.raises(ProtocolError, match="3 bytes is not a whole number"):
        decode_audio(b"\x00" * 3, audio_format)
