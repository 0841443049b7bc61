"""The model's side: tokens to segments, the encoder's window, prompts, and loops."""

import numpy as np
import pytest

from stack.offline import MODEL_DIRECTORY
from stack.replica.transcriber import (
    POSITIONS,
    PROMPT_TOKENS,
    ModelUnavailableError,
    Request,
    Transcriber,
    split_tokens,
)
from stack.replica.voice import (
    check_vad_parameters,
    has_speech,
    is_silent,
    quietest,
    silent_edges,
)

RATE = 16_000
END, FIRST = 1000, 2000
LOUD = np.sin(np.arange(3 * RATE) * 0.3).astype(np.float32) * 0.3


def at(seconds: float) -> int:
    return FIRST + round(seconds / 0.02)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], []),
        ([at(0), at(3)], []),
        ([1, 2], [(0, 5, [1, 2])]),
        ([at(0.5), 1, 2, at(2)], [(0.5, 2, [1, 2])]),
        ([at(0), 1, at(2), at(2.4), 2, at(4)], [(0, 2, [1]), (2.4, 4, [2])]),
        ([at(0), 1, at(2), at(2), 2], [(0, 2, [1]), (2, 5, [2])]),
        ([at(0), 1, at(2), 2, at(4)], [(0, 2, [1]), (2, 4, [2])]),
        ([at(4), 1, at(29), at(1), 2], [(4, 5, [1]), (5, 5, [2])]),
        ([at(0), 1, END, at(2)], [(0, 2, [1])]),
    ],
)
def test_tokens_to_segments(tokens, expected):
    found = split_tokens(tokens, end_of_text=END, first_timestamp=FIRST, duration=5.0)
    assert [(pytest.approx(a), pytest.approx(b), text) for a, b, text in expected] == found


@pytest.fixture(scope="module")
def full() -> Transcriber:
    return Transcriber(MODEL_DIRECTORY, device="cpu", compute_type="int8", threads=1, fitted=False)


def text(heard) -> str:
    return "".join(segment.text for segment in heard.segments).strip()


def test_a_fitted_window_says_the_same_as_a_full_one(transcriber, full, clips):
    for name in ("rooms-and-gates", "evening-plane", "minutes"):
        request = Request(clips[name].samples)
        fitted, whole = transcriber.transcribe(request), full.transcribe(request)
        assert text(fitted) == text(whole)
        assert clips[name].wer(text(fitted)) <= 0.1
        assert fitted.stages["encode"] < whole.stages["encode"]


def test_very_short_audio(transcriber):
    for count in (1, 100, 401, 1600):
        heard = transcriber.transcribe(Request(LOUD[:count]))
        assert all(segment.end <= count / RATE for segment in heard.segments)


def test_silence_has_a_high_no_speech_probability(transcriber):
    assert transcriber.transcribe(Request(np.zeros(RATE, np.float32))).no_speech > 0.5


def test_long_prompts_leave_room_for_text(transcriber, clip):
    long = "The bus leaves at ten. " * 80
    # Prompt and text together must not exceed the model's positions, or it raises.
    transcriber.transcribe(Request(clip.samples, initial_prompt=long, hotwords=long))
    tokenizer, _ = transcriber._tokenizer("en", "transcribe")
    prompt = transcriber._prompt(tokenizer, Request(LOUD, initial_prompt=long, hotwords=long))
    assert len(prompt) == 2 * PROMPT_TOKENS + 2 < POSITIONS / 2


def test_hotwords_come_before_the_prompt(transcriber):
    tokenizer, _ = transcriber._tokenizer("en", "transcribe")
    request = Request(LOUD, initial_prompt="Good morning.", hotwords="garden")
    prompt = transcriber._prompt(tokenizer, request)
    assert prompt[0] == tokenizer.sot_prev
    assert tokenizer.decode(prompt[1:-1]) == " garden Good morning."
    assert prompt[-1] == tokenizer.sot
    assert transcriber._prompt(tokenizer, Request(LOUD, hotwords=" ")) == [tokenizer.sot]


def test_a_loop_is_decoded_once_more_and_no_more_often(transcriber, clip, monkeypatch):
    monkeypatch.setattr("stack.replica.transcriber.LOOPING", 0.1)
    calls = []

    class Counting:
        def __init__(self, model):
            self.model = model

        def __getattr__(self, name):
            return getattr(self.model, name)

        def generate(self, *arguments, **options):
            calls.append(options)
            return self.model.generate(*arguments, **options)

    whisper = transcriber._model
    original = whisper.model
    whisper.model = Counting(original)
    try:
        heard = transcriber.transcribe(Request(clip.samples))
    finally:
        whisper.model = original
    assert len(calls) == 2
    assert "repetition_penalty" not in calls[0]
    assert calls[1]["repetition_penalty"] > 1
    assert heard.segments


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(ModelUnavailableError, match=r"can't be loaded: .*; give --model"):
        Transcriber(tmp_path, device="cpu", compute_type="int8", threads=1, fitted=True)


def test_voice_is_found_only_where_it_is(clip):
    assert has_speech(clip.samples[: 3 * RATE], {})
    assert not has_speech(np.zeros(RATE, np.float32), {})
    noise = np.random.default_rng(1).normal(0, 0.05, 3 * RATE).astype(np.float32)
    assert not has_speech(noise, {})
    assert not has_speech(clip.samples[: 3 * RATE], {"threshold": 1.1, "neg_threshold": 1.0})


def test_vad_parameters():
    usable, unusable = check_vad_parameters(
        {"threshold": 0.4, "min_silence_duration_ms": 300, "onset": 1, "speech_pad_ms": True}
    )
    assert usable == {"threshold": 0.4, "min_silence_duration_ms": 300}
    assert unusable == ["onset", "speech_pad_ms"]
    assert check_vad_parameters(None) == ({}, [])


def test_silence_is_measured():
    silence = np.zeros(RATE, np.float32)
    assert is_silent(silence)
    assert is_silent(silence[:0])
    assert not is_silent(LOUD)
    assert silent_edges(silence) == (1.0, 1.0)
    assert silent_edges(silence[:0]) == (0.0, 0.0)
    framed = np.concatenate([silence, LOUD, silence[: RATE // 2]])
    assert silent_edges(framed) == pytest.approx((1.0, 0.5), abs=0.03)


def test_a_cut_goes_to_the_quietest_place():
    samples = LOUD.copy()
    samples[int(1.2 * RATE) : int(1.3 * RATE)] *= 0.01
    assert quietest(samples, 1.0, 2.0) == pytest.approx(1.25, abs=0.05)
    assert quietest(samples, 1.0, 1.01) == 1.0
