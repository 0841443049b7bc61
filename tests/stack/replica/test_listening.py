"""What is computed once per sample: levels, speech, features."""

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.vad import get_vad_model
from hypothesis import given, settings
from hypothesis import strategies as st

from stack.replica.features import HOP, Features, LogMel
from stack.replica.inbox import Inbox
from stack.replica.voice import (
    SPEECH_FRAME,
    Levels,
    SpeechDetector,
    check_vad_parameters,
)

RATE = 16_000
LOUD = np.sin(np.arange(3 * RATE) * 0.3).astype(np.float32) * 0.3
NOISE = np.random.default_rng(5).normal(0, 0.1, 4 * RATE).astype(np.float32)
EXTRACTOR = FeatureExtractor()
MEL = LogMel(EXTRACTOR.mel_filters)

pieces = st.lists(st.integers(1, 5000), min_size=1, max_size=30)


def cut(samples: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    """Cut samples into pieces of these sizes, and the rest."""
    places = np.cumsum(sizes)
    return [one for one in np.split(samples, places[places < len(samples)]) if len(one)]


def of(extractor: FeatureExtractor, samples: np.ndarray) -> np.ndarray:
    return extractor(np.pad(samples, (0, max(0, 400 - len(samples)))))[..., :-1]


@given(length=st.integers(1, 20_000), sizes=pieces)
@settings(max_examples=60, deadline=None)
def test_features_are_those_of_the_whole_at_once(length, sizes):
    samples = NOISE[:length]
    features = Features(MEL)
    for piece in cut(samples, sizes):
        features.append(piece)
    frames = max(1, length // HOP)
    expected = of(EXTRACTOR, samples)[:, :frames]
    assert features.window(0, frames) == pytest.approx(expected, abs=1e-5)


def test_features_after_a_cut_are_those_of_the_whole():
    features = Features(MEL)
    for piece in cut(NOISE, [1600] * 50):
        features.append(piece)
    whole = features.window(0, 400)
    features.drop_before(150)
    features.drop_before(100)
    assert features.window(150, 400) == pytest.approx(whole[:, 150:], abs=1e-6)
    assert features.end == 399, "the newest frame still waits for its second half"


def test_features_go_on_after_left_out_silence():
    features = Features(MEL)
    features.append(NOISE[:RATE])
    features.restart(1000)
    features.append(NOISE[:RATE])
    expected = of(EXTRACTOR, np.concatenate([np.zeros(RATE, np.float32), NOISE[:RATE]]))
    assert features.window(1000, 1100) == pytest.approx(expected[:, 100:200], abs=1e-5)


@given(sizes=pieces)
@settings(max_examples=20, deadline=None)
def test_speech_is_found_as_in_the_whole_at_once(clip, sizes):
    samples = clip.samples[: 3 * RATE // SPEECH_FRAME * SPEECH_FRAME]
    detector = SpeechDetector()
    for piece in cut(samples, sizes):
        detector.add(piece)
    expected = np.ravel(get_vad_model()(samples.copy()))
    # The released wrapper blanks the last frame's end; all before it is the same.
    assert detector.probabilities[:-1] == pytest.approx(expected[:-1], abs=1e-5)


def test_speech_is_found_only_where_it_is(clip):
    detector = SpeechDetector()
    detector.add(np.concatenate([NOISE[: 2 * RATE] / 10, clip.samples[: 3 * RATE]]))
    assert detector.speech(0, 2) is None
    begins, ends = detector.speech(0, 5)
    assert 2 <= begins <= 2.6
    assert ends <= 5
    detector.drop_before(2.1)
    assert detector.speech(0, 5)[0] == pytest.approx(begins, abs=0.04)
    detector.restart(100.0)
    detector.add(clip.samples[: 3 * RATE])
    assert 100 <= detector.speech(0, 200)[0] <= 100.6


def test_short_sounds_are_not_speech_when_long_ones_are_asked_for():
    class Scripted:
        def run(self, names, inputs):
            script = [0.9, 0.1, 0.9, 0.9, 0.9, 0.1]
            return np.array(script, np.float32), inputs["h"], inputs["c"]

    detector = SpeechDetector(shortest=0.09, model=Scripted())
    detector.add(np.zeros(6 * SPEECH_FRAME, np.float32))
    begins, ends = detector.speech(0, 1)
    assert begins == pytest.approx(2 * 0.032)
    assert ends == pytest.approx(5 * 0.032)
    assert SpeechDetector(shortest=1.0, model=Scripted()).speech(0, 1) is None


def test_vad_parameters():
    usable, unusable = check_vad_parameters(
        {"threshold": 0.3, "min_speech_duration_ms": 300, "onset": 1, "speech_pad_ms": True}
    )
    assert usable == {"threshold": 0.3, "min_speech_duration_ms": 300}
    assert unusable == ["onset", "speech_pad_ms"]
    assert check_vad_parameters(None) == ({}, [])
    assert check_vad_parameters({"threshold": float("nan"), "neg_threshold": None}) == (
        {},
        ["threshold"],
    )


@given(sizes=pieces)
@settings(max_examples=30, deadline=None)
def test_levels_do_not_depend_on_the_pieces(sizes):
    whole, cut_up = Levels(), Levels()
    whole.add(NOISE)
    for piece in cut(NOISE, sizes):
        cut_up.add(piece)
    cut_up.drop_before(1.0)
    assert cut_up.quietest(1.2, 3.0) == whole.quietest(1.2, 3.0)
    assert cut_up.edges(1.2, 3.0) == whole.edges(1.2, 3.0)


def test_silence_is_measured():
    silence = np.zeros(RATE, np.float32)
    levels = Levels()
    assert levels.is_silent(0, 1)
    assert levels.edges(0, 1) == (0.0, 0.0)
    levels.add(np.concatenate([silence, LOUD[:RATE], silence[: RATE // 2]]))
    assert levels.is_silent(0, 1)
    assert levels.is_silent(2, 2.5)
    assert not levels.is_silent(0, 1.1)
    assert levels.edges(0, 2.5) == pytest.approx((1.0, 0.5), abs=0.03)
    assert levels.edges(0, 1) == (1.0, 1.0)


def test_a_cut_goes_to_the_quietest_place():
    samples = LOUD.copy()
    samples[int(1.2 * RATE) : int(1.3 * RATE)] *= 0.01
    levels = Levels()
    levels.add(samples)
    assert levels.quietest(1.0, 2.0) == pytest.approx(1.25, abs=0.05)
    assert levels.quietest(1.0, 1.01) == 1.0


@given(sizes=st.lists(st.integers(1, 50), max_size=20), takes=st.lists(st.integers(0, 80)))
def test_nothing_is_lost_or_doubled_in_the_inbox(sizes, takes):
    inbox = Inbox()
    total = 0
    for size in sizes:
        inbox.add(np.arange(total, total + size, dtype=np.float32), 0.0)
        total += size
    taken = [inbox.take(min(total, inbox.start + size)) for size in takes]
    taken.append(inbox.take(total))
    assert np.concatenate(taken).tolist() == list(range(total))
