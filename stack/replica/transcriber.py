"""The model: audio in, segments with times out. Everything here runs in the inference thread."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from stack.protocol import SAMPLE_RATE, Word
from stack.replica.voice import Samples, has_speech

FRAMES_A_SECOND: Final = 100
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


class ModelUnavailableError(Exception):
    """The model can't be used; the text says why, in a sentence for people."""


@dataclass(frozen=True)
class Request:
    """One pass over one session's audio."""

    samples: Samples
    """Shape (samples,), at most 30 s."""
    language: str | None = None
    """A language code; None detects it."""
    task: str = "transcribe"
    initial_prompt: str | None = None
    hotwords: str | None = None
    words: bool = False
    """Give each segment its words with their times."""
    check_voice: Samples | None = None
    """Only go on if the voice activity detector hears speech in these."""
    vad_parameters: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class HeardSegment:
    """A stretch of text; times in seconds from the start of the request's audio."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] | None = None


@dataclass(frozen=True)
class Heard:
    """What one pass heard."""

    segments: tuple[HeardSegment, ...] = ()
    no_speech: float = 1.0
    """Probability that there is no speech at all."""
    language: str = "en"
    language_probability: float = 1.0
    voice: bool = True
    """False: the voice activity detector heard none and the model was not asked."""
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds spent on vad, features, encode, decode."""


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
        self._tokenizers: dict[tuple[str, str], tuple[Any, tuple[int, ...]]] = {}

    def warm(self) -> None:
        """Run one pass, so that the first client pays for no lazy set-up."""
        quiet = np.random.default_rng(0).normal(0, 0.01, SAMPLE_RATE).astype(np.float32)
        self.transcribe(Request(quiet, check_voice=quiet))
        self.transcribe(Request(quiet))

    def transcribe(self, request: Request) -> Heard:
        """Transcribe one piece of audio of at most 30 s."""
        stages: dict[str, float] = {}
        begun = time.perf_counter()
        if request.check_voice is not None:
            voice = has_speech(request.check_voice, request.vad_parameters)
            stages["vad"] = time.perf_counter() - begun
            if not voice:
                return Heard(voice=False, stages=stages)
            begun = time.perf_counter()
        duration = len(request.samples) / SAMPLE_RATE
        encoded, frames = self._encode(request.samples, stages)
        begun = time.perf_counter()
        language, probability = self._language(request.language, encoded)
        tokenizer, suppressed = self._tokenizer(language, request.task)
        prompt = self._prompt(tokenizer, request)
        result, text = self._generate(encoded, prompt, tokenizer, suppressed, duration)
        parts = split_tokens(
            result.sequences_ids[0],
            end_of_text=tokenizer.eot,
            first_timestamp=tokenizer.timestamp_begin,
            duration=duration,
        )
        words: list[tuple[Word, ...] | None] = [None] * len(parts)
        if request.words and text:
            words = list(self._words(tokenizer, encoded, frames, parts))
        segments = tuple(
            HeardSegment(start, end, tokenizer.decode(tokens), said)
            for (start, end, tokens), said in zip(parts, words, strict=True)
        )
        stages["decode"] = time.perf_counter() - begun
        return Heard(segments, result.no_speech_prob, language, probability, True, stages)

    def _encode(self, samples: Samples, stages: dict[str, float]) -> tuple[Any, int]:
        from faster_whisper.audio import pad_or_trim  # noqa: PLC0415 - see above

        begun = time.perf_counter()
        # The transform mirrors 200 samples at each edge and needs more than that.
        features = self._model.feature_extractor(
            np.pad(samples, (0, max(0, 400 - len(samples)))).astype(np.float32, copy=False)
        )
        frames = min(features.shape[-1] - 1, FULL_FRAMES)
        window = FULL_FRAMES
        if self.fitted:
            window = min(FULL_FRAMES, -(-frames // FITTED_STEP) * FITTED_STEP)
        padded = pad_or_trim(features[..., :frames], window)
        stages["features"] = time.perf_counter() - begun
        begun = time.perf_counter()
        encoded = self._model.encode(padded)
        stages["encode"] = time.perf_counter() - begun
        return encoded, frames

    def _language(self, wanted: str | None, encoded: Any) -> tuple[str, float]:
        if not self.multilingual:
            return "en", 1.0
        if wanted is not None:
            return wanted, 1.0
        token, probability = self._model.model.detect_language(encoded)[0][0]
        return token[2:-2], float(probability)

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

    @staticmethod
    def _prompt(tokenizer: Any, request: Request) -> list[int]:
        """Build the prompt in faster-whisper's order: hotwords, earlier text, start."""
        before: list[int] = []
        if request.hotwords and request.hotwords.strip():
            before += tokenizer.encode(" " + request.hotwords.strip())[:PROMPT_TOKENS]
        if request.initial_prompt and request.initial_prompt.strip():
            before += tokenizer.encode(" " + request.initial_prompt.strip())[-PROMPT_TOKENS:]
        start = [tokenizer.sot_prev, *before] if before else []
        return [*start, *tokenizer.sot_sequence]

    def _generate(
        self,
        encoded: Any,
        prompt: list[int],
        tokenizer: Any,
        suppressed: tuple[int, ...],
        duration: float,
    ) -> tuple[Any, str]:
        """Decode once, greedily, and once more only against a loop.

        Faster-whisper decodes again at up to five rising temperatures when the text is unsure. The
        end of a growing buffer cuts words in half, so it often is, and the next pass replaces the
        text a second later: paying six passes for it is what makes servers collapse under load.
        """
        from faster_whisper.transcribe import get_compression_ratio  # noqa: PLC0415 - see above

        options: dict[str, Any] = {
            "beam_size": 1,
            "max_length": min(POSITIONS, len(prompt) + 32 + int(16 * duration)),
            "return_no_speech_prob": True,
            "suppress_blank": True,
            "suppress_tokens": suppressed,
            "max_initial_timestamp_index": 50,
        }
        result = self._model.model.generate(encoded, [prompt], **options)[0]
        text = tokenizer.decode(result.sequences_ids[0]).strip()
        if text and get_compression_ratio(text) > LOOPING:
            again = self._model.model.generate(
                encoded, [prompt], repetition_penalty=1.2, no_repeat_ngram_size=5, **options
            )[0]
            return again, tokenizer.decode(again.sequences_ids[0]).strip()
        return result, text

    def _words(
        self,
        tokenizer: Any,
        encoded: Any,
        frames: int,
        parts: list[tuple[float, float, list[int]]],
    ) -> list[tuple[Word, ...]]:
        segments: list[dict[str, Any]] = [
            {"seek": 0, "start": start, "end": end, "tokens": tokens}
            for start, end, tokens in parts
        ]
        self._model.add_word_timestamps(
            [segments], tokenizer, encoded, frames, PREPENDED, APPENDED, 0.0
        )
        return [
            tuple(Word.model_validate(word) for word in segment.get("words", []))
            for segment in segments
        ]
