"""Who may come in, and how long the others are told to wait."""

import asyncio
import threading
import time

import pytest
from support.replica import Wrapping

from stack.replica.admission import PRECISION, Departures
from stack.replica.hardware import DeviceUnavailableError, choose, give_back_memory
from stack.replica.scheduler import Pace
from stack.spec import ReplicaSpec

RATE = 16_000


def after(lengths: list[float]) -> Departures:
    departures = Departures()
    for length in lengths:
        departures.ended(length)
    return departures


def test_nobody_inside_no_wait():
    assert Departures().first([]) == 0.0


def test_without_experience_only_the_time_limit_is_known():
    assert Departures().first([(10, 50), (0, 60)]) == pytest.approx(50, abs=PRECISION)


def test_sessions_that_all_last_as_long():
    departures = after([30.0] * 20)
    assert departures.first([(12.0, 500)]) == pytest.approx(18, abs=2 * PRECISION)
    assert departures.first([(12.0, 500), (29.0, 500)]) == pytest.approx(1, abs=2 * PRECISION)


def test_more_sessions_make_an_early_departure_likelier():
    departures = after([float(length) for length in range(1, 101)])
    one = departures.first([(0.0, 500)])
    many = departures.first([(0.0, 500)] * 10)
    assert one == pytest.approx(50, abs=1.5)
    # The first of ten leaves with even odds where each one stays with 0.5 ** (1 / 10).
    assert many == pytest.approx(100 * (1 - 0.5**0.1), abs=1.5)


def test_a_session_that_outlasts_all_others_stays_to_its_limit():
    assert after([5.0] * 9).first([(20.0, 70)]) == pytest.approx(70, abs=PRECISION)


async def test_the_wait_told_is_about_the_wait_there_is(start, transcriber, talk):
    """Three sessions of a second each; after them, a full replica knows how long one lasts."""
    with start(transcriber, max_sessions=1, max_connection_time=600.0) as replica:
        for _ in range(3):
            async with talk(replica) as client:
                await asyncio.sleep(1.0)
                await client.finish()
        async with talk(replica) as inside:
            async with talk(replica, ready=False) as refused:
                told = (await refused.receive())["message"] * 60
                begun = time.monotonic()
            await asyncio.sleep(1.0)
            await inside.finish()
            waited = time.monotonic() - begun
    assert told == pytest.approx(waited, abs=0.6)
    assert told > 0


async def test_a_busy_replica_takes_no_new_session(start, transcriber, talk, clip, wait_until):
    go = threading.Event()

    class Slow(Wrapping):
        def hear(self, request):
            assert go.wait(30)
            return super().hear(request)

    with start(Slow(transcriber), max_queue_wait=0.2, pace=Pace(max_batch=1)) as replica:
        async with talk(replica) as one, talk(replica) as other:
            await one.send(clip.samples[: 2 * RATE])
            await other.send(clip.samples[: 2 * RATE])
            # One of them is heard, the other one waits.
            wait_until(lambda: replica.replica._scheduler.longest_wait > 0.2, "the queue")
            async with talk(replica, ready=False) as refused:
                assert (await refused.receive())["status"] == "WAIT"
            go.set()
            await one.finish()
            await other.finish()
        assert replica.metric('whisperlive_connections_rejected_total{reason="busy"}') == 1
        replica.call(lambda: replica.replica.metrics.waited(60.0, live=True))
        async with talk(replica) as welcome:  # the queue is empty, however long it just was
            await welcome.finish()


@pytest.mark.parametrize(
    ("cards", "supported", "wanted", "expected"),
    [
        (0, {"int8", "float32"}, ("auto", "auto"), ("cpu", "int8", 4)),
        (0, {"float32"}, ("cpu", "auto"), ("cpu", "float32", 4)),
        (1, {"int8_float16", "float16", "float32"}, ("auto", "auto"), ("cuda", "int8_float16", 16)),
        (1, {"int8_float32", "float32"}, ("cuda", "auto"), ("cuda", "int8_float32", 16)),
        (1, {"float16"}, ("cpu", "float32"), ("cpu", "float32", 4)),
        (0, set(), ("cpu", "auto"), ("cpu", "default", 4)),
    ],
)
def test_the_hardware_chosen(monkeypatch, cards, supported, wanted, expected):
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: cards)
    monkeypatch.setattr("ctranslate2.get_supported_compute_types", lambda _: supported)
    found = choose(*wanted, fitted=True)
    assert (found.device, found.compute_type, found.max_batch) == expected


def test_a_card_that_is_not_there(monkeypatch):
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 0)
    with pytest.raises(DeviceUnavailableError, match="give --device cpu"):
        choose("cuda", "auto", fitted=False)


def test_full_windows_are_not_batched_on_a_cpu():
    assert choose("cpu", "int8", fitted=False).max_batch == 1


@pytest.mark.parametrize(
    ("spec", "replicas", "cores", "expected"),
    [
        (ReplicaSpec(), 1, 16, 1),
        (ReplicaSpec(model="small"), 1, 16, 16),
        (ReplicaSpec(model="small"), 5, 16, 3),
        (ReplicaSpec(model="small"), 20, 16, 1),
        (ReplicaSpec(model="small"), 0, 16, 16),
        (ReplicaSpec(model="small", threads=2), 1, 16, 2),
        (ReplicaSpec(threads=2), 1, 16, 2),
    ],
)
def test_replicas_share_the_cores(spec, replicas, cores, expected):
    assert spec.threads_of(replicas, cores) == expected


def test_memory_is_given_back_where_the_library_can(monkeypatch):
    trimmed = []

    class Library:
        def malloc_trim(self, pad):
            trimmed.append(pad)

    monkeypatch.setattr("ctypes.CDLL", lambda _: Library())
    assert give_back_memory()
    assert trimmed == [0]
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not give_back_memory()
