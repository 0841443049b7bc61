"""Reading segments messages fast, for those who read ten thousand answers a second. Pure.

``stack.protocol`` says what a message may be, and why one is refused; this only reads the one kind
that nearly all messages of a session are, some ten times as fast.
"""

import math
from typing import Protocol

import msgspec


class HeardSegment(Protocol):
    """What a segment says, whoever read it; times in seconds from the start of the stream."""

    @property
    def start(self) -> float:
        """Where it begins."""
        ...

    @property
    def end(self) -> float:
        """Where it ends."""
        ...

    @property
    def text(self) -> str:
        """What was heard."""
        ...

    @property
    def completed(self) -> bool:
        """Whether it is certain."""
        ...


class ReadSegment(msgspec.Struct, frozen=True, gc=False):
    """A segment without its words."""

    start: float
    end: float
    text: str
    completed: bool = False


class ReadSegments(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A segments message: the fields of ``stack.protocol.Segments``."""

    uid: str
    segments: list[ReadSegment]
    final: bool = False


# Upstream sends times as text.
_DECODER = msgspec.json.Decoder(ReadSegments, strict=False)


def read_segments(message: bytes) -> ReadSegments | None:
    """Read a segments message; None for any other, and for one that is not as it should be."""
    try:
        read = _DECODER.decode(message)
    except (msgspec.DecodeError, RecursionError):
        return None
    for segment in read.segments:
        # "nan" and "inf" are numbers as text.
        if not (math.isfinite(segment.start) and math.isfinite(segment.end)):
            return None
    return read
