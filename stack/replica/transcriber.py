"""The model: audio in, segments with times out. Everything here runs in the inference thread."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stack.protocol import SAMPLE_RATE, Word
from stack.replica.features import HOP, LogMel
from stack.replica.hearing import SETTLED_SILENCE, Heard, HeardSegment, Request, Track
from stack.replica.voice import SPEECH_THRESHOLD, SpeechDetector

FULL_FRAMES: Final = 3000
FITTED_STEP: Final = 100
"""A fitted window is rounded up to whole seconds, so that equal shapes recur."""

TIMESTAMP_SECONDS: Final = 0.02
PROMPT_TOKENS: Final = 96
"""Most tokens of an initial prompt, and again of hotwords: prompt and text share 448 positions."""

POSITIONS: Final = 448
PREPENDED: Final = "\"'“¿([{-"
APPENDED: Final = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - the marks of other scripts
"""Marks that belong to the word after or before them; faster-whisper's own choice."""

LOOPING: Final = 2.4
"""Compression ratio above which a text is a loop; the limit that Whisper itself uses."""

SURELY_SPEECH: Final = 0.2
"""Probability of no speech under which no text at all is not believed: a word cut in half at the
beginning can lead a greedy search to an early end that a wider one avoids."""

ACCURATE_BEAMS: Final = 5
"""Hypotheses kept when there is time: Whisper's own choice for files."""


class ModelUnavailableError(Exception):
    """The model can't be used; the text says why, in a sentence for people."""


def split_tokens(
    tokens: Sequence[int], *, end_of_text: int, first_timestamp: int, duration: float
) -> list[tuple[float, float, list[int]]]:
    """Cut a decoded sequence at its timestamps into (start, end, text tokens), in seconds.

    Text after the last timestamp ends with the audio. Times never exceed the duration.
    """
    found: list[tuple[float, float, list[int]]] = []
    start = 0.0
    text: list[int] = []
    for token in tokens:
        if token >= first_timestamp:
            moment = min((token - first_timestamp) * TIMESTAMP_SECONDS, duration)
            if text:
                found.append((start, max(start, moment), text))
                text = []
            start = max(start, moment)
        elif token < end_of_text:
            text.append(token)
    if text:
        found.append((start, duration, text))
    return found


@dataclass
class _Asked:
    """One request on its way through the model."""

    index: int
    request: Request
    features: npt.NDArray[np.float32]
    frames: int
    quiet: float
    stages: dict[str, float]


