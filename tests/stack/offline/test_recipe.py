"""The parts of the recipe that need no PyTorch."""

import itertools
import random

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from tokenizers import Tokenizer

from stack.offline import MODEL_DIRECTORY
from stack.offline.recipe import noises, sentences, tokenizer, voices, windows
from stack.offline.recipe.corpus import Piece
from stack.offline.recipe.features import mel_power, normalise
from stack.offline.recipe.material import EARLIER_TEXTS, Material
from stack.offline.recipe.sentences import Grammar, Sentence
from stack.offline.recipe.speech import Manner, Span, Synthesiser, resample, word_bounds


def test_the_grammar_stays_within_the_vocabulary():
    grammar = Grammar(random.Random(1))
    for _ in range(3000):
        sentence = grammar.draw()
        assert set(sentence.words) <= set(sentences.VOCABULARY)
        assert sentence.words[0] in sentences.STARTERS
        assert sentences.parse(sentence.text) == sentence


def test_the_vocabulary_has_158_words_and_no_doubles():
    assert len(sentences.VOCABULARY) == len(set(sentences.VOCABULARY)) == 158


def test_parse_refuses_words_outside_the_vocabulary():
    with pytest.raises(ValueError, match="closed vocabulary"):
        sentences.parse("The giraffe is open.")


def test_repeating_sentences_repeat():
    grammar = Grammar(random.Random(2))
    drawn = [grammar.repeating().words for _ in range(200)]
    repeated = [any(a == b for a, b in itertools.pairwise(one)) for one in drawn]
    assert sum(repeated) > 150


def test_about_one_sentence_in_sixteen_is_held_out():
    grammar = Grammar(random.Random(3))
    kept = [sentences.is_held_out(grammar.draw()) for _ in range(4000)]
    assert 0.04 < np.mean(kept) < 0.09
    assert not any(sentences.is_held_out(sentences.draw_for_training(grammar)) for _ in range(500))
    assert all(sentences.is_held_out(sentences.draw_held_out(grammar)) for _ in range(50))


def test_unseen_voices_are_in_no_training():
    variants = {voice.partition("+")[2] for voice in voices.VOICES}
    assert not variants & {voice.partition("+")[2] for voice in voices.UNSEEN_VOICES}
    accents = {voice.partition("+")[0] for voice in voices.VOICES}
    assert not accents & {voice.partition("+")[0] for voice in voices.UNSEEN_ACCENT_VOICES}
    assert len(voices.UNSEEN_VOICES) >= 3


