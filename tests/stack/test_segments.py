"""The fast reader says what the strict one says, or nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.protocol import ProtocolError, Segments, parse_server_message, render
from stack.segments import read_segments

numbers = st.floats(-1e6, 1e6) | st.floats(0, 1e4).map(lambda value: f"{value:.3f}")
segments = st.fixed_dictionaries(
    {"start": numbers, "end": numbers, "text": st.text(max_size=20)},
    optional={"completed": st.booleans(), "words": st.none(), "id": st.integers()},
)
messages = st.fixed_dictionaries(
    {"uid": st.text(max_size=10), "segments": st.lists(segments, max_size=4)},
    optional={"final": st.booleans()},
)


@given(message=messages)
def test_both_readers_agree(message: dict[str, object]) -> None:
    raw = json.dumps(message).encode()
    fast, strict = read_segments(raw), parse_server_message(raw)
    assert fast is not None
    assert isinstance(strict, Segments)
    assert (fast.uid, fast.final) == (strict.uid, strict.final)
    assert [(one.start, one.end, one.text, one.completed) for one in fast.segments] == [
        (one.start, one.end, one.text, one.completed) for one in strict.segments
    ]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"uid": "u", "segments": 3}',
        b'{"uid": "u", "segments": [{"start": 0, "end": "nan", "text": "a"}]}',
        b'{"uid": "u", "segments": [{"start": "-inf", "end": 1, "text": "a"}]}',
        b'{"uid": "u", "segments": [{"start": NaN, "end": 1, "text": "a"}]}',
        b'{"uid": "u", "segments": [{"start": 0, "end": 1}]}',
        b'{"uid": "u", "segments": [{"start": 0, "end": 1, "text": 7}]}',
    ],
)
def test_what_is_not_as_it_should_be_is_left_to_the_strict_reader(raw: bytes) -> None:
    assert read_segments(raw) is None
    with pytest.raises(ProtocolError):
        parse_server_message(raw)


def test_other_messages_are_none() -> None:
    ready = b'{"uid": "u", "message": "SERVER_READY", "backend": "faster_whisper"}'
    assert read_segments(ready) is None
    assert read_segments(render(parse_server_message(ready)).encode()) is None
