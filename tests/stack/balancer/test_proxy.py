"""The balancer between real sockets: what it spreads, what it passes on, what it refuses."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus

from stack.balancer import proxy
from stack.balancer.__main__ import follow
from stack.balancer.config import BalancerConfig, Target
from stack.balancer.proxy import MAX_HEAD_BYTES, Balancer
from stack.balancer.strategy import order
from stack.spec import Strategy


def target(name: str, port: int = 1) -> Target:
    return Target(name=name, host="127.0.0.1", port=port)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def balancing(
    *targets: Target, strategy: Strategy = Strategy.LEAST_CONNECTIONS
) -> AsyncIterator[tuple[Balancer, int]]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    balancer = Balancer(BalancerConfig(strategy=strategy, targets=targets))
    await balancer.start(listening)
    try:
        yield balancer, listening.getsockname()[1]
    finally:
        await balancer.stop(0.1)


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.fixture
async def echoes() -> AsyncIterator[list[Target]]:
    async with contextlib.AsyncExitStack() as servers:
        found = []
        for number in (1, 2, 3):
            server = await servers.enter_async_context(
                serve(echo, "127.0.0.1", 0, max_size=None, compression=None)
            )
            found.append(target(f"replica-{number}", server.sockets[0].getsockname()[1]))
        yield found


async def raw(port: int, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    await writer.drain()
    return reader, writer


async def ask(port: int, data: bytes) -> bytes:
    reader, writer = await raw(port, data)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


async def until(condition, what: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"not in time: {what}"
        await asyncio.sleep(0.02)


def test_round_robin_takes_turns_whatever_is_open() -> None:
    targets = [target("a"), target("b"), target("c")]
    first = [order(Strategy.ROUND_ROBIN, targets, turn, {"a": 9})[0].name for turn in range(6)]
    assert first == ["a", "b", "c", "a", "b", "c"]
    assert order(Strategy.ROUND_ROBIN, [], 4, {}) == []


def test_least_connections_takes_the_idlest_and_parts_ties_by_turn() -> None:
    targets = [target("a"), target("b"), target("c")]
    assert [
        each.name for each in order(Strategy.LEAST_CONNECTIONS, targets, 0, {"a": 2, "b": 1})
    ] == ["c", "b", "a"]
    tied = [order(Strategy.LEAST_CONNECTIONS, targets, turn, {"a": 1})[0].name for turn in range(3)]
    assert set(tied) == {"b", "c"}


def test_hashes_move_only_the_keys_of_the_replica_that_goes() -> None:
    targets = [target(name, 1) for name in "abcd"]
    keys = [f"session-{number}" for number in range(2000)]

    def chosen(among: list[Target]) -> dict[str, str]:
        return {key: order(Strategy.CONSISTENT_HASH, among, 7, {}, key)[0].name for key in keys}

    before, after = chosen(targets), chosen(targets[:3])
    assert all(after[key] == before[key] for key in keys if before[key] != "d")
    assert all(400 < count < 600 for count in Counter(before.values()).values())
    assert chosen(targets[::-1]) == before, "in whatever order they are named"


async def test_one_uid_key_or_address_one_replica(echoes: list[Target]) -> None:
    async def spread(balancer_port: int, addresses: list[str], **headers: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for address in addresses:
            url = f"ws://127.0.0.1:{balancer_port}/{address}"
            async with connect(url, additional_headers=headers) as session:
                assert session.response is not None
                found[session.response.headers["X-Replica"]] += 1
        return found

    async with balancing(*echoes, strategy=Strategy.CONSISTENT_HASH) as (_, port):
        assert len(await spread(port, ["?uid=one&token=a"] * 8)) == 1
        assert len(await spread(port, [f"?uid={number}" for number in range(24)])) == 3
        assert len(await spread(port, ["?token=key"] * 8)) == 1
        assert len(await spread(port, [""] * 8, Authorization="Bearer key")) == 1
        assert len(await spread(port, [""] * 8)) == 1, "by address where there is nothing else"
    async with balancing(*echoes, strategy=Strategy.IP_HASH) as (_, port):
        assert len(await spread(port, [f"?uid={number}" for number in range(12)])) == 1


async def test_each_strategy_spreads_as_it_says(echoes: list[Target]) -> None:
    for strategy in (Strategy.ROUND_ROBIN, Strategy.LEAST_CONNECTIONS):
        async with (
            balancing(*echoes, strategy=strategy) as (balancer, port),
            contextlib.AsyncExitStack() as sessions,
        ):
            opened = await asyncio.gather(
                *(
                    sessions.enter_async_context(connect(f"ws://127.0.0.1:{port}/"))
                    for _ in range(12)
                )
            )
            spread = Counter(e.response.headers["X-Replica"] for e in opened if e.response)
            assert spread == {"replica-1": 4, "replica-2": 4, "replica-3": 4}
            assert balancer.open_sessions == 12


async def test_large_messages_pass_both_ways(echoes: list[Target]) -> None:
    message = os.urandom(12 * 1024 * 1024)
    async with (
        balancing(*echoes) as (_, port),
        connect(f"ws://127.0.0.1:{port}/", max_size=None, compression=None) as session,
    ):
        await session.send(message)
        assert await asyncio.wait_for(session.recv(), 60) == message


async def test_a_replica_that_refuses_is_passed_over(echoes: list[Target]) -> None:
    async with balancing(target("gone", unused_port()), echoes[0]) as (balancer, port):
        for _ in range(4):
            async with connect(f"ws://127.0.0.1:{port}/") as session:
                assert session.response is not None
                assert session.response.headers["X-Replica"] == "replica-1"
        replicas = balancer.status()["replicas"]
        # Asked once, then last in line for a while: not by every session anew.
        assert replicas["gone"]["failed"] == 1
        assert replicas["replica-1"]["total"] == 4


@pytest.mark.parametrize("targets", [(), (target("gone", 1),)])
async def test_without_a_replica_it_says_so(targets: tuple[Target, ...]) -> None:
    async with balancing(*targets) as (_, port):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{port}/"):
                pass
        assert refused.value.response.status_code == 503
        assert "No replica" in json.loads(refused.value.response.body)["error"]


async def test_another_config_leaves_open_sessions_alone(
    echoes: list[Target], tmp_path: Path
) -> None:
    path = tmp_path / "balancer.json"
    path.write_text(BalancerConfig(targets=(echoes[0],)).model_dump_json())
    async with balancing() as (balancer, port):
        following = asyncio.create_task(follow(path, balancer))
        try:
            await until(lambda: balancer.status()["targets"] == ["replica-1"], "config read")
            async with connect(f"ws://127.0.0.1:{port}/") as session:
                path.write_text(BalancerConfig(targets=(echoes[1],)).model_dump_json())
                await until(lambda: balancer.status()["targets"] == ["replica-2"], "reloaded")
                path.write_text('{"targets": "nonsense"}')
                await asyncio.sleep(0.3)  # three looks at a broken file
                path.unlink()
                await asyncio.sleep(0.3)
                assert not following.done()
                await session.send("still here")
                assert await session.recv() == "still here"
                async with connect(f"ws://127.0.0.1:{port}/") as new:
                    assert new.response is not None
                    assert new.response.headers["X-Replica"] == "replica-2"
        finally:
            following.cancel()


async def test_a_head_is_bounded_in_size_and_in_time(
    echoes: list[Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "HEAD_TIMEOUT", 0.3)
    async with balancing(*echoes) as (_, port):
        long = b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n"
        assert b" 400 " in (await ask(port, long)).split(b"\r\n")[0]
        assert b" 400 " in (await ask(port, b"HELLO\r\n\r\n")).split(b"\r\n")[0]
        began = time.monotonic()
        await ask(port, b"GET / HTTP/1.1\r\nHost:")
        assert time.monotonic() - began < 10


@contextlib.asynccontextmanager
async def plain_server(handle) -> AsyncIterator[Target]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield target("plain", server.sockets[0].getsockname()[1])


async def test_plain_http_passes_with_one_answer_a_connection() -> None:
    heads = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        body = await reader.readexactly(5)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body[::-1])
        await writer.drain()
        writer.close()

    async with plain_server(handle) as plain, balancing(plain) as (_, port):
        request = (
            b"POST /x HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n"
            b"X-Forwarded-For: 9.9.9.9\r\nContent-Length: 5\r\n\r\nabcde"
        )
        answer = await ask(port, request)
    assert answer.endswith(b"edcba")
    assert b"X-Replica: plain\r\n" in answer
    assert b"Connection: close" in heads[0]
    assert b"X-Forwarded-For: 127.0.0.1" in heads[0]
    assert b"9.9.9.9" not in heads[0], "a client can't say that it is somebody else"


async def test_a_client_that_finished_sending_still_gets_the_answer() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching\r\n\r\n")
        received = await reader.read()
        writer.write(b"got %d" % len(received))
        await writer.drain()
        writer.close()

    async with plain_server(handle) as plain, balancing(plain) as (balancer, port):
        head = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        reader, writer = await raw(port, head + b"z" * 100_000)
        writer.write_eof()
        assert (await asyncio.wait_for(reader.read(), 20)).endswith(b"got 100000")
        writer.close()
        await until(lambda: balancer.open_sessions == 0, "the session is let go")


async def test_a_replica_that_gives_no_answer_is_a_bad_gateway() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with plain_server(handle) as plain, balancing(plain) as (_, port):
        answer = await ask(port, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 502 ")


async def upload(port: int, size: int) -> bytes:
    """Post a large body without waiting for the answer, as most clients do; return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"

    async def send() -> None:
        with contextlib.suppress(OSError):
            writer.write(head.encode())
            for _ in range(0, size, 65536):
                writer.write(bytes(65536))
                await writer.drain()

    sending = asyncio.create_task(send())
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        await sending
        writer.close()