def test_the_shipped_tokenizer_is_the_recipe_s(tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.write(path)
    made = Tokenizer.from_file(str(path))
    shipped = Tokenizer.from_file(str(MODEL_DIRECTORY / "tokenizer.json"))
    assert made.get_vocab() == shipped.get_vocab()
    assert made.get_vocab_size() == tokenizer.SIZE == 2416
    sentence = sentences.parse("Call zulu zulu three three.")
    for one in (made, shipped):
        encoded = one.encode(" " + sentence.text, add_special_tokens=False)
        assert encoded.ids == tokenizer.encode(sentence)
        assert one.decode(encoded.ids).strip() == sentence.text
        assert one.encode(" -").tokens == [tokenizer.SPACE + "-"]


def test_any_text_can_be_written_with_the_tokenizer():
    shipped = Tokenizer.from_file(str(MODEL_DIRECTORY / "tokenizer.json"))
    text = " Zürich, 12 giraffes – naïve?"
    assert shipped.decode(shipped.encode(text).ids) == text


def test_timestamps_are_rounded_to_a_tenth_and_capped():
    assert tokenizer.timestamp(0) == tokenizer.FIRST_TIMESTAMP
    assert tokenizer.timestamp(1.04) == tokenizer.NUMBERS["<|1.00|>"]
    assert tokenizer.timestamp(31) == tokenizer.NUMBERS["<|30.00|>"]


def test_words_merged_by_the_synthesiser_share_their_time():
    bounds = word_bounds(["in", "the", "morning"], [(1, 0.1), (8, 0.5)], 0.1, 1.0)
    assert bounds == pytest.approx([0.1, 0.1 + 0.4 * 3 / 7, 0.5, 1.0])


def test_resampling_keeps_a_tone():
    time = np.arange(22_050) / 22_050
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    resampled = resample(tone, 22_050)
    assert len(resampled) == 16_000
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert np.abs(resampled - expected)[200:-200].max() < 0.02


def test_mel_power_is_faster_whisper_s():
    samples = noises.coloured(np.random.default_rng(1), 16_000, -1.0) * np.float32(0.1)
    theirs = FeatureExtractor(feature_size=80)(samples, padding=0)
    ours = normalise(mel_power(samples)).T[:, : theirs.shape[1]]
    # The outermost frames differ: silence around the samples here, their mirror image there.
    assert np.abs(ours - theirs)[:, 2:-2].max() < 0.01


def test_noise_has_its_colour():
    source = np.random.default_rng(5)
    for name, exponent in noises.COLOURS.items():
        power = np.abs(np.fft.rfft(noises.coloured(source, 1 << 16, exponent))) ** 2
        frequency = np.fft.rfftfreq(1 << 16, 1 / 16_000)
        low = power[(frequency > 250) & (frequency < 500)].mean()
        high = power[(frequency > 4000) & (frequency < 8000)].mean()
        assert np.log2(high / low) / 4 == pytest.approx(exponent, abs=0.2), name
    for name in noises.KINDS:
        sound = noises.draw(source, 8000, name)
        assert sound.shape == (8000,)
        assert np.isfinite(sound).all()


def piece(*words: str, mark: str = ".") -> Piece:
    """A sentence of half-second words of even loudness."""
    spans = tuple(Span(word, 0.5 * at, 0.5 * at + 0.5) for at, word in enumerate(words))
    return Piece(
        logarithm=np.zeros((50 * len(words), 80), np.float16),
        words=spans,
        phonemes=tuple(Span("x", span.start, span.end) for span in spans),
        mark=mark,
        voice="en",
    )


def test_a_word_counts_when_most_of_it_is_heard():
    spoken = piece("the", "red", "train", "stops")
    whole = windows.part_heard(spoken, 1.0, 9.0)
    assert [span.text for span in whole.words] == ["the", "red", "train", "stops"]
    assert (whole.mark, whole.opens) == (".", True)
    cut = windows.part_heard(spoken, -0.3, 1.5)
    assert [span.text for span in cut.words] == ["red", "train"]
    assert (cut.mark, cut.opens) == ("", False)
    assert windows.part_heard(spoken, 8.9, 9.0).words == []


def composer(**mixture: float) -> windows.Composer:
    pieces = [piece("call", "zulu", "zulu"), piece("where", "is", "the", "dog", mark="?")]
    bank = np.zeros((2, 3100, 80), np.float16)
    return windows.Composer(pieces, bank, {"x": 1}, windows.Mixture(**mixture))


@pytest.mark.parametrize("frames", [300, 1000, 3000])
def test_windows_are_whole_training_examples(frames: int):
    source = np.random.default_rng(frames)
    made = composer(silent=0.1)
    for _ in range(40):
        window = made.compose(source, frames)
        assert window.mels.shape == (80, frames)
        assert np.isfinite(window.mels).all()
        assert window.mels.max() - window.mels[:, 0].min() <= 2.0 + 1e-5
        assert len(window.inputs) == len(window.targets) == len(window.spans) <= 448
        assert tokenizer.START in window.inputs
        start = window.inputs.index(tokenizer.START)
        assert window.targets[-1] == tokenizer.END
        assert window.inputs[start + 1 :] == window.targets[start:-1] or (
            window.targets[start] in {tokenizer.NO_SPEECH, windows.IGNORED}
        )
        assert window.offset + frames // 2 <= 1500
        assert window.words.shape == window.phonemes.shape == (frames // 2,)


def test_silent_windows_say_so_and_end():
    made = composer(silent=1.0, previous_text=0.0, timestamps=1.0, offset=0.0)
    window = made.compose(np.random.default_rng(1), 600)
    assert window.inputs == [tokenizer.START, tokenizer.FIRST_TIMESTAMP]
    assert window.targets == [tokenizer.NO_SPEECH, tokenizer.END]
    assert not window.words.any()


def test_repeated_words_have_spans_of_their_own():
    made = composer(
        silent=0, starts_cut=0, full=1, previous_text=0, timestamps=1, offset=0, noisy=0
    )
    source = np.random.default_rng(3)
    zulu = tokenizer.NUMBERS[tokenizer.SPACE + "zulu"]
    for _ in range(20):
        window = made.compose(source, 3000)
        spans = [
            span
            for target, span in zip(window.targets, window.spans, strict=True)
            if target == zulu
        ]
        assert len(set(spans)) == len(spans)


def test_every_word_knows_its_place_in_its_sentence():
    part = windows.part_heard(piece("call", "zulu", "zulu", "one"), 0.0, 9.0)
    opening = windows.PLACES["previous"] - 1
    call, zulu = windows.WORD_CLASSES["call"], windows.WORD_CLASSES["zulu"]
    assert windows.word_places(part) == [
        (1, opening, 1),
        (2, call, 1),
        (3, zulu, 2),
        (4, zulu, 1),
    ]


def test_previous_text_is_no_target():
    made = composer(previous_text=1.0, silent=0.0)
    window = made.compose(np.random.default_rng(4), 1000)
    start = window.inputs.index(tokenizer.START)
    assert window.inputs[0] == tokenizer.PREVIOUS
    assert set(window.targets[:start]) == {windows.IGNORED}


def test_a_voice_speaks_with_times(synthesiser: Synthesiser):
    sentence = Sentence(("the", "red", "train", "stops", "at", "three"))
    said = synthesiser.speak(sentence, "en-us+f3", Manner())
    assert [span.text for span in said.words] == list(sentence.words)
    assert said.words[0].start < 0.05
    assert said.words[-1].end == pytest.approx(said.duration, abs=0.05)
    assert len(said.phonemes) > 12
    again = synthesiser.speak(sentence, "en-us+f3", Manner())
    # The synthesiser's state carries on from one sentence to the next: a few samples differ.
    assert len(again.samples) == pytest.approx(len(said.samples), abs=160)


def test_a_voice_that_does_not_exist_is_refused(synthesiser: Synthesiser):
    with pytest.raises(ValueError, match="no voice"):
        synthesiser.speak(Sentence(("hello",)), "xx-nowhere", Manner())


def test_evaluation_uses_only_unheard_sentences(synthesiser: Synthesiser):
    material = Material.__new__(Material)
    material.synthesiser, material.draw = synthesiser, ""
    recordings = material.recordings("test", 6, sentences=(1, 3))
    again = material.recordings("test", 6, sentences=(1, 3))
    assert [one.text for one in recordings] == [one.text for one in again]
    for recording in recordings:
        for sentence in recording.sentences:
            assert sentences.is_held_out(sentence)
            assert sentence.text not in EARLIER_TEXTS
        assert recording.words[-1].end < recording.duration
