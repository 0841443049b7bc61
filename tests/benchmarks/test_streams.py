"""Our load generator beside others: the same streams, honest windows, tables and claims."""

import json
import os
from datetime import UTC, datetime

import pytest
from rich import box
from websockets.utils import apply_mask

from benchmarks.figures import markdown
from benchmarks.streams.__main__ import Comparison, compare, report
from benchmarks.streams.audio import write_order
from benchmarks.streams.figures import (
    LOCUST,
    OURS,
    SCRIPT,
    Measured,
    Share,
    check_table,
    cost_table,
    ratio_table,
    shares,
    verdicts,
)
from benchmarks.streams.peer import Order, Record, Session
from benchmarks.streams.sink import Heard, Moment
from benchmarks.streams.usage import Usage, between, on_core
from loadtest.assignment import assign
from loadtest.clips import usable_clips
from loadtest.generator.frames import FrameLibrary
from loadtest.shards import on_this_machine, step_orders
from loadtest.statistics import distribution
from stack.telemetry.environment import environment
from test_audio import CLIPS_DIRECTORY


def usage(time, **values):
    return Usage(**dict.fromkeys(Usage.model_fields, 0.0) | {"time": time} | values)


def share(cpu, messages, time=10.0, **values):
    return Share(usage=usage(time, user=cpu, **values), messages=messages)


def measured(generator=OURS, clients=50, **values):
    slip = values.pop("slip", [0.001] * 100)
    defaults = {
        "generator": generator,
        "clients": clients,
        "succeeded": clients,
        "slip": distribution(slip),
        "latency": distribution([0.203] * 100),
        "injected": distribution([0.2] * 100),
        "sink_late": distribution([0.0005] * 100),
        "messages": 1000,
        "received": 1000,
        "sending": share(0.04, 1000),
        "steady": share(0.03, 1000),
    }
    return Measured(**defaults | values)


def cells(table, results):
    """Return the rows of a table as Markdown, heading first."""
    lines = markdown(table(results, looks=box.MARKDOWN)).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert set("".join(rows.pop(1))) == {"-"}
    return rows


# --- what is sent ---------------------------------------------------------------------------------


def test_others_are_given_the_very_messages_that_ours_sends(plan, tmp_path):
    clips = usable_clips(CLIPS_DIRECTORY)[0]
    written = write_order(plan, 3, clips, tmp_path)
    clients = assign(plan, 3, clips)
    library = FrameLibrary(clients, plan.chunk, plan.audio_format)
    ours = [
        # A frame of 6,400 bytes: 4 bytes of head, 4 of mask.
        [apply_mask(frame[8:], frame[4:8]) for frame in library.stream(client.pieces).frames]
        for client in clients
    ]
    order = Order(written.order)
    assert order.streams == ours
    assert written.messages == sum(map(len, ours))
    assert written.message_bytes == 6400
    assert [order.start_of(i) for i in range(3)] == [client.start_after for client in clients]
    first, second = (json.loads(order.options()) for _ in range(2))
    assert first.pop("uid") != second.pop("uid")
    assert first == second
    assert first["model"]


def test_one_core_gets_one_shard(plan):
    many = assign(plan, 1500, usable_clips(CLIPS_DIRECTORY)[0])
    core = min(os.sched_getaffinity(0))
    with on_core(core):
        orders = step_orders(plan, many, on_this_machine(plan))
    assert [len(order.clients) for order in orders] == [1500]
    cores = len(os.sched_getaffinity(0))
    assert len(step_orders(plan, many, on_this_machine(plan))) == min(3, cores)


# --- what is noted --------------------------------------------------------------------------------


@pytest.fixture
def record(plan, tmp_path):
    clips = usable_clips(CLIPS_DIRECTORY)[0]
    return Record(Order(write_order(plan, 3, clips, tmp_path).order))


def heard(end):
    return json.dumps({"segments": [{"start": 0.0, "end": f"{end:.3f}", "text": "a"}]})


