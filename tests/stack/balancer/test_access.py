"""What is read of access logs: real nginx writes them; hostile lines count as nothing."""

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.listening import listening
from support.stacks import eventually
from support.waiting import until
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from stack.balancer.access import (
    CLASSES,
    LONGEST_LINE,
    NOBODY,
    RECENT,
    Access,
    AccessCounts,
    class_of,
    for_people,
    parse_access,
)
from stack.balancer.config import BalancerConfig, Target
from stack.balancer.nginx import NginxConfig, render_nginx
from stack.balancer.proxy import STATUS_PATH, Balancer
from stack.docker import access
from stack.docker.access import AccessLogs
from stack.process.parts import free_port
from stack.telemetry.answers import built_in_answer

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
needs_nginx = pytest.mark.skipif(NGINX is None, reason="needs nginx")
SECRET = "a-key-that-no-log-may-have"

# --- what counts ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "counted"),
    [
        *((101, "101"), (200, "2xx"), (302, "3xx"), (404, "4xx"), (499, "4xx"), (503, "5xx")),
        *((0, "4xx"), (999, "4xx"), (100, "4xx")),
    ],
)
def test_every_status_counts_as_one_class(status: int, counted: str) -> None:
    assert class_of(status) == counted
    assert counted in CLASSES


def test_figures_are_of_the_last_ten_seconds_and_counters_of_ever() -> None:
    counts = AccessCounts()
    for number in range(30):
        counts.add(100.0, Access(101, "replica-1", [0.001 * number], 60.0 + number))
    counts.add(100.0, Access(503))
    now = counts.answer(100.5)
    assert now.answers_total == {"101": 30, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 1}
    assert now.served_total == {"replica-1": 30, NOBODY: 1}
    assert now.sessions_ended == 30
    assert (now.session_p50, now.session_max) == (74.5, 89.0)
    assert now.connect_p50 == pytest.approx(0.0145)
    assert now.connect_p95 == pytest.approx(0.02755), "numpy.percentile(0…0.029, 95)"
    assert now.connect_max == pytest.approx(0.029)
    assert counts.answer(102.0).sessions_ended == 0.0
    later = counts.answer(101.0 + RECENT)
    assert (later.session_p50, later.connect_p50, later.connect_p95) == (None, None, None)
    assert later.answers_total == now.answers_total


def test_few_connections_have_no_p95_but_a_largest() -> None:
    counts = AccessCounts()
    counts.add(0.0, Access(200, "replica-1", [0.5]))
    assert counts.answer(0.1).connect_p95 is None
    assert counts.answer(0.1).connect_max == 0.5


def test_names_that_come_from_outside_are_bounded() -> None:
    counts = AccessCounts()
    for number in range(5000):
        counts.add(0.0, Access(200, f"replica-{number}"))
    counts.add(0.0, Access(200, 'x"\n'))
    served = counts.answer(0.1).served_total
    assert len(served) < 300
    assert sum(served.values()) == 5001


@pytest.mark.parametrize(
    "line",
    [
        "",
        "nginx: [emerg] something",
        "{",
        "[1]",
        "{}",
        '{"status": "101"}',
        '{"status": true, "session_seconds": 1}',
        '{"status": "x", "session_seconds": 1}',
        '{"status": 200, "session_seconds": -1}',
        '{"status": 1e400, "session_seconds": 1}',
        '{"status": 200, "session_seconds": NaN}',
        '{"status": 20000, "session_seconds": 1}',
        '{"a":' * 5000,
        '{"status": 200, "session_seconds": 1, "path": "' + "x" * LONGEST_LINE + '"}',
    ],
)
def test_any_other_line_is_none_and_stays_as_it_is(line: str) -> None:
    assert parse_access(line) is None
    assert for_people(line) == line


def test_the_times_of_all_that_were_tried_are_read() -> None:
    line = {"status": "101", "session_seconds": 12.5, "upstream_connect_seconds": "-, 0.004 : 0.1"}
    found = parse_access(json.dumps(line))
    assert found is not None
    assert found.connects == (0.004, 0.1)


# --- nginx itself ---------------------------------------------------------------------------------