class Transcriber:
    """A loaded faster-whisper model; not thread-safe, one thread owns it.

    ``fitted`` gives the encoder only the frames that the audio fills. That is about ten times
    cheaper, but right only for models trained on short windows, as the offline model was.
    """

    def __init__(
        self, model: str | Path, *, device: str, compute_type: str, threads: int, fitted: bool
    ) -> None:
        try:
            from faster_whisper import WhisperModel  # noqa: PLC0415 - takes a second to import

            self._model: Any = WhisperModel(
                str(model),
                device=device,
                compute_type=compute_type,
                cpu_threads=threads,
                num_workers=1,
            )
        except Exception as error:
            # Whatever the libraries below raise (there is no common type), a person needs the
            # model's name and one line.
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise ModelUnavailableError(
                f"Model '{model}' can't be loaded: {reason}; "
                "give --model a Whisper size, a directory with a CTranslate2 model, or 'offline'."
            ) from error
        self.fitted = fitted
        self.multilingual: bool = bool(self._model.model.is_multilingual)
        self.languages: frozenset[str] = frozenset(self._model.supported_languages)
        self._mel = LogMel(self._model.feature_extractor.mel_filters)
        self._tokenizers: dict[tuple[str, str], tuple[Any, tuple[int, ...]]] = {}

    def track(
        self, *, vad: bool, threshold: float = SPEECH_THRESHOLD, shortest: float = 0.0
    ) -> Track:
        """Begin to follow a stream; ``shortest`` is the least length of speech in seconds."""
        detector = SpeechDetector(threshold=threshold, shortest=shortest) if vad else None
        return Track(self._mel, detector)

    def warm(self) -> None:
        """Run passes of all kinds, so that the first client pays for no lazy set-up."""
        quiet = np.random.default_rng(0).normal(0, 0.01, SAMPLE_RATE).astype(np.float32)

        def request(*, vad: bool, **options: Any) -> Request:
            return Request(self.track(vad=vad), 0, quiet, 0, len(quiet), **options)

        for requests in (
            [request(vad=True)],
            [request(vad=False), request(vad=False)],
            [request(vad=False, words=True, accurate=True)],
        ):
            for heard in self.transcribe(requests):
                if isinstance(heard, Exception):
                    raise heard

    def transcribe(self, requests: Sequence[Request]) -> list[Heard | Exception]:
        """Transcribe pieces of audio of at most 30 s each, in one call of the model.

        The requests have to be of one ``group``. A piece that can't be transcribed gets its own
        exception and costs the others nothing.
        """
        answers: list[Heard | Exception] = [Heard()] * len(requests)
        asked: list[_Asked] = []
        for index, request in enumerate(requests):
            try:
                prepared = self._prepare(index, request)
            except Exception as error:
                answers[index] = error
                continue
            if isinstance(prepared, Heard):
                answers[index] = prepared
            else:
                asked.append(prepared)
        self._ask(asked, answers)
        return answers

    def _ask(self, asked: list[_Asked], answers: list[Heard | Exception]) -> None:
        if not asked:
            return
        try:
            for one, heard in zip(asked, self._hear(asked), strict=True):
                answers[one.index] = heard
        except Exception as error:
            if len(asked) == 1:
                answers[asked[0].index] = error
                return
            for one in asked:
                self._ask([one], answers)

    def _prepare(self, index: int, request: Request) -> Heard | _Asked:
        """Look at the fresh audio; give the answer when the model need not be asked."""
        track = request.track
        if track is None:
            raise ValueError("a request without a track can't be transcribed")
        stages: dict[str, float] = {}
        begun = time.perf_counter()
        track.take(request.fresh_from, request.fresh)
        stages["features"] = time.perf_counter() - begun
        quiet = 0.0
        if track.detector is not None:
            begun = time.perf_counter()
            voice, fresh_voice, quiet = self._listen(track.detector, request)
            stages["vad"] = time.perf_counter() - begun
            if not voice or (request.asked and not fresh_voice):
                return Heard(voice=voice, unchanged=voice, quiet=quiet, stages=stages)
        begun = time.perf_counter()
        first = request.start // HOP
        frames = min(max(1, (request.end - request.start) // HOP), FULL_FRAMES)
        features = track.features.window(first, first + frames)
        stages["features"] += time.perf_counter() - begun
        return _Asked(index, request, features, frames, quiet, stages)

    @staticmethod
    def _listen(detector: SpeechDetector, request: Request) -> tuple[bool, bool, float]:
        """Say whether there is speech, whether in the fresh audio, and how long ago it ended."""
        detector.add(request.fresh)
        start, end = request.start / SAMPLE_RATE, request.end / SAMPLE_RATE
        speech = detector.speech(start, end)
        fresh_from = max(start, end - len(request.fresh) / SAMPLE_RATE - SETTLED_SILENCE)
        said = detector.speech(fresh_from, end) is not None
        return speech is not None, said, end - (speech[1] if speech is not None else start)

    def _hear(self, asked: list[_Asked]) -> list[Heard]:
        import ctranslate2  # noqa: PLC0415 - takes a second to import

        begun = time.perf_counter()
        longest = max(one.frames for one in asked)
        window = -(-longest // FITTED_STEP) * FITTED_STEP if self.fitted else FULL_FRAMES
        batch = np.zeros((len(asked), self._mel.mels, min(window, FULL_FRAMES)), np.float32)
        for row, one in zip(batch, asked, strict=True):
            row[:, : one.frames] = one.features
        encoded = self._model.model.encode(ctranslate2.StorageView.from_array(batch))
        encode_seconds = (time.perf_counter() - begun) / len(asked)
        begun = time.perf_counter()
        heard = self._decode(encoded, asked)
        decode_seconds = (time.perf_counter() - begun) / len(asked)
        return [
            replace(
                found,
                quiet=one.quiet,
                batch=len(asked),
                leads=one is asked[0],
                stages=one.stages | {"encode": encode_seconds, "decode": decode_seconds},
            )
            for found, one in zip(heard, asked, strict=True)
        ]

    def _decode(self, encoded: Any, asked: list[_Asked]) -> list[Heard]:
        languages = self._languages(encoded, asked)
        made = [
            self._tokenizer(language, one.request.task)
            for (language, _), one in zip(languages, asked, strict=True)
        ]
        prompts = [
            self._prompt(tokenizer, one.request)
            for (tokenizer, _), one in zip(made, asked, strict=True)
        ]
        results = self._generate(encoded, prompts, asked, made)
        found = []
        parts = []
        for result, one, (tokenizer, _), (language, probability) in zip(
            results, asked, made, languages, strict=True
        ):
            pieces = split_tokens(
                result.sequences_ids[0],
                end_of_text=tokenizer.eot,
                first_timestamp=tokenizer.timestamp_begin,
                duration=one.request.seconds,
            )
            parts.append(pieces)
            segments = tuple(
                HeardSegment(start, end, tokenizer.decode(tokens)) for start, end, tokens in pieces
            )
            found.append(Heard(segments, result.no_speech_prob, language, probability))
        if asked[0].request.words and any(parts):
            said = self._words(made[0][0], encoded, [one.frames for one in asked], parts)
            found = [
                replace(
                    heard,
                    segments=tuple(
                        replace(segment, words=words)
                        for segment, words in zip(heard.segments, of_segments, strict=True)
                    ),
                )
                for heard, of_segments in zip(found, said, strict=True)
            ]
        return found

    def _languages(self, encoded: Any, asked: list[_Asked]) -> list[tuple[str, float]]:
        if not self.multilingual:
            return [("en", 1.0)] * len(asked)
        wanted = [one.request.language for one in asked]
        if None not in wanted:
            return [(language or "en", 1.0) for language in wanted]
        detected = self._model.model.detect_language(encoded)
        return [(found[0][0][2:-2], float(found[0][1])) for found in detected]

    def _tokenizer(self, language: str, task: str) -> tuple[Any, tuple[int, ...]]:
        from faster_whisper.tokenizer import Tokenizer  # noqa: PLC0415 - see above
        from faster_whisper.transcribe import get_suppressed_tokens  # noqa: PLC0415 - see above

        known = self._tokenizers.get((language, task))
        if known is None:
            tokenizer = Tokenizer(
                self._model.hf_tokenizer, self.multilingual, task=task, language=language
            )
            known = tokenizer, tuple(get_suppressed_tokens(tokenizer, [-1]))
            self._tokenizers[language, task] = known
        return known

    def prompt_length(self, initial_prompt: str | None, hotwords: str | None) -> int:
        """Give how many tokens these take before the text; any thread may ask."""
        if not initial_prompt and not hotwords:
            return 0
        tokenizer, _ = self._tokenizer("en", "transcribe")
        return len(self._before(tokenizer, initial_prompt, hotwords))

    @staticmethod
    def _before(tokenizer: Any, initial_prompt: str | None, hotwords: str | None) -> list[int]:
        """Build what precedes the start in faster-whisper's order: hotwords, earlier text."""
        before: list[int] = []
        if hotwords and hotwords.strip():
            before += tokenizer.encode(" " + hotwords.strip())[:PROMPT_TOKENS]
        if initial_prompt and initial_prompt.strip():
            before += tokenizer.encode(" " + initial_prompt.strip())[-PROMPT_TOKENS:]
        return [tokenizer.sot_prev, *before] if before else []

    def _prompt(self, tokenizer: Any, request: Request) -> list[int]:
        before = self._before(tokenizer, request.initial_prompt, request.hotwords)
        return [*before, *tokenizer.sot_sequence]

    def _generate(
        self, encoded: Any, prompts: list[list[int]], asked: list[_Asked], made: list[Any]
    ) -> list[Any]:
        """Decode once, greedily, and once more only against a loop or silence about speech.

        Faster-whisper decodes again at up to five rising temperatures when the text is unsure. The
        end of a growing buffer cuts words in half, so it often is, and the next pass replaces the
        text a second later: paying six passes for it is what makes servers collapse under load.
        """
        from faster_whisper.transcribe import get_compression_ratio  # noqa: PLC0415 - see above

        seconds = max(one.request.seconds for one in asked)
        options: dict[str, Any] = {
            "beam_size": ACCURATE_BEAMS if asked[0].request.accurate else 1,
            "max_length": min(POSITIONS, len(prompts[0]) + 32 + int(16 * seconds)),
            "return_no_speech_prob": True,
            "suppress_blank": True,
            "suppress_tokens": made[0][1],
            "max_initial_timestamp_index": 50,
        }
        results = self._model.model.generate(encoded, prompts, **options)
        texts = [
            tokenizer.decode(result.sequences_ids[0]).strip()
            for result, (tokenizer, _) in zip(results, made, strict=True)
        ]
        loops = [bool(text) and get_compression_ratio(text) > LOOPING for text in texts]
        mute = [
            not text and result.no_speech_prob < SURELY_SPEECH and one.request.seconds >= 1
            for text, result, one in zip(texts, results, asked, strict=True)
        ]
        if any(loops):
            unlike = {"repetition_penalty": 1.2, "no_repeat_ngram_size": 5}
            again = self._model.model.generate(encoded, prompts, **options, **unlike)
            results = [b if loop else a for a, b, loop in zip(results, again, loops, strict=True)]
        if any(mute) and options["beam_size"] == 1:
            options["beam_size"] = ACCURATE_BEAMS
            again = self._model.model.generate(encoded, prompts, **options)
            results = [b if quiet else a for a, b, quiet in zip(results, again, mute, strict=True)]
        return list(results)

    def _words(
        self,
        tokenizer: Any,
        encoded: Any,
        frames: list[int],
        parts: list[list[tuple[float, float, list[int]]]],
    ) -> list[list[tuple[Word, ...]]]:
        nothing = [{"seek": 0, "start": 0.0, "end": 0.0, "tokens": []}]
        segments: list[list[dict[str, Any]]] = [
            [
                {"seek": 0, "start": start, "end": end, "tokens": tokens}
                for start, end, tokens in pieces
            ]
            or nothing
            for pieces in parts
        ]
        self._model.add_word_timestamps(
            segments, tokenizer, encoded, frames, PREPENDED, APPENDED, 0.0
        )
        return [
            [
                tuple(Word.model_validate(word) for word in segment.get("words", []))
                for segment in of_one
            ][: len(pieces)]
            for of_one, pieces in zip(segments, parts, strict=True)
        ]