def test_latency_counts_from_the_schedule_of_the_message_that_holds_the_end(record):
    session = Session(record, 100.0)
    assert not session.has_text
    assert session.heard('{"message": "SERVER_READY"}', 100.0) is None
    # The first second ends with the tenth message, which is scheduled at 100.9.
    assert session.heard(heard(1.0), 101.15) == pytest.approx(0.25)
    assert session.heard(heard(1.0), 101.5) is None
    assert session.heard(heard(1.05), 101.5) == pytest.approx(0.5)
    assert record.latency == pytest.approx([0.25, 0.5])
    assert session.has_text


def test_a_session_that_never_ended_has_failed(record):
    record.succeeded = 1
    record.failed("TimeoutError")
    record.write()
    said = json.loads(record.order.report.read_text())
    assert said["succeeded"] == 1
    assert said["failures"] == {"TimeoutError": 1, "not ended": 1}


# --- windows --------------------------------------------------------------------------------------


def test_usage_between_two_moments_is_interpolated():
    samples = [usage(10.0, user=1.0), usage(11.0, user=2.0), usage(12.0, user=2.0, sink=4.0)]
    used = between(samples, 10.5, 11.5)
    assert (used.time, used.user, used.sink) == (1.0, 0.5, 2.0)
    assert used.generator == 0.5


def moments(*rows):
    return Heard(
        injected=[],
        late=[],
        moments=[
            Moment(time=time, audio=audio, begun=begun, ended=ended)
            for time, audio, begun, ended in rows
        ],
    )


def test_cpu_counts_from_the_first_message_to_the_last():
    told = moments(
        (10.0, 0, 0, 0),
        (11.0, 0, 1, 0),
        (12.0, 100, 2, 0),
        (14.0, 300, 2, 0),
        (15.0, 400, 2, 1),
        (16.0, 400, 2, 2),
    )
    # A second of CPU each second: starting up and what comes after the last message don't count.
    samples = [usage(float(time), user=float(time)) for time in range(21)]
    sending, steady = shares(told, samples, clients=2, message_bytes=100)
    assert (sending.usage.time, sending.usage.user, sending.messages) == (4.0, 4.0, 4.0)
    assert sending.a_message == 1.0
    assert (steady.usage.time, steady.usage.user, steady.messages) == (2.0, 2.0, 2.0)


def test_without_a_time_with_all_sessions_there_is_no_steady_share():
    told = moments((10.0, 0, 0, 0), (11.0, 100, 1, 0), (12.0, 200, 1, 1), (13.0, 300, 2, 1))
    samples = [usage(0.0), usage(20.0)]
    sending, steady = shares(told, samples, clients=2, message_bytes=100)
    assert sending.messages == 3
    assert steady is None
    nothing = moments((10.0, 0, 0, 0), (11.0, 0, 1, 0))
    assert shares(nothing, samples, clients=1, message_bytes=100) == (None, None)


def test_others_are_what_neither_generator_nor_sink_nor_benchmark_used():
    used = share(
        *(3.0, 100),
        system=1.0,
        sink=2.0,
        benchmark=0.5,
        generator_core=5.0,
        sink_core=3.5,
    )
    assert measured(sending=used).others == pytest.approx(0.1)
    assert measured(sending=None).others is None


# --- tables and claims ----------------------------------------------------------------------------


def test_the_tables_show_what_was_measured():
    one = measured(sending=share(0.04, 1000, sink=2.0, generator_core=0.54))
    assert cells(cost_table, [one])[1] == [OURS, "50", "40", "30", "0%", "1.0", "1.0", "0"]
    assert cells(check_table, [one])[1] == [OURS, "50", "3.0", "3.0", "all", "0.5", "5%"]