class Following:
    """nginx's standard output as Docker hands it on: the time of writing before each line."""

    def __init__(self, file: Path, since: float, tail: int) -> None:
        self._file = file
        self._since = datetime.fromtimestamp(since, UTC).isoformat()
        self._tail = tail
        self.over = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        with self._file.open("rb") as log:
            if not self._tail:
                log.seek(0, 2)
            while not self.over.is_set():
                line = log.readline()
                if not line:
                    self.over.wait(0.01)
                    continue
                at = parse_access(line.decode())
                stamp = datetime.fromtimestamp(at.time if at else 0, UTC).isoformat()
                # In pieces, as a network delivers it.
                whole = stamp.encode() + b" " + line
                yield whole[:20]
                yield whole[20:]

    def close(self) -> None:
        self.over.set()


@contextlib.asynccontextmanager
async def nginx(tmp_path: Path, *targets: Target) -> AsyncIterator[tuple[str, Path]]:
    """Run nginx with the configuration of a stack; yields its address and its access log."""
    assert NGINX is not None
    config = NginxConfig(targets=targets, listen_port=free_port(), status_port=free_port())
    log = tmp_path / "stdout.log"
    text = render_nginx(config)
    # Several nginx on one machine: each has a directory of its own, and loopback only.
    text = re.sub(r"/tmp/", f"{tmp_path}/", text)  # noqa: S108
    text = re.sub(r"listen (\d+);", r"listen 127.0.0.1:\1;", text).replace("/dev/stdout", str(log))
    log.touch()
    file = tmp_path / "nginx.conf"
    file.write_text(text)
    process = subprocess.Popen(  # noqa: ASYNC220
        [NGINX, "-c", file, "-g", "daemon off;"], stderr=subprocess.DEVNULL
    )
    address = f"127.0.0.1:{config.listen_port}"

    def listens() -> bool:
        import socket  # noqa: PLC0415

        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", config.status_port)) == 0

    try:
        await eventually(listens, "nginx listens")
        yield address, log
    finally:
        process.terminate()
        process.wait(10)


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def talk(address: str, seconds: float) -> None:
    url = f"ws://{address}/?token={SECRET}&uid=u"
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with connect(url, additional_headers=headers) as session:
        await session.send("x" * 1000)
        await session.recv()
        await asyncio.sleep(seconds)  # its length is what is measured


async def get(address: str, path: str) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def unwell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


@needs_nginx
async def test_what_a_real_nginx_writes_is_read(tmp_path: Path) -> None:
    gone = Target(name="replica-2", host="127.0.0.1", port=free_port())
    async with serve(echo, "127.0.0.1", 0) as server:
        well = Target(name="replica-1", host="127.0.0.1", port=server.sockets[0].getsockname()[1])
        async with nginx(tmp_path, well, gone) as (address, log):
            logs = AccessLogs(lambda _, since, tail: Following(log, since, tail))
            await eventually(lambda: logs.read("balancer"), "the log is open")
            await asyncio.gather(*(talk(address, 0.6) for _ in range(3)))
            assert b" 404 " in await get(address, f"/nowhere?token={SECRET}")

            def counted() -> bool:
                answer = logs.read("balancer")
                return answer is not None and sum(answer.answers_total.values()) == 4

            await eventually(counted, "all four have ended")
            found = logs.read("balancer")
            logs.close()
    assert found is not None
    assert found.answers_total == {"101": 3, "2xx": 0, "3xx": 0, "4xx": 1, "5xx": 0}
    assert found.served_total == {"replica-1": 3, NOBODY: 1}
    assert found.session_p50 is not None
    assert found.session_p50 >= 0.6
    assert found.connect_max is not None
    assert found.connect_p50 is not None
    text = log.read_text()
    assert SECRET not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["upgrade"] for line in lines] == [True, True, True, False]
    tried = [line["upstream_status"] for line in lines if "," in line["upstream"]]
    assert all(status == "502, 101" for status in tried), "the one that is gone was passed over"
    shown = for_people(text.splitlines()[0])
    assert re.match(r"127\.0\.0\.1 GET / 101, replica-1, session of \d", shown), shown
    assert abs(lines[0]["time"] - time.time()) < 60


