"""Sessions over real sockets: TLS, keys, silence between clips, connections lost and made again."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.frames import Frame

from loadtest.assignment import assign, total_duration
from loadtest.calibration.sink import Sink, serving
from loadtest.clips import usable_clips
from loadtest.controller import LoadController
from loadtest.events import StepFinished
from loadtest.generator.frames import FrameLibrary
from loadtest.plan import LoadPlan
from loadtest.runfile import ClientResult, Failure, Outcome, Run
from stack.protocol import AudioFormat

Plans = Callable[..., LoadPlan]


async def one_run(plan: LoadPlan) -> Run:
    events = [event async for event in LoadController(plan).run()]
    (run,) = [event.run for event in events if isinstance(event, StepFinished)]
    return run


async def one_client(plan: LoadPlan) -> ClientResult:
    (client,) = (await one_run(plan)).clients
    return client


# --- TLS and keys ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def test_a_session_over_tls_checks_the_servers_certificate(
    make_plan: Plans, secure: ssl.SSLContext, authority: trustme.CA, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    async with serving(Sink(step=0.5), secure) as sink:
        values: dict[str, Any] = {"port": sink.port, "host": "localhost", "tls": True}
        good = await one_client(make_plan(**values, ca_file=trusted))
        assert good.outcome is Outcome.SUCCESS, good.errors
        assert sink.received[good.uid] == round(good.audio_duration * 16_000) * 4
        unknown = await one_client(make_plan(**values))
        assert unknown.failure is Failure.HANDSHAKE
        assert "certificate" in unknown.errors[-1]
        unchecked = await one_client(make_plan(**values, verify=False))
        assert unchecked.outcome is Outcome.SUCCESS


async def test_a_key_is_sent_and_stays_out_of_every_file(make_plan: Plans) -> None:
    async with serving(Sink(step=0.5, api_key="open-sesame")) as sink:
        plan = make_plan(port=sink.port, api_key="open-sesame")
        run = await one_run(plan)
        assert run.clients[0].outcome is Outcome.SUCCESS
        refused = await one_client(make_plan(port=sink.port, api_key="wrong"))
    assert refused.failure is Failure.HANDSHAKE
    assert "401" in refused.errors[-1]
    files = list(plan.results_directory.iterdir())
    assert len(files) == 2
    assert all("open-sesame" not in path.read_text() for path in files)


# --- audio ----------------------------------------------------------------------------------------


async def test_silence_lies_between_clips_and_word_times_move_with_it(
    make_plan: Plans, clips: Path
) -> None:
    usable, _ = usable_clips(clips)
    plan = make_plan(duration=14.0, gap=1.0)
    (client,) = assign(plan, 1, usable)
    assert client.pieces[0].silence_before == 0.0
    gaps = [piece.silence_before for piece in client.pieces[1:]]
    assert gaps
    assert all(0.5 <= gap <= 1.5 for gap in gaps)
    assert total_duration(client, plan.chunk) <= 14.0 + 1e-9
    stream = FrameLibrary([client], plan.chunk, AudioFormat.FLOAT32).stream(client.pieces)
    assert stream.duration == pytest.approx(total_duration(client, plan.chunk))
    first, second = client.pieces[:2]
    assert stream.word_ends is not None
    assert first.word_ends is not None
    assert second.word_ends is not None
    begins = first.samples / 16_000 + second.silence_before
    assert stream.word_ends[len(first.word_ends)] == pytest.approx(begins + second.word_ends[0])


def test_clients_share_the_frames_of_their_clips(make_plan: Plans, clips: Path) -> None:
    usable, _ = usable_clips(clips)
    clients = assign(make_plan(duration=20.0, gap=0.4), 50, usable)
    library = FrameLibrary(clients, 0.1, AudioFormat.FLOAT32)
    streams = [library.stream(client.pieces) for client in clients]
    frames = {id(frame) for stream in streams for frame in stream.frames}
    # 90 messages of the three clips, one of silence, and one for each length a clip was cut to.
    cut = {(piece.path, piece.samples) for client in clients for piece in client.pieces}
    assert len(frames) <= 90 + 1 + len(cut)
    assert sum(len(stream.frames) for stream in streams) > 9_000


def test_a_cut_clip_ends_in_silence(make_plan: Plans, clips: Path) -> None:
    usable, _ = usable_clips(clips)
    clip = next(clip for clip in usable if clip.path.name == "one.wav")
    (client,) = assign(make_plan(duration=1.25, chunk=0.25), 1, [clip])
    (piece,) = client.pieces
    assert piece.samples / 16_000 == pytest.approx(1.2)
    library = FrameLibrary([client], 0.25, AudioFormat.INT16)
    audio = b"".join(_payload(frame) for frame in library.stream(client.pieces).frames)
    assert len(audio) == 5 * 4000 * 2
    assert audio[1 * 19_200 * 2 :] == bytes(800 * 2)
    assert audio[19_199 * 2 : 19_200 * 2] != bytes(2)


def _payload(frame: bytes) -> bytes:
    """Read a client's frame back with the library's own parser."""
    left = bytearray(frame)

    def read_exact(size: int) -> Any:
        data, left[:size] = bytes(left[:size]), b""
        return data
        yield  # a generator, as the parser wants it

    parsing = Frame.parse(read_exact, mask=True)
    try:
        next(parsing)
    except StopIteration as end:
        return bytes(end.value.data)
    raise AssertionError("more data wanted")


# --- connections lost -----------------------------------------------------------------------------


async def test_a_lost_connection_fails_the_session(make_plan: Plans) -> None:
    async with serving(Sink(delay=0.05, step=0.5, disconnect_after=1.0, disconnects=1)) as sink:
        client = await one_client(make_plan(port=sink.port, duration=3.0))
    assert client.failure is Failure.DISCONNECTED
    assert client.reconnects == 0


async def test_a_client_comes_back_with_its_uid_and_goes_on(make_plan: Plans) -> None:
    # Words are named after their time in the connection's own audio.
    async with serving(Sink(delay=0.05, step=0.5, disconnect_after=2.0, disconnects=2)) as sink:
        plan = make_plan(port=sink.port, duration=6.0, reconnect=True)
        run = await one_run(plan)
    (client,) = run.clients
    assert client.outcome is Outcome.SUCCESS
    assert client.reconnects == 2
    assert run.summary.reconnects == 2
    assert sink.connections == {client.uid: 3}
    assert len(client.moved_to) == 2
    assert client.gap > 0.1
    assert all("Reconnecting" in error for error in client.errors)
    # It goes on where completed text ended: all audio is heard, some of it twice.
    sent = sink.received[client.uid] / 64_000
    assert sent >= client.audio_duration
    assert sent <= client.audio_duration + 2 * 2.0
    # The end of the transcript moves once for each half second of audio, whatever was sent twice.
    assert client.latency.count == round(client.audio_duration / 0.5)
    # Nothing is late because it was sent again, and the loss is not the generator's doing.
    assert not run.summary.generator_distorted
    assert client.slip.count == round(client.audio_duration / 0.1)
    # The first updates after the loss carry the time without a connection.
    assert client.latency.max is not None
    assert client.latency.max >= 0.15


async def test_to_be_let_in_again_and_again_is_no_progress(make_plan: Plans) -> None:
    # No text ever comes: without an end it would connect for ever.
    async with serving(Sink(step=5.0, disconnect_after=0.2)) as sink:
        client = await one_client(make_plan(port=sink.port, duration=3.0, reconnect=True))
        connections = sink.connections[client.uid]
    assert client.failure is Failure.DISCONNECTED
    assert connections == 11


async def test_a_client_comes_back_as_often_as_it_gets_on(make_plan: Plans) -> None:
    async with serving(Sink(delay=0.05, step=0.5, disconnect_after=1.0)) as sink:
        client = await one_client(make_plan(port=sink.port, duration=3.0, reconnect=True))
    assert client.outcome is Outcome.SUCCESS
    assert client.reconnects >= 2


async def test_who_is_not_let_in_again_has_failed(make_plan: Plans) -> None:
    async with serving(Sink(delay=0.05, step=0.5, disconnect_after=1.0)) as sink:
        run = None
        async for event in LoadController(make_plan(port=sink.port, reconnect=True)).run():
            if sink.received:
                sink.refuse = "wait"
            if isinstance(event, StepFinished):
                run = event.run
    assert run is not None
    (client,) = run.clients
    assert client.failure is Failure.WAIT
    assert client.reconnects == 0
    assert client.errors[-1].startswith("The server is full")


@pytest.mark.parametrize(
    ("refuse", "failure"), [("error", "server error"), ("garbage", "protocol")]
)
async def test_what_would_only_happen_again_is_not_tried_again(
    make_plan: Plans, refuse: str, failure: str
) -> None:
    async with serving(Sink(refuse=refuse)) as sink:
        client = await one_client(make_plan(port=sink.port, reconnect=True))
    assert client.failure is not None
    assert client.failure.value == failure
    assert len(client.errors) == 1
