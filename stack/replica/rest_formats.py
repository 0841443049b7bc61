"""Answers of ``/v1/audio/transcriptions`` in the shapes that OpenAI's API reference gives. Pure."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from stack.protocol import Segment
from stack.replica.languages import name_of


class ResponseFormat(StrEnum):
    """What the answer looks like."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"


MEDIA_TYPES: Final = {
    ResponseFormat.JSON: "application/json",
    ResponseFormat.TEXT: "text/plain; charset=utf-8",
    ResponseFormat.SRT: "text/plain; charset=utf-8",
    ResponseFormat.VERBOSE_JSON: "application/json",
    ResponseFormat.VTT: "text/vtt; charset=utf-8",
}


@dataclass(frozen=True)
class Transcription:
    """The text of a file; times in seconds."""

    segments: Sequence[Segment]
    language: str | None
    """None when there was no speech to tell it by."""
    duration: float
    task: str = "transcribe"
    with_segments: bool = True
    """In verbose_json."""
    with_words: bool = False
    """In verbose_json."""

    @property
    def text(self) -> str:
        """All of it in one line."""
        return "".join(segment.text for segment in self.segments).strip()


def render(found: Transcription, form: ResponseFormat) -> str:
    """Render a transcription; JSON comes as text, too."""
    match form:
        case ResponseFormat.JSON:
            return json.dumps({"text": found.text}, ensure_ascii=False)
        case ResponseFormat.TEXT:
            return found.text + "\n"
        case ResponseFormat.VERBOSE_JSON:
            return json.dumps(_verbose(found), ensure_ascii=False)
        case ResponseFormat.SRT:
            blocks = [
                f"{number}\n{_span(one, ',')}\n{_line(one)}\n"
                for number, one in enumerate(found.segments, 1)
            ]
            return "\n".join(blocks)
        case ResponseFormat.VTT:
            blocks = [f"{_span(one, '.')}\n{_escaped(_line(one))}\n" for one in found.segments]
            return "\n".join(["WEBVTT\n", *blocks])


def _line(segment: Segment) -> str:
    # An arrow or an empty line in a text would end its block.
    return " ".join(segment.text.replace("-->", "→").split())


def _escaped(line: str) -> str:
    """Write a line as WebVTT wants it, where these two begin a tag and a character's name."""
    return line.replace("&", "&amp;").replace("<", "&lt;")


def _span(segment: Segment, mark: str) -> str:
    start, end = round(segment.start * 1000), round(segment.end * 1000)
    # Players leave out what ends when it begins.
    return f"{_moment(start, mark)} --> {_moment(max(end, start + 1), mark)}"


def _moment(milliseconds: int, mark: str) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def _verbose(found: Transcription) -> dict[str, Any]:
    """Build verbose_json, without the fields that are not known here.

    These are seek, tokens, avg_logprob and no_speech_prob, which belong to windows, not segments.
    """
    body: dict[str, Any] = {
        "task": found.task,
        "language": name_of(found.language) if found.language else "unknown",
        "duration": round(found.duration, 3),
        "text": found.text,
    }
    if found.with_segments:
        body["segments"] = [
            {
                "id": number,
                "start": one.start,
                "end": one.end,
                "text": one.text,
                "temperature": 0.0,
                "compression_ratio": _compression_ratio(one.text),
            }
            for number, one in enumerate(found.segments)
        ]
    if found.with_words:
        body["words"] = [
            {"word": word.word.strip(), "start": word.start, "end": word.end}
            for segment in found.segments
            for word in segment.words or ()
        ]
    return body


def _compression_ratio(text: str) -> float:
    """Give how much zlib shortens a text, as Whisper does to find loops."""
    data = text.encode()
    return round(len(data) / len(zlib.compress(data)), 3)


def event(kind: str, **fields: str) -> str:
    """Render one server-sent event of a streamed transcription."""
    body = json.dumps({"type": f"transcript.text.{kind}", **fields}, ensure_ascii=False)
    return f"data: {body}\n\n"


def failure_event(error: dict[str, Any]) -> str:
    """Render an error as an event, in the shape in which OpenAI's clients look for one."""
    return f"data: {json.dumps(error, ensure_ascii=False)}\n\n"


def problem(message: str, *, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    """Build an error in OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