@needs_nginx
async def test_a_log_is_followed_over_a_restart_and_nothing_counts_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_PAUSE", 0.05)
    opened: list[Following] = []
    async with listening(unwell) as ill:
        host, _, port = ill.rpartition(":")
        target = Target(name="replica-1", host=host, port=int(port))
        async with nginx(tmp_path, target) as (address, log):

            def opener(_: str, since: float, tail: int) -> Following:
                opened.append(Following(log, since, tail))
                return opened[-1]

            logs = AccessLogs(opener)

            def failed() -> int:
                answer = logs.read("balancer")
                return answer.answers_total["5xx"] if answer is not None else -1

            await eventually(lambda: failed() == 0, "the log is open")
            await asyncio.to_thread(time.sleep, 0.02)  # nginx's clock has milliseconds
            assert b" 500 " in await get(address, "/health")
            await eventually(lambda: failed() == 1, "the first is counted")
            opened[-1].close()
            assert b" 500 " in await get(address, "/health")
            await eventually(lambda: failed() == 2, "what came meanwhile is counted, once")
            assert len(opened) == 2
            logs.close()


def test_a_log_that_nobody_looks_at_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_PAUSE", 0.02)
    monkeypatch.setattr(access, "FORGET", 0.1)
    (tmp_path / "log").touch()
    opened: list[Following] = []

    def opener(_: str, since: float, tail: int) -> Following:
        opened.append(Following(tmp_path / "log", since, tail))
        return opened[-1]

    logs = AccessLogs(opener)
    until(lambda: logs.read("balancer"), "the log is open")
    until(lambda: not logs.followed, "it is let go")
    assert opened[0].over.is_set()
    names = {thread.name for thread in threading.enumerate()}
    until(lambda: not {n for n in names if n.startswith("access log")} & _running(), "no thread")
    assert logs.read("balancer") is None, "the next look begins anew"
    logs.close()


def _running() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_a_log_that_can_t_be_opened_has_no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_PAUSE", 0.01)
    tried = threading.Semaphore(0)

    def refuse(_: str, since: float, tail: int) -> Following:
        tried.release()
        raise OSError

    logs = AccessLogs(refuse)
    for _ in range(3):
        assert logs.read("balancer") is None
        assert tried.acquire(timeout=20), "it is tried again"
    logs.close()


# --- the built-in balancer ------------------------------------------------------------------------


async def test_the_built_in_balancer_counts_the_same(tmp_path: Path) -> None:
    gone = Target(name="replica-2", host="127.0.0.1", port=free_port())
    import socket  # noqa: PLC0415

    async with serve(echo, "127.0.0.1", 0) as server, listening(unwell) as ill:
        port = server.sockets[0].getsockname()[1]
        well = Target(name="replica-1", host="127.0.0.1", port=port)
        balancer = Balancer(BalancerConfig(targets=(gone, well)))
        listener = socket.create_server(("127.0.0.1", 0))
        await balancer.start(listener)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        try:
            await asyncio.gather(*(talk(address, 0.6) for _ in range(3)))
            host, _, port = ill.rpartition(":")
            bad = Target(name="replica-3", host=host, port=int(port))
            balancer.configure(BalancerConfig(targets=(bad,)))
            assert b" 500 " in await get(address, "/health")
            balancer.configure(BalancerConfig(targets=(gone,)))
            assert b" 503 " in await get(address, "/")
            balancer.configure(BalancerConfig())
            assert b" 503 " in await get(address, "/")

            async def look() -> bytes:
                return await get(address, STATUS_PATH)

            end = time.monotonic() + 20
            while True:
                said = json.loads((await look()).partition(b"\r\n\r\n")[2])
                found = built_in_answer(said).access
                assert found is not None
                if sum(found.answers_total.values()) == 6:
                    break
                assert time.monotonic() < end, found
                await asyncio.sleep(0.02)
        finally:
            await balancer.stop(1.0)
    assert found.answers_total == {"101": 3, "2xx": 0, "3xx": 0, "4xx": 0, "5xx": 3}
    assert found.served_total == {"replica-1": 3, "replica-2": 1, "replica-3": 1, NOBODY: 1}
    assert found.session_max is not None
    assert found.session_max >= 0.6
    assert found.connect_max is not None
    assert found.connect_p95 is None


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"access": []},
        {"access": {"answers_total": {"101": -1, "weird": 3}, "served_total": {"a b": 1}}},
        {"access": {"answers_total": 3, "served_total": None, "connect_p50": "x"}},
        {"access": {"sessions_ended": True, "connect_max": float("inf")}},
    ],
)
def test_nothing_is_taken_from_a_status_that_is_no_figure(said: dict[str, object]) -> None:
    found = built_in_answer(said).access
    if found is not None:
        assert not found.answers_total
        assert not found.served_total
        assert found.connect_p50 is found.connect_max is found.sessions_ended is None
