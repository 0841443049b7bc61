"""The WhisperLive wire protocol: what both sides say, parsed and rendered, without any I/O.

Facts are those of whisper-live 0.10.0. A session is: one JSON text message with options, binary
audio, ``END_OF_AUDIO``; the server answers with JSON text messages that all carry the session's
``uid``.
"""

import json
from enum import StrEnum
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stack.validation import first_problem

SAMPLE_RATE: Final = 16_000
"""Samples a second of every stream; the protocol knows no other rate."""

END_OF_AUDIO: Final = b"END_OF_AUDIO"
"""Last message of a client. An iOS client sends it as text: servers accept both."""

BACKEND: Final = "faster_whisper"
"""Upstream's client collects completed segments only from a backend of exactly this name."""

REPLICA_HEADER: Final = "X-Replica"
"""Handshake response header that names the replica which serves the session."""
BALANCED_HEADER: Final = "X-Balanced"
"""Set by a balancer that tries another replica when one answers the handshake with 503."""

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Upper bound of one message: over four minutes of float32 audio. The libraries' default of 1 MiB
is too small for clients that send several seconds at once."""

MAX_OPTIONS_BYTES: Final = 64 * 1024
"""Upper bound of the first (options) message."""


class ProtocolError(Exception):
    """A message that breaks the protocol; the text says what is wrong, in a sentence for people.

    ``uid`` is the client's, as far as the message told it: an answer must carry it to be heard.
    """

    def __init__(self, text: str, uid: str = "") -> None:
        super().__init__(text)
        self.uid = uid


class AudioFormat(StrEnum):
    """How samples are encoded in binary messages."""

    FLOAT32 = "float32"
    INT16 = "int16"
    UINT8 = "uint8"

    @property
    def sample_bytes(self) -> int:
        """Bytes a sample."""
        return {"float32": 4, "int16": 2, "uint8": 1}[self.value]


def decode_audio(data: bytes, audio_format: AudioFormat) -> npt.NDArray[np.float32]:
    """Decode a binary message into samples in [-1, 1], shape ``(samples,)``.

    Raises ProtocolError when the message is not a whole number of samples.
    """
    if len(data) % audio_format.sample_bytes:
        raise ProtocolError(
            f"A binary message of {len(data)} bytes is not a whole number of "
            f"{audio_format.value} samples; send {audio_format.sample_bytes} bytes a sample."
        )
    match audio_format:
        case AudioFormat.FLOAT32:
            samples = np.frombuffer(data, dtype="<f4")
            # NaN or infinity from a broken client must not reach the features of a whole batch.
            finite: npt.NDArray[np.float32] = np.nan_to_num(samples)
            return np.clip(finite, -1.0, 1.0)
        case AudioFormat.INT16:
            return np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768.0
        case AudioFormat.UINT8:
            return (np.frombuffer(data, dtype=np.uint8).astype(np.float32) - 128.0) / 128.0


def encode_audio(samples: npt.NDArray[np.float32], audio_format: AudioFormat) -> bytes:
    """Encode samples in [-1, 1], shape ``(samples,)``, as one binary message."""
    match audio_format:
        case AudioFormat.FLOAT32:
            return samples.astype("<f4").tobytes()
        case AudioFormat.INT16:
            return (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
        case AudioFormat.UINT8:
            return (np.clip(samples, -1.0, 1.0) * 127.0 + 128.0).astype(np.uint8).tobytes()


class SessionOptions(BaseModel):
    """A client's first message. Unknown fields are ignored, as upstream does."""

    model_config = ConfigDict(extra="ignore")

    uid: str = Field(min_length=1, max_length=256)
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    model: str | None = None
    use_vad: bool = False
    send_last_n_segments: int = Field(default=10, ge=1, le=1000)
    no_speech_thresh: float = Field(default=0.45, ge=0.0, le=1.0)
    clip_audio: bool = False
    same_output_threshold: int = Field(default=10, ge=1, le=1000)
    initial_prompt: str | None = Field(default=None, max_length=2000)
    hotwords: str | None = Field(default=None, max_length=2000)
    vad_parameters: dict[str, Any] | None = None
    word_timestamps: bool = False
    audio_format: AudioFormat = AudioFormat.FLOAT32