def test_what_is_unknown_is_a_dash_and_lost_messages_are_counted():
    one = measured(
        sending=None,
        steady=None,
        slip=[],
        latency=distribution([]),
        sink_late=distribution([]),
        received=999,
    )
    assert cells(cost_table, [one])[1] == [OURS, "50", *["–"] * 5, "0"]
    row = cells(check_table, [one])[1]
    assert row == [OURS, "50", "–", "–", "999 of 1000", "–", "–"]


def test_ratios_are_of_one_client_count():
    results = [
        measured(OURS, 50),
        measured(LOCUST, 50, sending=share(0.1, 1000), steady=share(0.06, 1000)),
        measured(SCRIPT, 50, sending=share(0.05, 1000), steady=None),
        measured(OURS, 200),
    ]
    heading, *rows = cells(ratio_table, results)
    assert heading == [
        *("streams", "whisperctl / locust", "steady"),
        *("whisperctl / script", "steady"),
    ]
    assert rows == [["50", "0.40", "0.50", "0.80", "–"]]


@pytest.mark.parametrize(
    ("theirs", "slip", "said"),
    [
        (0.08, 0.019, ["first to last message 0.50 to 0.50 (met)", "asked: met"]),
        (0.07, 0.02, ["first to last message 0.57 to 0.57 (MISSED)", "asked: MISSED"]),
    ],
)
def test_claims_are_proved_or_not(theirs, slip, said):
    results = [
        measured(OURS, 1500, slip=[slip] * 100),
        measured(LOCUST, 1500, sending=share(theirs, 1000), slip=[0.5] * 100),
    ]
    claims = verdicts(results)
    assert said[0] in claims[0]
    assert said[1] in claims[1]
    assert claims[2].startswith("locust: ")
    assert "none" in claims[2]


def test_failures_are_told_with_their_reasons():
    failing = measured(SCRIPT, 50, succeeded=47, failures={"TimeoutError": 3})
    assert failing.collapsed
    assert not failing.keeps_pace
    assert "script, 50 streams: 3 failed (3 TimeoutError)." in verdicts([failing])


@pytest.fixture
def comparison():
    return Comparison(
        created_at=datetime.now(UTC),
        command="make bench-load",
        environment=environment(),
        requirements=["locust 1"],
        seconds=20,
    )


def test_who_collapses_is_measured_no_further(comparison):
    played = []

    def play(generator, clients):
        played.append((generator, clients))
        late = generator == LOCUST and clients >= 200
        return measured(generator, clients, slip=[1.5 if late else 0.001] * 100)

    compare(
        comparison,
        [OURS, LOCUST],
        [50, 200, 500],
        play=play,
        attempts=3,
        quiet=0.05,
        say=lambda _: None,
    )
    assert played == [(OURS, 50), (LOCUST, 50), (OURS, 200), (LOCUST, 200), (OURS, 500)]
    assert "20 ms" in report(comparison)


def test_who_collapses_only_when_disturbed_goes_on(comparison):
    slips = iter([1.5, 0.001, 1.5, 1.5])

    def play(generator, clients):
        disturbed = share(0.04, 1000, generator_core=5.0)
        return measured(generator, clients, slip=[next(slips)] * 100, sending=disturbed)

    counts = [50, 200, 500]
    compare(comparison, [OURS], counts, play=play, attempts=2, quiet=0.05, say=lambda _: None)
    assert [one.clients for one in comparison.measured] == [50, 200]


def test_of_disturbed_attempts_the_least_disturbed_counts_whatever_came_of_it(comparison):
    shares_of_others = iter([3.0, 1.0, 2.0])

    def play(generator, clients):
        others = next(shares_of_others)
        # The less disturbed, the dearer: chosen by figures it would be another.
        return measured(sending=share(1 / others, 1000, generator_core=1 / others + others))

    compare(comparison, [OURS], [50], play=play, attempts=3, quiet=0.05, say=lambda _: None)
    (kept,) = comparison.measured
    assert kept.others == pytest.approx(0.1)
    assert kept.attempts == 3
    assert len(comparison.discarded) == 2
