"""Frames are split as websockets' own core splits them, however they come in pieces."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from loadtest.generator.splitting import FrameSplitter

MAX = 1_000_000
CONTROL = st.sampled_from([Opcode.PING, Opcode.PONG])
payloads = st.binary(max_size=300) | st.integers(65_000, 66_000).map(bytes)
texts = payloads.map(lambda data: [Frame(Opcode.TEXT, data)])
controls = st.builds(lambda opcode, data: [Frame(opcode, data)], CONTROL, st.binary(max_size=125))
fragmented = st.builds(
    lambda first, between, last: [
        Frame(Opcode.TEXT, first, fin=False),
        *between,
        Frame(Opcode.CONT, last),
    ],
    payloads,
    controls,
    payloads,
)
streams = st.lists(texts | controls | fragmented, max_size=8).map(
    lambda parts: [frame for part in parts for frame in part]
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def messages_of(frames: list[Frame]) -> list[bytes]:
    """Join fragments into messages; control frames are none."""
    found, open_message = [], b""
    for frame in frames:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            open_message += bytes(frame.data)
            if frame.fin:
                found.append(open_message)
                open_message = b""
    return found


@given(frames=streams, cuts=st.lists(st.integers(0, 10**6), max_size=12))
def test_every_message_comes_out_once_and_in_order(frames: list[Frame], cuts: list[int]) -> None:
    core = ClientProtocol(parse_uri("ws://localhost/"), max_size=MAX, state=State.OPEN)
    splitter = FrameSplitter(MAX)
    found: list[bytes] = []
    open_message = b""
    for piece in pieces(b"".join(frame.serialize(mask=False) for frame in frames), cuts):
        for is_message, part in splitter.split(piece):
            if is_message:
                found.append(part)
                continue
            core.receive_data(part)
            for event in core.events_received():
                assert isinstance(event, Frame)
                if event.opcode in (Opcode.TEXT, Opcode.CONT):
                    open_message += bytes(event.data)
                    if event.fin:
                        found.append(open_message)
                        open_message = b""
    assert core.parser_exc is None
    assert found == messages_of(frames)


@given(payload=st.binary(min_size=1, max_size=200))
def test_a_masked_frame_is_the_cores(payload: bytes) -> None:
    """Servers don't mask (RFC 6455, 5.1): the core has to see it and fail."""
    core = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    for is_message, part in FrameSplitter(MAX).split(
        Frame(Opcode.TEXT, payload).serialize(mask=True)
    ):
        assert not is_message
        core.receive_data(part)
    assert core.parser_exc is not None


def test_a_frame_that_is_too_long_is_refused_by_its_header() -> None:
    core = ClientProtocol(parse_uri("ws://localhost/"), max_size=MAX, state=State.OPEN)
    header = Frame(Opcode.TEXT, bytes(MAX + 1)).serialize(mask=False)[:20]
    for is_message, part in FrameSplitter(MAX).split(header):
        assert not is_message
        core.receive_data(part)
    assert core.parser_exc is not None
