"""The test audio is what its README says, and no part of training."""

import itertools
import json
import random
import wave

import numpy as np
import pytest

from stack.offline.recipe import sentences
from stack.offline.recipe.speech import Synthesiser
from stack.offline.recipe.voices import UNSEEN_ACCENT_VOICES, UNSEEN_VOICES, VOICES
from test_audio import CLIPS_DIRECTORY, make


def test_every_clip_has_its_three_files_and_its_recipe(clips):
    assert len(clips) >= 12
    assert sorted(clips) == sorted(clip.name for clip in make.CLIPS)
    files = [path for path in CLIPS_DIRECTORY.iterdir() if path.suffix in {".wav", ".json", ".txt"}]
    assert len(files) == 3 * len(clips)
    assert sum(path.stat().st_size for path in files) < 6_000_000


def test_clips_are_mono_with_16_bits_and_5_to_20_seconds(clips):
    for clip in clips.values():
        with wave.open(str(clip.path)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
            assert 5 <= file.getnframes() / 16_000 <= 20, clip.name
        assert 0.3 < np.abs(clip.samples).max() < 1


def test_words_match_the_text_and_lie_within_the_sound(clips):
    for clip in clips.values():
        said = [word.strip(".?").lower() for word in clip.text.split()]
        assert [span.text.lower() for span in clip.words] == said, clip.name
        assert clip.words[0].start > 0.1
        assert clip.words[-1].end < len(clip.samples) / 16_000
        for span in clip.words:
            assert 0.02 < span.end - span.start < 1.5, (clip.name, span)
            loud = clip.samples[int(span.start * 16_000) : int(span.end * 16_000)]
            assert np.abs(loud).max() > 0.02, (clip.name, span)
        for one, other in itertools.pairwise(clip.words):
            assert one.end <= other.start + 1e-3, (clip.name, one, other)


def test_pauses_between_sentences_are_silent(clips):
    for clip in clips.values():
        for one, other in itertools.pairwise(clip.words):
            if other.start - one.end > 0.25:
                middle = (one.end + other.start) / 2
                quiet = clip.samples[int((middle - 0.05) * 16_000) : int((middle + 0.05) * 16_000)]
                assert np.abs(quiet).max() < 0.02, (clip.name, one)


def test_training_refuses_every_sentence_of_the_clips():
    for clip in make.CLIPS:
        for sentence in clip.sentences:
            assert sentences.is_held_out(sentence), sentence.text
    grammar = sentences.Grammar(random.Random(5))
    drawn = {sentences.draw_for_training(grammar).words for _ in range(3000)}
    assert not any(sentences.is_held_out(sentences.Sentence(words)) for words in drawn)
    assert not drawn & {one.words for clip in make.CLIPS for one in clip.sentences}


def test_clips_have_seen_and_unseen_voices():
    voices = {clip.voice for clip in make.CLIPS}
    assert len(voices & set(VOICES)) >= 8
    assert len(voices & set(UNSEEN_VOICES)) >= 3
    assert voices <= {*VOICES, *UNSEEN_VOICES, *UNSEEN_ACCENT_VOICES}


def test_a_clip_with_a_sentence_of_training_is_refused(synthesiser: Synthesiser):
    grammar = sentences.Grammar(random.Random(6))
    sentence = sentences.draw_for_training(grammar)
    with pytest.raises(ValueError, match="training may have heard"):
        make.compose(make.Clip("wrong", "en-us", sentence.text), synthesiser)


def test_the_recipe_makes_the_clip_again(clips, synthesiser: Synthesiser, tmp_path):
    clip = make.CLIPS[0]
    samples, words = make.compose(clip, synthesiser)
    make.write(clip, samples, words, tmp_path)
    stored = clips[clip.name]
    # The synthesiser's state carries on from one sentence to the next: a few samples differ.
    assert len(samples) == pytest.approx(len(stored.samples), abs=800)
    assert (tmp_path / f"{clip.name}.txt").read_text(encoding="utf-8").strip() == stored.text
    again = json.loads((tmp_path / f"{clip.name}.words.json").read_text(encoding="utf-8"))["words"]
    assert [span["word"] for span in again] == [span.text for span in stored.words]
    assert [span["start"] for span in again] == pytest.approx(
        [span.start for span in stored.words], abs=0.03
    )
