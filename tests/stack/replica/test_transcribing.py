"""The model's side: tokens to segments, the encoder's window, prompts, and loops."""

import numpy as np
import pytest
from support.replica import hear, request_of

from stack.offline import MODEL_DIRECTORY
from stack.replica.hearing import Request
from stack.replica.transcriber import (
    POSITIONS,
    PROMPT_TOKENS,
    ModelUnavailableError,
    Transcriber,
    split_tokens,
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
        samples = clips[name].samples
        fitted, whole = hear(transcriber, samples), hear(full, samples)
        assert text(fitted) == text(whole)
        assert clips[name].wer(text(fitted)) <= 0.1
        assert fitted.stages["encode"] < whole.stages["encode"]


def test_very_short_audio(transcriber):
    for count in (1, 100, 401, 1600):
        heard = hear(transcriber, LOUD[:count])
        assert all(segment.end <= count / RATE for segment in heard.segments)


def test_silence_has_a_high_no_speech_probability(transcriber):
    assert hear(transcriber, np.zeros(RATE, np.float32)).no_speech > 0.5


def test_long_prompts_leave_room_for_text(transcriber, clip):
    long = "The bus leaves at ten. " * 80
    # Prompt and text together must not exceed the model's positions, or it raises.
    hear(transcriber, clip.samples, initial_prompt=long, hotwords=long)
    tokenizer, _ = transcriber._tokenizer("en", "transcribe")
    request = request_of(transcriber, LOUD, initial_prompt=long, hotwords=long)
    prompt = transcriber._prompt(tokenizer, request)
    assert len(prompt) == 2 * PROMPT_TOKENS + 2 < POSITIONS / 2


def test_hotwords_come_before_the_prompt(transcriber):
    tokenizer, _ = transcriber._tokenizer("en", "transcribe")
    request = request_of(transcriber, LOUD, initial_prompt="Good morning.", hotwords="garden")
    prompt = transcriber._prompt(tokenizer, request)
    assert prompt[0] == tokenizer.sot_prev
    assert tokenizer.decode(prompt[1:-1]) == " garden Good morning."
    assert prompt[-1] == tokenizer.sot
    empty = request_of(transcriber, LOUD, hotwords=" ")
    assert transcriber._prompt(tokenizer, empty) == [tokenizer.sot]


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
        heard = hear(transcriber, clip.samples)
    finally:
        whisper.model = original
    assert len(calls) == 2
    assert "repetition_penalty" not in calls[0]
    assert calls[1]["repetition_penalty"] > 1
    assert heard.segments


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(ModelUnavailableError, match=r"can't be loaded: .*; give --model"):
        Transcriber(tmp_path, device="cpu", compute_type="int8", threads=1, fitted=True)


def test_a_batch_says_what_each_says_alone(transcriber, clips):
    """Other audio beside it, of other lengths and with none in it, must not change a text."""
    pieces = [
        clips["rooms-and-gates"].samples[: 7 * RATE],
        np.zeros(RATE, np.float32),
        clips["minutes"].samples[: int(2.3 * RATE)],
        clips["evening-plane"].samples,
    ]
    alone = [hear(transcriber, samples) for samples in pieces]
    together = transcriber.transcribe([request_of(transcriber, samples) for samples in pieces])
    assert [text(one) for one in together] == [text(one) for one in alone]
    assert [one.batch for one in together] == [4] * 4
    assert [one.leads for one in together] == [True, False, False, False]


def test_word_times_in_a_batch(transcriber, clips):
    """Upstream's batch path has none."""
    pieces = [clips["minutes"].samples, np.zeros(RATE, np.float32), clips["please"].samples]
    heard = transcriber.transcribe([request_of(transcriber, one, words=True) for one in pieces])
    assert [bool(one.segments) for one in heard] == [True, False, True]
    for one in heard:
        for segment in one.segments:
            assert "".join(word.word for word in segment.words) == segment.text


def test_one_bad_piece_costs_the_others_nothing(transcriber, clips, monkeypatch):
    clip = clips["evening-plane"]
    good = request_of(transcriber, clip.samples)
    broken = request_of(transcriber, clip.samples)
    monkeypatch.setattr(broken.track, "take", lambda *_: 1 / 0)
    odd = request_of(transcriber, clip.samples, initial_prompt="x")
    heard, failed, other = transcriber.transcribe([good, broken, odd])
    assert isinstance(failed, ZeroDivisionError)
    # The prompts differ in length, which the model refuses in one call: each is heard alone.
    assert text(heard) == text(other) != ""
    assert transcriber.transcribe([]) == []


def test_silence_is_not_given_to_the_model(transcriber, clip):
    assert not hear(transcriber, np.zeros(RATE, np.float32), vad=True).voice
    noise = np.random.default_rng(1).normal(0, 0.02, 3 * RATE).astype(np.float32)
    heard = hear(transcriber, noise, vad=True)
    assert (heard.voice, heard.batch, heard.quiet) == (False, 0, 3.0)
    assert hear(transcriber, clip.samples, vad=True).batch == 1


def test_speech_is_asked_for_once(transcriber, clips):
    """A pause after speech that was heard is nothing new; speech in it is."""
    clip = clips["evening-plane"]
    pause = np.random.default_rng(1).normal(0, 0.002, RATE).astype(np.float32)
    samples = np.concatenate([clip.samples, pause])
    track = transcriber.track(vad=True)
    length, end = len(samples), len(samples) + RATE
    first = Request(track, 0, samples, 0, length)
    (heard,) = transcriber.transcribe([first])
    assert heard.batch == 1
    quiet = Request(track, length, pause, 0, end, asked=True)
    (heard,) = transcriber.transcribe([quiet])
    assert (heard.unchanged, heard.voice, heard.batch) == (True, True, 0)
    assert heard.quiet > 1.5
    more = Request(track, end, clip.samples, 0, end + len(clip.samples), asked=True)
    (heard,) = transcriber.transcribe([more])
    assert heard.batch == 1


def test_prompts_and_hotwords_in_a_batch(transcriber, clips, monkeypatch):
    """Upstream's batch path ignores hotwords."""
    given = []

    class Watching:
        def __getattr__(self, name):
            return getattr(original, name)

        def generate(self, encoded, prompts, **options):
            given.extend(prompts)
            return original.generate(encoded, prompts, **options)

    original = transcriber._model.model
    monkeypatch.setattr(transcriber._model, "model", Watching())
    tokenizer, _ = transcriber._tokenizer("en", "transcribe")
    words = ["garden", "bridge"]
    lengths = {transcriber.prompt_length(None, word) for word in words}
    assert lengths == {2}, "the marker and a word: the scheduler may put them into one call"
    samples = clips["minutes"].samples
    heard = transcriber.transcribe(
        [request_of(transcriber, samples, hotwords=word) for word in words]
    )
    assert [one.batch for one in heard] == [2, 2]
    assert [tokenizer.decode(prompt[1:2]).strip() for prompt in given] == words