def parse_options(message: str | bytes) -> SessionOptions:
    """Parse a client's first message; raises ProtocolError that names the field at fault."""
    if len(message) > MAX_OPTIONS_BYTES:
        raise ProtocolError(
            f"The first message has {len(message)} bytes; options are at most {MAX_OPTIONS_BYTES}."
        )
    try:
        raw = json.loads(message)
    except (ValueError, RecursionError):
        raise ProtocolError("The first message must be a JSON object with the options.") from None
    if not isinstance(raw, dict):
        raise ProtocolError("The first message must be a JSON object with the options.")
    # Upstream's client sends null for what it leaves to the server.
    given = {key: value for key, value in raw.items() if value is not None}
    try:
        return SessionOptions.model_validate(given)
    except ValidationError as error:
        where, what = first_problem(error)
        field = where or "options"
        uid = given.get("uid")
        if error.errors()[0]["type"] == "missing":
            text = f"Option '{field}' is missing; send it in the first message."
        else:
            text = f"Option '{field}' is not usable: {what}."
        raise ProtocolError(text, uid[:256] if isinstance(uid, str) else "") from None


class Word(BaseModel):
    """One word of a segment; times in seconds from the start of the stream."""

    word: str
    start: float
    end: float
    probability: float


class Segment(BaseModel):
    """One segment as the server sends it; times in seconds from the start of the stream."""

    model_config = ConfigDict(allow_inf_nan=False)

    start: float
    end: float
    text: str
    completed: bool = False
    words: list[Word] | None = None


class Ready(BaseModel):
    """SERVER_READY. ``flush`` is our addition: END_OF_AUDIO transcribes the rest first."""

    uid: str
    backend: str = ""
    flush: bool = False


class Wait(BaseModel):
    """The server is full; ``minutes`` is its guess. A refused session, never a success."""

    uid: str
    minutes: float


class Problem(BaseModel):
    """An ERROR or WARNING with its text."""

    uid: str
    status: Literal["ERROR", "WARNING"]
    text: str


class Language(BaseModel):
    """The language was detected."""

    uid: str
    language: str
    probability: float


class Segments(BaseModel):
    """The last N completed segments and at most one unfinished one, in order of time."""

    uid: str
    segments: list[Segment]
    final: bool = False
    """Our addition: not an update, but the whole session's text once more, after a second hearing;
    it replaces what was completed before."""


class Disconnect(BaseModel):
    """The session's time is over."""

    uid: str


ServerMessage = Ready | Wait | Problem | Language | Segments | Disconnect


def render(message: ServerMessage) -> str:
    """Render a server message as the JSON text that upstream's client understands."""
    body: dict[str, Any] = {"uid": message.uid}
    match message:
        case Ready():
            body |= {"message": "SERVER_READY", "backend": message.backend, "flush": message.flush}
        case Wait():
            body |= {"status": "WAIT", "message": message.minutes}
        case Problem():
            body |= {"status": message.status, "message": message.text}
        case Language():
            body |= {"language": message.language, "language_prob": message.probability}
        case Segments():
            body["segments"] = [_render_segment(segment) for segment in message.segments]
            if message.final:
                body["final"] = True
        case Disconnect():
            body["message"] = "DISCONNECT"
    return json.dumps(body, ensure_ascii=False)


def _render_segment(segment: Segment) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "start": f"{segment.start:.3f}",
        "end": f"{segment.end:.3f}",
        "text": segment.text,
        "completed": segment.completed,
    }
    if segment.words is not None:
        rendered["words"] = [
            {
                "word": word.word,
                "start": f"{word.start:.3f}",
                "end": f"{word.end:.3f}",
                "probability": word.probability,
            }
            for word in segment.words
        ]
    return rendered


def parse_server_message(text: str | bytes) -> ServerMessage:
    """Parse one message of any WhisperLive server; raises ProtocolError for anything else."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise ProtocolError("The server sent a message that is not JSON.") from None
    if not isinstance(raw, dict):
        raise ProtocolError("The server sent JSON that is not an object.")
    uid = str(raw.get("uid", ""))
    try:
        if "segments" in raw:
            return Segments(uid=uid, segments=raw["segments"], final=raw.get("final") is True)
        if "language" in raw:
            return Language(
                uid=uid,
                language=raw["language"],
                probability=raw.get("language_prob") or 0.0,
            )
        status = raw.get("status")
        if status == "WAIT":
            return Wait(uid=uid, minutes=raw.get("message") or 0.0)
        if status in ("ERROR", "WARNING"):
            return Problem(uid=uid, status=status, text=str(raw.get("message", "")))
        if raw.get("message") == "SERVER_READY":
            return Ready(
                uid=uid, backend=str(raw.get("backend", "")), flush=raw.get("flush") is True
            )
        if raw.get("message") == "DISCONNECT":
            return Disconnect(uid=uid)
    except ValidationError as error:
        field, what = first_problem(error)
        raise ProtocolError(f"The server's field '{field}' is not usable: {what}.") from None
    raise ProtocolError(f"The server sent an unknown message with the keys {sorted(raw)[:8]}.")
