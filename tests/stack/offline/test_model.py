"""The shipped model through the real faster-whisper: int8, beam 1, one thread."""

import os
import subprocess
import sys

import numpy as np
import pytest

from stack.offline import MODEL_DIRECTORY, VOCABULARY
from stack.offline.recipe import noises
from stack.offline.recipe.evaluate import bounded_errors
from stack.offline.recipe.listening import Errors, Listener, count_errors, normalise, total
from stack.offline.recipe.material import Recording

RATE = 16_000

LOAD_WITHOUT_NETWORK = """
import socket, sys

def refuse(*arguments, **options):
    raise AssertionError("the network was asked")

socket.socket.connect = refuse
socket.getaddrinfo = refuse
from faster_whisper import WhisperModel
from stack.offline import MODEL_DIRECTORY
model = WhisperModel(str(MODEL_DIRECTORY), device="cpu", compute_type="int8", cpu_threads=1)
segments, _ = model.transcribe(sys.argv[1], language="en", beam_size=1)
print("".join(segment.text for segment in segments).strip())
"""


def test_weights_and_tokenizer_are_under_6_megabytes():
    assert sum(path.stat().st_size for path in MODEL_DIRECTORY.iterdir()) < 6_000_000
    names = {path.name for path in MODEL_DIRECTORY.iterdir()}
    assert {"model.bin", "config.json", "tokenizer.json", "preprocessor_config.json"} <= names


def test_importing_the_package_is_cheap():
    code = "import sys, stack.offline; print({'numpy', 'torch', 'ctranslate2'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_loads_and_listens_without_network(clips):
    clip = clips["rooms-and-gates"]
    done = subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_NETWORK, str(clip.path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert count_errors(clip.text, done.stdout).rate <= 0.1


@pytest.fixture(scope="module")
def written(clips, listener: Listener):
    return {name: listener.segments(clip.samples) for name, clip in clips.items()}


def text_of(segments) -> str:
    return "".join(segment.text for segment in segments).strip()


def test_clips_are_transcribed(clips, written):
    errors = {name: count_errors(clip.text, text_of(written[name])) for name, clip in clips.items()}
    assert {name: one.rate for name, one in errors.items() if one.rate > 0.1} == {}
    assert total(errors.values()).rate <= 0.04


def test_text_has_capitals_marks_and_only_known_words(written):
    known = {word.lower() for word in VOCABULARY}
    for segments in written.values():
        assert set(normalise(text_of(segments))) <= known
        for segment in segments:
            assert segment.text.strip()[0].isupper()
            assert segment.text[-1] in ".?"


def test_figures_that_make_faster_whisper_fall_back_are_sane(written):
    for name, segments in written.items():
        for segment in segments:
            assert segment.temperature == 0, name
            assert segment.no_speech_prob < 0.3, name
            assert segment.avg_logprob > -1, name
            assert segment.compression_ratio < 2.4, name


def test_segments_have_the_times_of_their_words(clips, written):
    errors = []
    for name, clip in clips.items():
        if normalise(clip.text) != normalise(text_of(written[name])):
            continue
        first = 0
        for segment in written[name]:
            last = first + len(normalise(segment.text)) - 1
            errors.append(abs(segment.start - clip.words[first].start))
            errors.append(abs(segment.end - clip.words[last].end))
            first = last + 1
    assert len(errors) > 20
    assert np.median(errors) < 0.1
    assert np.percentile(errors, 90) < 0.4


def test_word_times(clips, written, listener: Listener):
    errors = []
    for name in ("rooms-and-gates", "long-journey", "at-the-bridge"):
        segments = listener.segments(clips[name].samples, word_timestamps=True)
        assert text_of(segments) == text_of(written[name])
        words = [word for segment in segments for word in segment.words]
        if len(words) == len(clips[name].words):
            pairs = zip(words, clips[name].words, strict=True)
            errors += [abs(word.start - span.start) for word, span in pairs]
    assert len(errors) > 30
    assert np.median(errors) < 0.2


def test_silence_gives_no_text(listener: Listener):
    for seconds in (0.3, 1.0, 5.0, 30.0):
        samples = np.zeros(int(seconds * RATE), np.float32)
        assert listener.text(samples) == ""
        assert listener.window(samples, 3000)[1] > 0.6
        assert listener.window(samples)[0] == ""


@pytest.mark.parametrize("kind", list(noises.KINDS))
def test_noise_gives_no_text(kind: str, listener: Listener):
    source = np.random.default_rng(77)
    for level, seconds in ((1e-4, 3.0), (1e-2, 6.0), (0.2, 2.0)):
        sound = noises.draw(source, int(seconds * RATE), kind) * np.float32(level)
        sound = np.clip(sound, -1, 1)
        assert listener.text(sound) == "", (level, seconds)
        assert listener.window(sound)[0] == "", (level, seconds)


def test_repeated_words_are_kept(clips, written):
    for name in ("repeated-digits", "repeated-letters"):
        assert count_errors(clips[name].text, text_of(written[name])).edits <= 1, name


def test_a_fitted_encoder_window_gives_the_same_text(clips, listener: Listener):
    different = [
        name
        for name, clip in clips.items()
        if listener.window(clip.samples)[0] != listener.window(clip.samples, 3000)[0]
    ]
    assert different == []


def test_growing_buffers_are_steady(clips, listener: Listener):
    errors = Errors(0, 0, 0, 0)
    for name in ("bus-and-weather", "rooms-and-gates"):
        clip = clips[name]
        recording = Recording(clip.samples, (), clip.words, "")
        for end in np.arange(1.0, len(clip.samples) / RATE, 0.9):
            text, _ = listener.window(clip.samples[: int(end * RATE)])
            errors += bounded_errors(recording, 0, float(end), text)
    assert errors.words > 250
    assert errors.rate <= 0.05


def test_windows_that_begin_in_the_middle(clips, listener: Listener):
    errors = Errors(0, 0, 0, 0)
    for name in ("rooms-and-gates", "long-journey"):
        clip = clips[name]
        recording = Recording(clip.samples, (), clip.words, "")
        end = len(clip.samples) / RATE
        for start in np.arange(0.8, end - 3, 1.7):
            text, _ = listener.window(clip.samples[int(start * RATE) :])
            errors += bounded_errors(recording, float(start), end, text)
    assert errors.words > 200
    assert errors.rate <= 0.06


def test_options_of_faster_whisper_work(clips, listener: Listener):
    clip = clips["long-journey"]
    for options in (
        {"vad_filter": True},
        {"condition_on_previous_text": False},
        {"beam_size": 5},
        {"without_timestamps": True},
        {"initial_prompt": "Good morning teacher."},
    ):
        assert count_errors(clip.text, listener.text(clip.samples, **options)).rate <= 0.1, options


def test_decoding_again_gives_the_same(clips, written, listener: Listener):
    clip = clips["minutes"]
    for _ in range(3):
        again = listener.segments(clip.samples)
        assert [(one.text, one.start, one.end) for one in again] == [
            (one.text, one.start, one.end) for one in written["minutes"]
        ]
