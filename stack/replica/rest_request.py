"""What a request to ``/v1/audio/transcriptions`` asks for, checked field by field. No I/O."""

import contextlib
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import FormData, UploadFile

from stack.protocol import SessionOptions
from stack.replica.rest_formats import ResponseFormat
from stack.replica.terms import Terms

MAX_FILE_BYTES: Final = 25 * 1024 * 1024
"""OpenAI's limit."""

MAX_BODY_BYTES: Final = MAX_FILE_BYTES + 64 * 1024
MAX_PROMPT: Final = 2000


class RefusedError(Exception):
    """A request that is not served: a sentence for people, and where the fault is."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.kind = status, param, code, kind


@dataclass(frozen=True)
class Wanted:
    """What a request asks for."""

    file: UploadFile
    options: SessionOptions
    form: ResponseFormat
    segments: bool
    words: bool
    stream: bool


def parse(form: FormData, terms: Terms) -> Wanted:
    """Read the options of a request; raises RefusedError that names the one at fault."""
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise RefusedError("The field 'file' is missing or no file.", param="file")
    if not file.size:
        raise RefusedError("The file is empty.", param="file")
    if file.size > MAX_FILE_BYTES:
        raise RefusedError(
            f"The file is larger than {MAX_FILE_BYTES // 2**20} MB.", status=413, param="file"
        )
    texts = {name: value for name, value in form.multi_items() if isinstance(value, str)}
    form_name = texts.get("response_format") or "json"
    try:
        shape = ResponseFormat(form_name)
    except ValueError:
        names = ", ".join(ResponseFormat)
        raise RefusedError(
            f"'{form_name[:40]}' is no response_format; take one of {names}.",
            param="response_format",
        ) from None
    granularities = {
        value
        for name, value in form.multi_items()
        if name in ("timestamp_granularities[]", "timestamp_granularities")
        and isinstance(value, str)
    }
    if granularities - {"word", "segment"}:
        raise RefusedError(
            "timestamp_granularities[] is 'word' or 'segment'.", param="timestamp_granularities"
        )
    if granularities and shape is not ResponseFormat.VERBOSE_JSON:
        raise RefusedError(
            "timestamp_granularities[] needs response_format 'verbose_json'.",
            param="timestamp_granularities",
        )
    _check_temperature(texts.get("temperature"))
    stream = _flag(texts.get("stream"))
    if stream and shape not in (ResponseFormat.JSON, ResponseFormat.TEXT):
        raise RefusedError("A stream has text only; leave response_format out.", param="stream")
    options = SessionOptions(
        uid="rest",
        language=_language(texts.get("language"), terms),
        use_vad=True,
        initial_prompt=_bounded("prompt", texts),
        hotwords=_bounded("hotwords", texts),
        word_timestamps="word" in granularities,
    )
    return Wanted(
        file=file,
        options=options,
        form=shape,
        segments=granularities != {"word"},
        words="word" in granularities,
        stream=stream,
    )


def _check_temperature(text: str | None) -> None:
    with contextlib.suppress(ValueError):
        if text is None or 0 <= float(text) <= 1:
            return
    raise RefusedError("temperature is a number from 0 to 1.", param="temperature")


def _flag(text: str | None) -> bool:
    if text is None or text.lower() in ("false", "0", ""):
        return False
    if text.lower() in ("true", "1"):
        return True
    raise RefusedError("stream is 'true' or 'false'.", param="stream")


def _bounded(name: str, texts: dict[str, str]) -> str | None:
    text = texts.get(name) or None
    if text is not None and len(text) > MAX_PROMPT:
        raise RefusedError(f"{name} has at most {MAX_PROMPT} characters.", param=name)
    return text


def _language(code: str | None, terms: Terms) -> str | None:
    if not code:
        return None
    if not terms.multilingual and code != "en":
        raise RefusedError("This replica's model hears English only.", param="language")
    if terms.multilingual and code not in terms.transcriber.languages:
        raise RefusedError(
            f"The model has no language '{code[:16]}'; give a code such as 'en'.",
            param="language",
        )
    return code
