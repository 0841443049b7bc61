"""The measurements that the shipped model must pass, on speech that training never heard.

All of it through the real ``faster_whisper.WhisperModel``: int8, one thread, beam 1.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stack.offline.recipe import noises
from stack.offline.recipe.listening import Errors, Listener, count_errors, normalise, total
from stack.offline.recipe.material import Material, Recording
from stack.offline.recipe.speech import SAMPLE_RATE, Samples
from stack.offline.recipe.voices import UNSEEN_ACCENT_VOICES, UNSEEN_VOICES
from stack.offline.recipe.windows import HEARD

Result = dict[str, Any]


@dataclass
class Evaluation:
    """One model, what it is measured on, and how much of it (``share``)."""

    listener: Listener
    material: Material
    share: float = 1.0

    def count(self, full: int) -> int:
        """Give how many of so many to do."""
        return max(4, round(full * self.share))

    def transcribed(self, recordings: list[Recording], **options: Any) -> Errors:
        """Count the errors over recordings."""
        return total(
            count_errors(one.text, self.listener.text(one.samples, **options)) for one in recordings
        )

    def single_sentences(self) -> Result:
        """Unseen single sentences with seen voices: at most 2 %."""
        errors = self.transcribed(self.material.recordings("single", self.count(100)))
        return errors.report() | {"limit_percent": 2, "met": errors.rate <= 0.02}

    def windows(self) -> Result:
        """Windows of 2 to 5 unseen sentences with seen voices: at most 4 %."""
        recordings = self.material.recordings("windows", self.count(60), sentences=(2, 5))
        errors = self.transcribed(recordings)
        five = self.transcribed(recordings, beam_size=5) if self.share == 1 else None
        return errors.report() | {
            "limit_percent": 4,
            "met": errors.rate <= 0.04,
            **({"beam_5": five.report()} if five else {}),
        }

    def unseen_voices(self) -> Result:
        """Voices chosen beforehand and never trained on: at most 8 % over all of them."""
        by_voice: dict[str, Errors] = {}
        for voice in (*UNSEEN_VOICES, *UNSEEN_ACCENT_VOICES):
            single = self.material.recordings(
                f"unseen single {voice}", self.count(20), voices=(voice,)
            )
            windows = self.material.recordings(
                f"unseen windows {voice}", self.count(10), sentences=(2, 5), voices=(voice,)
            )
            by_voice[voice] = self.transcribed(single + windows)
        errors = total(by_voice[voice] for voice in UNSEEN_VOICES)
        accent = total(by_voice[voice] for voice in UNSEEN_ACCENT_VOICES)
        return errors.report() | {
            "limit_percent": 8,
            "met": errors.rate <= 0.08,
            "by_voice": {voice: by_voice[voice].report() for voice in UNSEEN_VOICES},
            "unseen_accent": accent.report(),
        }

    def repeated_words(self) -> Result:
        """Sentences full of repeated words: how many are written word for word."""
        recordings = self.material.recordings("repeated", self.count(60), repeating=True)
        exact, missed = 0, []
        errors = Errors(0, 0, 0, 0)
        for one in recordings:
            written = self.listener.text(one.samples)
            errors += count_errors(one.text, written)
            if normalise(written) == normalise(one.text):
                exact += 1
            else:
                missed.append({"said": one.text, "written": written, "voice": one.voice})
        return errors.report() | {
            "sentences": len(recordings),
            "exact": exact,
            "missed": missed[:12],
            "limit_percent": 4,
            "met": errors.rate <= 0.04,
        }

    def silence(self) -> Result:
        """Silence, and every kind of noise at many levels: no text at all."""
        source = np.random.default_rng(4321)
        written, probabilities, windows = [], [], 0

        def listen(name: str, samples: Samples) -> None:
            nonlocal windows
            windows += 1
            text = self.listener.text(samples)
            probabilities.append((self.listener.window(samples, 3000)[1], name))
            fitted, _ = self.listener.window(samples)
            if text or fitted:
                written.append({"sound": name, "text": text, "fitted": fitted})

        lengths = (0.5, 1.0, 2.5, 7.0, 16.0, 30.0)
        for seconds in lengths:
            listen(f"zeros {seconds} s", np.zeros(int(seconds * SAMPLE_RATE), np.float32))
        levels = (1e-4, 1e-3, 1e-2, 0.1, 0.3)
        rounds = max(1, round(2 * self.share))
        for name in noises.KINDS:
            for level in levels:
                for number in range(rounds):
                    seconds = lengths[int(source.integers(len(lengths)))]
                    sound = noises.draw(source, int(seconds * SAMPLE_RATE), name)
                    if number % 2:
                        sound = noises.fade(source, sound)
                    sound = np.clip(sound * level, -1, 1).astype(np.float32)
                    listen(f"{name} {level} {seconds} s {'faded' if number % 2 else ''}", sound)
        least, where = min(probabilities)
        return {
            "windows": windows,
            "with_text": len(written),
            "texts": written[:12],
            "least_no_speech_probability": round(least, 3),
            "least_at": where,
            "below_0.6": sum(probability < 0.6 for probability, _ in probabilities),
            "met": not written,
        }

    def growing_buffers(self) -> Result:
        """Buffers that grow to any point: what was said, no more, and steady."""
        recordings = self.material.recordings("growing", self.count(16), sentences=(2, 5))
        errors, beyond, changed, kept = Errors(0, 0, 0, 0), 0, 0, 0
        for one in recordings:
            before: list[str] = []
            for end in np.arange(0.7, one.duration + 0.7, 0.7):
                limit = min(float(end), one.duration)
                written = self.listener.text(one.samples[: int(limit * SAMPLE_RATE)])
                errors += bounded_errors(one, 0, limit, written)
                heard = normalise(written)
                started = [span for span in one.words if span.start < limit]
                beyond += max(0, len(heard) - len(started))
                # Words spoken half a second before the earlier end should stand by then.
                stable = sum(span.end < limit - 0.7 - 0.5 for span in one.words)
                pairs = list(zip(before[:stable], heard[:stable], strict=False))
                changed += sum(old != new for old, new in pairs)
                kept += len(pairs)
                before = heard
        return errors.report() | {
            "words_beyond_the_audio": beyond,
            "settled_words": kept,
            "settled_words_changed": changed,
            "limit_percent": 4,
            "met": errors.rate <= 0.04 and changed <= 0.02 * kept,
        }

    def middle_of_stream(self) -> Result:
        """Windows that begin and end anywhere in a stream of a minute."""
        source = np.random.default_rng(99)
        errors = Errors(0, 0, 0, 0)
        for one in self.material.recordings("stream", self.count(8), sentences=(16, 18)):
            for _ in range(5):
                start = float(source.uniform(0, one.duration - 5))
                end = min(one.duration, start + float(source.uniform(3, 28)))
                samples = one.samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
                errors += bounded_errors(one, start, end, self.listener.text(samples))
        return errors.report() | {"limit_percent": 4, "met": errors.rate <= 0.04}

    def long_audio(self) -> Result:
        """Audio of 40 to 70 seconds in one call, as faster-whisper cuts it."""
        recordings = self.material.recordings("long", self.count(6), sentences=(15, 20))
        return {
            "with_previous_text": self.transcribed(recordings).report(),
            "without_previous_text": self.transcribed(
                recordings, condition_on_previous_text=False
            ).report(),
            "with_voice_activity_filter": self.transcribed(recordings, vad_filter=True).report(),
        }

    def fitted_window(self) -> Result:
        """Fit the encoder window to the audio: the same text as with 30 s."""
        recordings = [
            *self.material.recordings("fitted single", self.count(40)),
            *self.material.recordings("fitted windows", self.count(40), sentences=(2, 5)),
        ]
        different = []
        fitted, full = Errors(0, 0, 0, 0), Errors(0, 0, 0, 0)
        for one in recordings:
            short, _ = self.listener.window(one.samples)
            long, _ = self.listener.window(one.samples, 3000)
            fitted += count_errors(one.text, short)
            full += count_errors(one.text, long)
            if short != long:
                different.append({"fitted": short, "full": long})
        return {
            "windows": len(recordings),
            "same_text": len(recordings) - len(different),
            "fitted": fitted.report(),
            "full": full.report(),
            "different": different[:6],
            "met": len(different) <= 0.02 * len(recordings),
        }

    def times_and_confidence(self) -> Result:
        """Errors of times, and the figures that make faster-whisper fall back."""
        recordings = self.material.recordings("times", self.count(40), sentences=(1, 4))
        starts, ends, word_starts = [], [], []
        speech, logarithms, ratios, warm, unsteady = [], [], [], 0, 0
        for one in recordings:
            segments = self.listener.segments(one.samples)
            again = self.listener.segments(one.samples, word_timestamps=True)
            unsteady += [part.text for part in segments] != [part.text for part in again]
            for part in segments:
                speech.append(part.no_speech_prob)
                logarithms.append(part.avg_logprob)
                ratios.append(part.compression_ratio)
                warm += (part.temperature or 0) > 0
            said = [span.text.lower() for span in one.words]
            if said != normalise(" ".join(part.text for part in segments)):
                continue
            first = 0
            for part in segments:
                last = first + len(normalise(part.text)) - 1
                starts.append(abs(part.start - one.words[first].start))
                ends.append(abs(part.end - one.words[last].end))
                first = last + 1
            words = [word for part in again for word in part.words or ()]
            if len(words) == len(one.words):
                pairs = zip(words, one.words, strict=True)
                word_starts += [abs(word.start - span.start) for word, span in pairs]
        return {
            "segment_start_error_seconds": _spread(starts),
            "segment_end_error_seconds": _spread(ends),
            "word_start_error_seconds": _spread(word_starts),
            "greatest_no_speech_probability": round(max(speech), 3),
            "least_average_log_probability": round(min(logarithms), 3),
            "greatest_compression_ratio": round(max(ratios), 2),
            "segments": len(speech),
            "segments_decoded_at_a_higher_temperature": warm,
            "recordings_with_another_text_with_word_times": unsteady,
        }

    def speed(self) -> Result:
        """Seconds of one thread for each second of audio, padded to 30 s and fitted."""
        recordings = self.material.recordings("speed", self.count(20), sentences=(3, 5))
        seconds = sum(one.duration for one in recordings)
        figures = {}
        for name, frames in (("padded", 3000), ("fitted", None)):
            begun = time.process_time()
            for one in recordings:
                self.listener.window(one.samples, frames)
            figures[name] = round((time.process_time() - begun) / seconds, 5)
        return {"audio_seconds": round(seconds, 1), "processor_seconds_a_second": figures}


def bounded_errors(recording: Recording, start: float, end: float, written: str) -> Errors:
    """Count errors in a window; the words that its bounds cut may be there or not."""
    inside, shares = [], []
    for span in recording.words:
        share = (min(end, span.end) - max(start, span.start)) / max(span.end - span.start, 1e-3)
        if share > 0:
            inside.append(span.text)
            shares.append(share)
    firsts = {0, *([1] if shares and shares[0] < 1 else [])}
    lasts = {len(inside), *([len(inside) - 1] if shares and shares[-1] < 1 else [])}
    choices = [
        count_errors(inside[first:last], written)
        for first in firsts
        for last in lasts
        if first <= last
    ]
    best = min(choices, key=lambda errors: errors.edits)
    expected = sum(share > HEARD for share in shares)
    return Errors(expected, best.substitutions, best.deletions, best.insertions)


def _spread(errors: list[float]) -> Result:
    if not errors:
        return {"count": 0}
    return {
        "count": len(errors),
        "median": round(float(np.median(errors)), 3),
        "mean": round(float(np.mean(errors)), 3),
        "p95": round(float(np.percentile(errors, 95)), 3),
    }


def evaluate(model: Path, report: Path, *, quick: bool = False, draw: str = "") -> None:
    """Measure everything, print it and write it as JSON."""
    evaluation = Evaluation(Listener(model), Material(draw), 0.3 if quick else 1.0)
    steps: tuple[Callable[[], Result], ...] = (
        evaluation.single_sentences,
        evaluation.windows,
        evaluation.unseen_voices,
        evaluation.repeated_words,
        evaluation.silence,
        evaluation.growing_buffers,
        evaluation.middle_of_stream,
        evaluation.long_audio,
        evaluation.fitted_window,
        evaluation.times_and_confidence,
        evaluation.speed,
    )
    results: dict[str, Result] = {}
    for step in steps:
        result = step()
        results[step.__name__] = {"what": (step.__doc__ or "").strip(), **result}
        print(step.__name__, json.dumps(result), flush=True)
        report.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