@pytest.mark.parametrize("kind", ["no replica", "no answer"])
async def test_an_early_answer_reaches_who_still_uploads(kind: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    targets = [target("a", server.sockets[0].getsockname()[1])] if kind != "no replica" else []
    expected = b"503" if kind == "no replica" else b"502"
    async with server, balancing(*targets) as (_, port):
        answers = await asyncio.gather(*(upload(port, 4 * 2**20) for _ in range(20)))
    assert [answer.split(b" ")[1:2] for answer in answers] == [[expected]] * 20


async def test_a_client_that_breaks_off_frees_the_replica(echoes: list[Target]) -> None:
    async with balancing(echoes[0]) as (balancer, port):
        session = await connect(f"ws://127.0.0.1:{port}/")
        assert balancer.open_sessions == 1
        session.transport.abort()
        await until(lambda: balancer.open_sessions == 0, "the session is let go")


async def test_a_slow_reader_holds_up_nobody_and_fills_no_memory() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching\r\n\r\n")
        block = b"x" * 65536
        with contextlib.suppress(ConnectionError):
            while sent < 256 * 1024 * 1024:
                writer.write(block)
                await writer.drain()
                sent += len(block)

    async with (
        serve(echo, "127.0.0.1", 0) as server,
        plain_server(flood) as plain,
        balancing(plain) as (balancer, port),
    ):
        head = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", port))
            slow.sendall(head)
            before = -1
            while before != sent:  # until nothing moves any more
                before = sent
                await asyncio.sleep(0.3)
            assert 0 < sent < 64 * 1024 * 1024
            other = target("echo", server.sockets[0].getsockname()[1])
            balancer.configure(BalancerConfig(targets=(other,)))
            async with connect(f"ws://127.0.0.1:{port}/") as session:
                await session.send("hello")
                assert await asyncio.wait_for(session.recv(), 10) == "hello"


def test_the_process_serves_and_ends_in_order(tmp_path: Path) -> None:
    config = tmp_path / "balancer.json"
    config.write_text(BalancerConfig().model_dump_json())
    port = unused_port()
    command = [sys.executable, "-m", "stack.balancer", f"--port={port}", f"--config={config}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 30
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    probe.sendall(b"GET /balancer/status HTTP/1.1\r\n\r\n")
                    answer = probe.makefile("rb").read()
                    break
            assert time.monotonic() < end
            time.sleep(0.05)
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["strategy"] == "least_connections"
        second = subprocess.run(command, capture_output=True, timeout=30, check=False)
        assert second.returncode == 1
        assert f"Port {port} on 127.0.0.1 can't be opened" in second.stderr.decode()
        assert b"Traceback" not in second.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_missing_config_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stack.balancer", "--port=0", f"--config={tmp_path / 'no'}"]
    result = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert result.returncode == 1
    assert b"can't be used" in result.stderr
    assert b"Traceback" not in result.stderr
