"""What hostile and broken bodies cost: their own figures."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.listening import listening

from stack.replica.hearing import Heard
from stack.replica.metrics import Metrics
from stack.telemetry.answers import (
    BalancerAnswer,
    ServiceAnswer,
    batch_size,
    built_in_answer,
    nginx_answer,
    replica_answer,
    stage_seconds,
    upstream_answer,
)
from stack.telemetry.rates import Counters
from stack.telemetry.service import MAX_ANSWER, fetch, fetch_json

slow_machine = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)

NGINX = (
    "Active connections: 291 \n"
    "server accepts handled requests\n"
    " 16630948 16630940 31070465 \n"
    "Reading: 6 Writing: 179 Waiting: 106 \n"
)


def test_nginx_as_its_manual_shows_it() -> None:
    assert nginx_answer(NGINX) == BalancerAnswer(184, 16630948, 16630940, 31070465)
    assert nginx_answer(NGINX.replace("291", "many")) is None
    assert nginx_answer("<html>404</html>") is None
    assert nginx_answer(NGINX.replace("179", "9" * 5000)) is None


def test_what_a_replica_says_of_a_second() -> None:
    metrics, counters = Metrics(), Counters()
    counters.add(10.0, replica_answer(metrics.totals()).totals)
    assert stage_seconds(counters) is None, "one reading is no second"
    metrics.stage("queue", 0.25)
    metrics.stage("queue", 0.75)
    stages = {"vad": 0.01, "features": 0.02, "encode": 0.1, "decode": 0.05}
    one = Heard(segments=(), stages=stages, batch=2, leads=True)
    metrics.passed(one, 3.0, 0.3)
    metrics.passed(Heard(segments=(), stages=stages, batch=2), 3.0, 0.3)
    metrics.refused("full")
    metrics.called(0.3)
    metrics.heard(2.0)
    said = replica_answer(json.loads(json.dumps(metrics.totals())))
    counters.add(11.0, said.totals)
    assert stage_seconds(counters) == {
        "vad": pytest.approx(0.01),
        "features": pytest.approx(0.02),
        "queue": pytest.approx(0.5),
        "encode": pytest.approx(0.2),
        "decode": pytest.approx(0.1),
    }, "the mean of what was timed in it, and nothing of what wasn't"
    assert batch_size(counters) == 2.0
    assert said.rejected_total == 1
    assert said.real_time_factor == pytest.approx(0.15)
    counters.add(12.0, said.totals)
    counters.add(13.0, said.totals)
    assert stage_seconds(counters) == {}
    assert batch_size(counters) is None, "no call, no size"


def test_a_replica_that_is_started_anew_begins_anew() -> None:
    counters = Counters()
    counters.add(1.0, {"a": 100.0})
    counters.add(2.0, {"a": 110.0})
    assert counters.rate("a") == 10.0
    counters.add(3.0, {"a": 5.0})
    assert counters.rate("a") is None
    counters.add(4.0, {"a": 8.0})
    assert counters.rate("a") == 3.0


@slow_machine
@given(
    st.lists(st.tuples(st.floats(0.01, 3.0), st.floats(0.0, 50.0)), min_size=2, max_size=40),
)
def test_a_rate_is_that_of_a_window_of_at_least_a_second(steps: list[tuple[float, float]]) -> None:
    counters, now, total = Counters(), 100.0, 0.0
    history = []
    for seconds, grown in steps:
        now, total = now + seconds, total + grown
        history.append((now, total))
        counters.add(now, {"a": total})
    rate = counters.rate("a")
    if now - history[0][0] < 0.9:
        assert rate is None
        return
    then, before = max((one for one in history[:-1] if one[0] <= now - 1.0), default=history[0])
    assert rate == pytest.approx((total - before) / (now - then))


UPSTREAM = """\
# HELP whisperlive_connections_active Active
# TYPE whisperlive_connections_active gauge
whisperlive_connections_active 3.0
# TYPE whisperlive_connections_rejected_total counter
whisperlive_connections_rejected_total{reason="full"} 2.0
whisperlive_connections_rejected_total{reason="auth"} 1.0
whisperlive_transcription_latency_seconds_bucket{le="0.1"} 1.0
whisperlive_transcription_latency_seconds_sum 2.5
whisperlive_transcription_latency_seconds_count 10.0
"""
TOTALS = {"stage transcription total": 2.5, "stage transcription count": 10.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (UPSTREAM, ServiceAnswer(sessions=3, rejected_total=3, totals=TOTALS)),
        (
            UPSTREAM.replace("active 3.0", "active NaN"),
            ServiceAnswer(rejected_total=3, totals=TOTALS),
        ),
        (
            UPSTREAM.replace('reason="full"} 2.0', "reason=full oh no"),
            ServiceAnswer(sessions=3, rejected_total=1, totals=TOTALS),
        ),
        (
            UPSTREAM.replace("sum 2.5", "sum -Inf"),
            ServiceAnswer(sessions=3, rejected_total=3),
        ),
        ("whisperlive_connections_active 0\n", ServiceAnswer(sessions=0, rejected_total=0)),
        ("\0" * 1000, ServiceAnswer()),
        ("", ServiceAnswer()),
        ("whisperlive_" + "{" * 100_000, ServiceAnswer()),
    ],
)
def test_upstreams_metrics(text: str, said: ServiceAnswer) -> None:
    assert upstream_answer(text) == said


@pytest.mark.parametrize("value", [True, "1", 1.5, -1, 2**60, float("nan"), None, [1]])
def test_a_count_is_a_count(value: Any) -> None:
    assert replica_answer({"sessions": value, "queue_depth": 3}) == ServiceAnswer(queue_depth=3)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3)
    | st.dictionaries(st.sampled_from(["sessions", "stages", "batches", "vad", "total", "count",
                                       "rejected_total", "connections", "active"]),
                      children, max_size=5),
    max_leaves=20,
)  # fmt: skip


@slow_machine
@given(st.dictionaries(st.sampled_from(["sessions", "stages", "batches", "real_time_factor",
                                        "queue_depth", "connections"]), anything))  # fmt: skip
def test_no_status_is_too_broken(status: dict[str, Any]) -> None:
    said = replica_answer(status)
    for value in (said.sessions, said.queue_depth, said.rejected_total, said.real_time_factor):
        assert value is None or 0 <= value <= 2**53
    assert all(0 <= value <= 2**53 for value in said.totals.values())
    built_in_answer(status)


@slow_machine
@given(st.text(max_size=200))
def test_no_text_is_too_broken(text: str) -> None:
    upstream_answer(f"whisperlive_connections_active {text}\nwhisperlive_{text}\n")
    nginx_answer(text)


@contextlib.asynccontextmanager
async def server(body: bytes, head: str = "", *, drip: bool = False) -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 OK\r\n{head}Connection: close\r\n\r\n".encode())
            for start in range(0, len(body), 1 if drip else 1 << 16):
                writer.write(body[start : start + (1 if drip else 1 << 16)])
                await writer.drain()
                await asyncio.sleep(0.1 if drip else 0)

    async with listening(answer) as address:
        yield f"http://{address}/"


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b"{" + b" " * MAX_ANSWER + b"}", ""),
        (b"[" * 100_000, ""),
        (b'{"sessions": ' + b"9" * 10_000 + b"}", ""),
        (gzip.compress(b"{" + b" " * 50_000_000 + b"}"), "Content-Encoding: gzip\r\n"),
        (gzip.compress(b'{"sessions": 1}'), "Content-Encoding: gzip\r\n"),
        (b"\xff\xfe{}", ""),
        (b"[1]", ""),
        (b"", "Content-Length: 10\r\n"),
    ],
    ids=["long", "deep", "digits", "bomb", "packed", "bytes", "no object", "cut"],
)
async def test_a_hostile_body_is_no_answer(body: bytes, head: str) -> None:
    async with server(body, head) as url, httpx.AsyncClient(trust_env=False) as client:
        assert await fetch_json(client, url) is None


async def test_one_that_drips_is_given_up() -> None:
    async with (
        server(b'{"sessions": 1}' * 100, drip=True) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        async with asyncio.timeout(20):
            assert await fetch(client, url, 0.3) is None
